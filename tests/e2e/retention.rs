//! What is no longer kept is really gone: shown with the sweep's time moved, on a host of one's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::ReturnValue;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockRetention, ObjectLockRetentionMode};
use portcullis_core::aws::Clients;
use portcullis_core::clock::now_ms;
use portcullis_core::config::Env;
use portcullis_core::retention::Retention;
use portcullis_core::store::settings::Settings;
use portcullis_local::host::Host;
use portcullis_sweep::{Sweep, Swept};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::quarantine::held;
use crate::support::client::{Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::support::own_host;
use crate::sweep::{add_rules, begin};
use crate::target::sha256;
use crate::webhooks::Receiver;

const KEY: &str = "retention-administrator-key-0123456789";
const HOUR: i64 = 3_600_000;
const PAUSE: Duration = Duration::from_millis(50);

/// A host of one's own, whose sweep runs when one likes.
pub struct Own {
    pub host: Host,
    pub client: Client,
    pub clients: Clients,
}

impl Own {
    async fn start() -> Self {
        Self::start_in("e2e-retention").await
    }

    pub async fn start_in(folder: &str) -> Self {
        Self::go_on(&own_host::folder(folder), &[]).await
    }

    /// With the state that a host before left in this folder. `overrides` are environment keys of its functions.
    pub async fn go_on(folder: &Path, overrides: &[(&str, &str)]) -> Self {
        let host = own_host::start(folder, KEY, &[overrides, &[("PORTCULLIS_OUTBOUND_ALLOW", "127.0.0.0/8")]].concat()).await;
        let client = Client::new(format!("http://{}", host.addr), Some(KEY));
        let clients = Clients::for_endpoint(&host.access.endpoint, "us-east-1", &host.access.access_key, &host.access.secret_key);
        Self { host, client, clients }
    }

    pub fn table(&self, id: &str) -> String {
        self.host.topology.table(id).unwrap().name.clone()
    }

    pub fn bucket(&self, id: &str) -> String {
        self.host.topology.bucket(id).unwrap().name.clone()
    }

    async fn keep(&self, retention: Retention) {
        let settings = Settings::new(self.clients.dynamodb().clone(), self.table("DataTable"));
        settings.put(Retention::NAME, &retention).await.unwrap();
    }

    /// A run of sweep so many hours from now, in which nothing fails.
    pub async fn sweep_in(&self, hours: i64) -> Swept {
        let swept = self.run_in(hours).await;
        assert_eq!(swept.errors, 0, "{swept:?}");
        swept
    }

    pub async fn run_in(&self, hours: i64) -> Swept {
        Sweep::new(&self.env(), &self.clients).unwrap().run_at(now_ms() + hours * HOUR).await.unwrap()
    }

    pub fn queue(&self, id: &str) -> String {
        format!("{}/000000000000/{}", self.host.access.endpoint, self.host.topology.queue(id).unwrap().name)
    }

    /// The environment of a function that is not the host's.
    pub fn env(&self) -> Env {
        BTreeMap::from([
            ("PORTCULLIS_TABLE", self.table("DataTable")),
            ("PORTCULLIS_AUDIT_TABLE", self.table("AuditTable")),
            ("PORTCULLIS_UPLOAD_BUCKET", self.bucket("UploadBucket")),
            ("PORTCULLIS_REPORT_BUCKET", self.bucket("ReportBucket")),
            ("PORTCULLIS_SCAN_QUEUE_URL", self.queue("ScanQueue")),
            ("PORTCULLIS_NOTIFY_QUEUE_URL", self.queue("NotifyQueue")),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Partition keys of the items that submissions leave behind.
    async fn left(&self) -> Vec<String> {
        let items = self.clients.dynamodb().scan().table_name(self.table("DataTable")).consistent_read(true).send().await.unwrap();
        let keys = items.items().iter().map(|item| item["pk"].as_s().unwrap().clone());
        keys.filter(|pk| ["SCAN#", "HASH#", "BATCH#", "WEBHOOK#"].iter().any(|prefix| pk.starts_with(prefix))).collect()
    }

    /// Number of object versions in a bucket.
    async fn objects(&self, bucket: &str) -> usize {
        let listed = self.clients.s3().list_object_versions().bucket(self.bucket(bucket)).send().await.unwrap();
        listed.versions().len() + listed.delete_markers().len()
    }

    /// Who may bypass governance ends a lock, here in a second.
    async fn unlock(&self, key: &str) {
        let until = DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs() + 2);
        let retention = ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Governance).retain_until_date(until).build();
        let shorter = self.clients.s3().put_object_retention().bucket(self.bucket("QuarantineBucket")).key(key).retention(retention);
        shorter.bypass_governance_retention(true).send().await.unwrap();
    }

    async fn entries(&self) -> i32 {
        self.clients.dynamodb().scan().table_name(self.table("AuditTable")).send().await.unwrap().count()
    }
}

#[tokio::test]
async fn what_ended_before_the_time_that_is_kept_is_gone_with_all_that_belongs_to_it() {
    let own = Own::start().await;
    let client = &own.client;
    let receiver = Receiver::answering(&[200]).await;
    let children: Vec<(String, Vec<u8>)> = (0..60).map(|n| (format!("{n}.txt"), unique("child"))).collect();
    let mut files: Vec<(&str, &[u8])> = children.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let bad = eicar();
    files.push(("eicar.com", &bad));
    let batch = client.post_json("/file/batch", &json!({})).await.json["batch_id"].as_str().unwrap().to_owned();
    let archive = client.scan(zip(&files), &[("filename", "a.zip"), ("batch", &batch), ("callbackurl", &receiver.url)]).await;
    let content = unique("kept for a day");
    let text = client.scan(content.clone(), &[("filename", "a.txt")]).await;
    let (archive_id, text_id) = (archive["data_id"].as_str().unwrap(), text["data_id"].as_str().unwrap());
    send(client.request(Method::POST, &format!("/file/batch/{batch}/close")).header("Content-Length", "0")).await;
    receiver.wait_for(1).await;
    while client.get(&format!("/file/webhook/{archive_id}")).await.json["state"] != "delivered" {
        tokio::time::sleep(PAUSE).await;
    }
    let held = held(client, archive_id).await;
    let inbox = own.bucket("InboxBucket");
    own.clients.s3().put_object().bucket(&inbox).key("theirs.txt").body(unique("theirs").into()).send().await.unwrap();
    while client.get("/admin/history").await.json["entries"].as_array().unwrap().len() < 3 {
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(verdict(&client.get(&format!("/hash/{}", sha256(&bad))).await.json).0, 1, "a blocked child is found by its hash");
    assert!(own.objects("ReportBucket").await > 0 && own.objects("UploadBucket").await == 2, "large listings are objects");
    let changed = send(client.request(Method::PUT, "/admin/config/scan").body(r#"{"max_queue_per_agent":500}"#)).await;
    assert_eq!(changed.status, StatusCode::OK);
    let audited = own.entries().await;
    assert!(audited > 0);

    own.keep(Retention { scanhistory: 0, ..Retention::default() }).await;
    assert_eq!(own.sweep_in(40 * 8766).await.erased, 0, "0 is for ever");
    own.keep(Retention { scanhistory: 24, ..Retention::default() }).await;
    let early = own.sweep_in(23).await;
    assert_eq!((early.erased, early.entries), (0, 0));
    assert_eq!(client.get(&format!("/file/{text_id}")).await.json["data_id"], text_id);
    assert_eq!(own.sweep_in(25).await.erased, 3, "a setting that was lowered counts for what is there");

    for id in [archive_id, text_id] {
        assert_eq!(client.get(&format!("/file/{id}")).await.json, json!({ id: "Not Found" }));
    }
    for digest in [sha256(&content), text["file_info"]["md5"].as_str().unwrap().to_owned(), sha256(&bad)] {
        assert_eq!(client.get(&format!("/hash/{digest}")).await.json, json!({ digest: "Not Found" }));
    }
    assert_eq!(client.get(&format!("/file/batch/{batch}")).await.status, StatusCode::NOT_FOUND);
    assert!(client.get("/admin/history").await.json["entries"].as_array().unwrap().is_empty());
    assert_eq!(own.left().await, Vec::<String>::new());
    assert_eq!((own.objects("ReportBucket").await, own.objects("UploadBucket").await), (0, 0));
    assert_eq!(own.objects("InboxBucket").await, 1, "a watched object is not ours");
    assert_eq!(own.sweep_in(25).await.erased, 0);

    // What is held back is found without the record, goes by its own time, and never while it is locked.
    let path = format!("/admin/quarantine/{archive_id}");
    assert_eq!(client.get(&path).await.json, held);
    assert!(client.get("/admin/quarantine").await.json["entries"].as_array().unwrap().contains(&held));
    own.sweep_in(721).await;
    own.keep(Retention { quarantine: 1, ..Retention::default() }).await;
    own.sweep_in(2).await;
    assert_eq!((own.objects("QuarantineBucket").await, client.get(&path).await.status), (1, StatusCode::OK), "locked");
    own.unlock(archive_id).await;
    let end = Instant::now() + Duration::from_secs(20);
    while own.objects("QuarantineBucket").await > 0 || client.get(&path).await.status != StatusCode::NOT_FOUND {
        assert!(Instant::now() < end, "its time is over");
        own.sweep_in(8 * 24).await;
        tokio::time::sleep(PAUSE).await;
    }

    assert_eq!(own.entries().await, audited, "the audit log has its own time");
    own.keep(Retention { auditlog: 0, ..Retention::default() }).await;
    own.sweep_in(40 * 8766).await;
    assert_eq!(own.entries().await, audited);
    own.keep(Retention { auditlog: 1, ..Retention::default() }).await;
    assert_eq!(i32::try_from(own.sweep_in(2).await.entries).unwrap(), audited);
    assert_eq!(own.entries().await, 0);
}

#[tokio::test]
async fn a_removal_that_was_cut_off_goes_on_and_leaves_others_alone() {
    let own = Own::start_in("e2e-retention-cut-off").await;
    let client = &own.client;
    let content = unique("twice");
    let old = client.scan(content.clone(), &[("filename", "a.txt"), ("rule", "File process")]).await;
    let new = client.scan(content.clone(), &[("filename", "b.txt"), ("rule", "File process")]).await;
    // The file went, then the worker: the record is there, and what it names is not.
    let (id, bucket) = (old["data_id"].as_str().unwrap(), own.bucket("UploadBucket"));
    let listed = own.clients.s3().list_object_versions().bucket(&bucket).prefix(format!("in/{id}")).send().await.unwrap();
    for version in listed.versions() {
        let delete = own.clients.s3().delete_object().bucket(&bucket).key(format!("in/{id}"));
        delete.set_version_id(version.version_id.clone()).send().await.unwrap();
    }
    // The other one's was sent twice.
    let again = own.clients.s3().put_object().bucket(&bucket).key(format!("in/{}", new["data_id"].as_str().unwrap()));
    again.body(content.clone().into()).send().await.unwrap();
    // Only the older one ended too long ago: its place in the history says so.
    let table = own.table("DataTable");
    let item = own.clients.dynamodb().get_item().table_name(&table).key("pk", s(format!("SCAN#{}", &id[..24]))).key("sk", s("META".into()));
    let at = item.send().await.unwrap().item.unwrap()["history_at"].as_s().unwrap().clone();
    let moved = format!("{:013}{}", now_ms() - 30 * HOUR, &at[13..]);
    let update = own.clients.dynamodb().update_item().table_name(&table).key("pk", s(format!("SCAN#{}", &id[..24]))).key("sk", s("META".into()));
    update.update_expression("SET history_at = :at").expression_attribute_values(":at", s(moved)).send().await.unwrap();
    own.keep(Retention { scanhistory: 24, ..Retention::default() }).await;
    assert_eq!(own.sweep_in(0).await.erased, 1);
    assert_eq!(client.get(&format!("/file/{id}")).await.json, json!({ id: "Not Found" }));
    let by_hash = client.get(&format!("/hash/{}", old["file_info"]["sha1"].as_str().unwrap())).await.json;
    assert_eq!(by_hash["data_id"], new["data_id"], "the newer result of the content stays, by every digest");
    assert_eq!(client.result(new["data_id"].as_str().unwrap()).await["data_id"], new["data_id"]);
    assert_eq!(own.sweep_in(25).await.erased, 1);
    assert_eq!((own.left().await, own.objects("UploadBucket").await), (Vec::<String>::new(), 0), "every version, and every way to it");
}

#[tokio::test]
async fn what_can_not_be_removed_is_counted_and_holds_up_nothing() {
    let own = Own::start_in("e2e-retention-broken").await;
    let mut ids = Vec::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        let file = own.client.scan(unique("broken"), &[("filename", name)]).await;
        ids.push(file["data_id"].as_str().unwrap().to_owned());
    }
    let (table, broken) = (own.table("DataTable"), format!("SCAN#{}", &ids[0][..24]));
    let update = || own.clients.dynamodb().update_item().table_name(&table).key("pk", s(broken.clone())).key("sk", s("META".into()));
    let readable = update().update_expression("SET submission = :broken").expression_attribute_values(":broken", s("{".into()));
    let readable = readable.return_values(ReturnValue::UpdatedOld).send().await.unwrap().attributes.unwrap()["submission"].clone();
    own.keep(Retention { scanhistory: 1, ..Retention::default() }).await;
    let swept = own.run_in(2).await;
    assert_eq!((swept.erased, swept.errors), (2, 1));
    let swept = own.run_in(2).await;
    assert_eq!((swept.erased, swept.errors), (0, 1), "told of in every run");
    assert!(own.left().await.contains(&broken));
    update().update_expression("SET submission = :readable").expression_attribute_values(":readable", readable).send().await.unwrap();
    assert_eq!(own.sweep_in(2).await.erased, 1);
    assert_eq!((own.left().await, own.objects("UploadBucket").await), (Vec::<String>::new(), 0));
}

#[tokio::test]
async fn what_goes_on_stays() {
    let own = Own::start_in("e2e-retention-open").await;
    let client = &own.client;
    add_rules(client, &[json!({ "name": "Parts", "multipart": true })]).await;
    let batch = client.post_json("/file/batch", &json!({})).await.json["batch_id"].as_str().unwrap().to_owned();
    let member = client.scan(unique("member"), &[("filename", "a.txt"), ("batch", &batch)]).await;
    let begun = begin(client).await;
    own.keep(Retention { scanhistory: 1, ..Retention::default() }).await;
    let end = Instant::now() + Duration::from_secs(20);
    let (member, begun) = (member["data_id"].as_str().unwrap(), begun.as_str());
    assert_eq!(own.sweep_in(23).await.erased, 0);
    for id in [member, begun] {
        assert_eq!(client.get(&format!("/file/{id}")).await.json["data_id"], id);
    }
    assert_eq!(client.get(&format!("/file/batch/{batch}")).await.json["batch_files"]["batch_count"], 1);
    // Closed, it is as old as what it holds.
    while send(client.request(Method::POST, &format!("/file/batch/{batch}/close")).header("Content-Length", "0")).await.status != StatusCode::OK {
        assert!(Instant::now() < end);
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(own.sweep_in(23).await.erased, 1);
    assert_eq!(client.get(&format!("/file/{member}")).await.json, json!({ member: "Not Found" }));
    assert_eq!(client.get(&format!("/file/batch/{batch}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get(&format!("/file/{begun}")).await.json["data_id"], begun);
    assert_eq!(own.left().await, [format!("SCAN#{}", &begun[..24])]);
}

fn s(text: String) -> aws_sdk_dynamodb::types::AttributeValue {
    aws_sdk_dynamodb::types::AttributeValue::S(text)
}
