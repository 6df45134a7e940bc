//! Submissions that nobody brings to their end: sweep does, with its time moved, on a host of one's own.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Outcome, Source, Submission, Wishes};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::store::scans::Scans;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::batch::post;
use crate::download::{gone, source, whole};
use crate::retention::Own;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::unique;
use crate::support::own_host;
use crate::webhooks::{Received, Receiver};

const HOUR: i64 = 3_600_000;
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

fn scans(own: &Own) -> Scans {
    Scans::new(own.clients.dynamodb().clone(), own.table("DataTable"))
}

/// Puts rules in force beside those that are.
pub async fn add_rules(client: &Client, added: &[Value]) {
    let before = client.get("/admin/config/rules").await.json;
    let rules = [before["rules"].as_array().unwrap(), added].concat();
    let answer = client.put_json("/admin/config/rules", &json!({ "version": before["version"], "rules": rules })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// A multipart upload of two parts, under a rule of that name.
pub async fn begin(client: &Client) -> String {
    let answer = post(client, "/file/multipart", &[("rule", "Parts"), ("part-count", "2")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json["data_id"].as_str().unwrap().to_owned()
}

async fn part(client: &Client, id: &str, number: &str) -> Answer {
    send(client.request(Method::POST, &format!("/file/multipart/{id}")).header("part-number", number).body("half")).await
}

/// Objects that are parts of an upload.
async fn parts(own: &Own, id: &str) -> usize {
    let listed = own.clients.s3().list_objects_v2().bucket(own.bucket("UploadBucket")).prefix(format!("parts/{id}/"));
    listed.send().await.unwrap().contents().len()
}

/// Every process that ends a submission may die behind the write that does: nobody calls it again.
#[tokio::test]
async fn an_end_that_its_writer_did_not_live_to_tell_is_told_once() {
    let own = Own::start_in("e2e-sweep-untold").await;
    let (client, scans, receiver) = (&own.client, scans(&own), Receiver::answering(&[200]).await);
    let batch = post(client, "/file/batch", &[]).await.json["batch_id"].as_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for name in ["cancelled.txt", "never came.txt"] {
        let announced = post(client, "/file/presign", &[("filename", name), ("batch", &batch), ("callbackurl", &receiver.url)]).await;
        ids.push(announced.json["data_id"].as_str().unwrap().to_owned());
    }
    let closed = post(client, &format!("/file/batch/{batch}/close/callback"), &[("callbackurl", &receiver.url)]).await;
    assert_eq!(closed.status, StatusCode::OK, "{closed:?}");
    let mut records = Vec::new();
    for id in &ids {
        records.push(scans.get(&DataId::parse(id).unwrap()).await.unwrap().unwrap().0);
    }
    scans.cancel(&records[0]).await.unwrap();
    scans.finish_unclaimed(&records[1].submission, &Outcome::unscanned(&records[1], Verdict::failed("Late."), now_ms())).await.unwrap();

    let swept = own.sweep_in(1).await;
    assert_eq!((swept.due, swept.told), (2, 2));
    let mut told: Vec<Value> = receiver.wait_for(3).await.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    let of_batch = told.remove(told.iter().position(|told| told["batch_id"] == json!(batch)).unwrap());
    let mut codes: Vec<u64> =
        of_batch["batch_files"]["files_in_batch"].as_array().unwrap().iter().map(|file| file["scan_all_result_i"].as_u64().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [3, 19], "{of_batch}");
    assert!(told.iter().all(|told| ids.contains(&told["data_id"].as_str().unwrap().to_owned())), "{told:?}");
    assert_eq!(own.sweep_in(2).await.due, 0, "what was told is not looked at again");
    assert_eq!(receiver.all().len(), 3);
}

/// The queue gives up on a message in some minutes; what follows an end must not be lost with it.
#[tokio::test]
async fn ends_that_could_not_be_told_before_their_messages_ended_are_told() {
    let folder = own_host::folder("e2e-sweep-dead-letter");
    let receiver = Receiver::answering(&[200]).await;
    let (url, _source) = source(&[("/a.txt", gone())]).await;
    let own = Own::go_on(&folder, &[("PORTCULLIS_NOTIFY_QUEUE_URL", "http://127.0.0.1:9/000000000000/nowhere")]).await;
    let (client, callback) = (&own.client, ("callbackurl", receiver.url.as_str()));
    let scanned = client.submit(unique("untold"), &[callback]).await;
    let link = format!("{url}/a.txt");
    let download = client.post_file(Vec::new(), &[callback, ("downloadfrom", &link)]).await.json["data_id"].as_str().unwrap().to_owned();
    let cancelled = post(client, "/file/presign", &[callback, ("filename", "b.txt")]).await.json["data_id"].as_str().unwrap().to_owned();
    assert!(post(client, &format!("/file/{cancelled}/cancel"), &[]).await.status.is_server_error());
    for (id, code) in [(&scanned, 0), (&download, 3), (&cancelled, 19)] {
        assert_eq!(verdict(&client.result(id).await).0, code, "a verdict does not wait for who is told of it");
    }
    let end = Instant::now() + PATIENCE;
    while untold(&own).await.len() < 3 {
        assert!(Instant::now() < end, "{:?}", untold(&own).await);
        tokio::time::sleep(PAUSE).await;
    }
    own.clients.sqs().purge_queue().queue_url(own.queue("ScanQueue")).send().await.unwrap();
    own.host.stop().await;

    let own = Own::go_on(&folder, &[]).await;
    let swept = own.sweep_in(1).await;
    assert_eq!((swept.requested, swept.told), (1, 2), "with an object the scan function is asked: there may be tags to set");
    let mut told: Vec<String> = receiver.wait_for(3).await.iter().map(data_id).collect();
    told.sort();
    let mut wanted = [scanned, download, cancelled];
    wanted.sort();
    assert_eq!(told, wanted);
    let end = Instant::now() + PATIENCE;
    while !untold(&own).await.is_empty() {
        assert!(Instant::now() < end, "what was told is not looked at again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends that sweep is to tell of.
async fn untold(own: &Own) -> Vec<DataId> {
    let due = scans(own).due(now_ms() + HOUR, 10).await.unwrap().into_iter();
    due.filter(|due| due.record.outcome.is_some()).map(|due| due.record.submission.id).collect()
}

fn data_id(request: &Received) -> String {
    serde_json::from_slice::<Value>(&request.body).unwrap()["data_id"].as_str().unwrap().to_owned()
}

/// A run looks at so many: those that can not be looked at must not be first for ever.
#[tokio::test]
async fn what_can_not_be_looked_at_makes_room_for_others() {
    let own = Own::start_in("e2e-sweep-broken").await;
    let now = now_ms();
    let broken = Submission {
        id: DataId::random(),
        name: "a.txt".into(),
        rule: "File process".into(),
        user_agent: String::new(),
        owner: None,
        metadata: None,
        source: Source::Presigned,
        bucket: own.bucket("UploadBucket"),
        // No object can have it.
        key: String::new(),
        created_at: now,
        deadline_at: now + 24 * HOUR,
        size: 1,
        wishes: Wishes::default(),
    };
    scans(&own).create(&broken, &[], now - 1, now + 48 * HOUR).await.unwrap();
    let swept = own.run_in(0).await;
    assert_eq!((swept.due, swept.errors), (1, 1));
    let swept = own.run_in(0).await;
    assert_eq!((swept.due, swept.errors), (0, 0));
    let swept = own.run_in(1).await;
    assert_eq!((swept.due, swept.errors), (1, 1), "it is tried again");
    assert_eq!(own.sweep_in(25).await.failed, 1, "and ends by its deadline");
}

/// Issue 3, item 4.
#[tokio::test]
async fn a_multipart_upload_that_is_not_finished_in_a_day_ends_and_leaves_nothing() {
    let own = Own::start_in("e2e-sweep-multipart").await;
    let client = &own.client;
    add_rules(client, &[json!({ "name": "Parts", "multipart": true })]).await;
    let id = begin(client).await;
    assert_eq!(part(client, &id, "1").await.status, StatusCode::OK);
    let swept = own.sweep_in(23).await;
    assert_eq!((swept.requested, swept.failed), (1, 0), "its day is not over");
    assert_eq!(client.get(&format!("/file/multipart/{id}")).await.json["status"], "uploading");
    assert_eq!(parts(&own, &id).await, 1);

    assert_eq!(own.sweep_in(24).await.failed, 1);
    let result = client.result(&id).await;
    assert_eq!(verdict(&result), (3, "Blocked", "Failed"));
    assert!(result["process_info"]["blocked_reasons"].to_string().contains("Not all parts"), "{result}");
    let late = part(client, &id, "2").await;
    assert_eq!((late.status, late.err()), (StatusCode::NOT_FOUND, "Not found"));
    assert_eq!(client.get(&format!("/file/multipart/{id}")).await.json["status"], "aborted");
    let end = Instant::now() + PATIENCE;
    while parts(&own, &id).await > 0 {
        assert!(Instant::now() < end, "its parts are removed");
        tokio::time::sleep(PAUSE).await;
    }
}

/// One instance of a function knows a rule some seconds before another: who was told that it is accepted is not refused there.
#[tokio::test]
async fn a_rule_that_is_newer_than_a_cache_counts_for_what_was_accepted_under_it() {
    let own = Own::start_in("e2e-sweep-new-rule").await;
    let (client, content) = (&own.client, unique("new rule"));
    let (url, _source) = source(&[("/a.txt", whole(&content))]).await;
    let upload = portcullis_upload::router(&own.env(), &own.clients).unwrap();
    let to_other = |path: String, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
        upload.clone().oneshot(request.header("apikey", client.key.as_deref().unwrap()).body(Body::from("half")).unwrap())
    };
    // Another instance of upload, and the scan function, read the rules: the host's own upload has not.
    let unknown = to_other("/file/multipart".into(), &[("rule", "Parts"), ("part-count", "2")]).await.unwrap();
    assert_eq!(unknown.status().as_u16(), 400);
    own.clients.s3().put_object().bucket(own.bucket("InboxBucket")).key("a.txt").body(unique("watched").into()).send().await.unwrap();
    while client.get("/admin/history").await.json["entries"].as_array().unwrap().is_empty() {
        tokio::time::sleep(PAUSE).await;
    }
    add_rules(client, &[json!({ "name": "Parts", "multipart": true })]).await;

    let id = begin(client).await;
    let download = client.post_file(Vec::new(), &[("rule", "Parts"), ("downloadfrom", &format!("{url}/a.txt"))]).await;
    assert_eq!(download.status, StatusCode::OK, "{download:?}");
    let accepted = to_other(format!("/file/multipart/{id}"), &[("part-number", "1"), ("content-length", "4")]).await.unwrap();
    assert_eq!(accepted.status().as_u16(), 200);
    assert_eq!(verdict(&client.result(download.json["data_id"].as_str().unwrap()).await).0, 0);
}
