//! Retro-hunt: what was clean yesterday is judged again by the rules of today.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_core::domain::event::Task;
use portcullis_core::domain::id::DataId;
use portcullis_core::rescan::Job;
use portcullis_core::store::settings::Settings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::{Client, send, verdict};
use crate::support::files::{unique, zip};
use crate::target::{CLEAN_BUCKET, Target, sha256};
use crate::ways_in::tags;
use crate::webhooks::Receiver;

const PATH: &str = "/admin/rescan";
/// A rule that only these files are under.
const RULE: &str = "Rescan";

/// The running rescan, swept to its end.
async fn ended(client: &Client) -> Value {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        Target::get().sweep().await;
        let shown = client.get(PATH).await.json;
        if shown["status"] != "running" {
            return shown;
        }
        assert!(Instant::now() < end, "{shown}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn start(client: &Client, body: &Value) -> String {
    let started = client.post_json(PATH, body).await;
    assert_eq!((started.status, started.json["status"].as_str()), (StatusCode::OK, Some("running")), "{started:?}");
    started.json["id"].as_str().unwrap().to_owned()
}

fn counts(shown: &Value) -> [u64; 5] {
    ["unchanged", "changed", "cleared", "gone", "failed"].map(|count| shown[count].as_u64().unwrap())
}

/// The one entry of the history with this in its name.
async fn entry(client: &Client, mark: &str) -> Value {
    client.get(&format!("/admin/history?q={mark}")).await.json["entries"][0].clone()
}

/// Removes a submitted file, all versions of it.
async fn remove_upload(id: &str) {
    let (target, key) = (Target::get(), format!("in/{id}"));
    let clients = target.clients();
    let versions = clients.s3().list_object_versions().bucket(&target.uploads).prefix(&key).send().await.unwrap();
    for version in versions.versions.unwrap_or_default() {
        clients.s3().delete_object().bucket(&target.uploads).key(&key).set_version_id(version.version_id).send().await.unwrap();
    }
}

/// The verdict that the promoted copy of an object is tagged with.
async fn promoted(key: &str) -> String {
    let clients = Target::get().clients();
    let tagging = clients.s3().get_object_tagging().bucket(CLEAN_BUCKET).key(format!("landed/{key}")).send().await.unwrap();
    tagging.tag_set.into_iter().find(|tag| tag.key == "portcullis:verdict").map(|tag| tag.value).unwrap_or_default()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one rescan at a time: its steps follow each other")]
async fn a_new_rule_finds_what_was_clean_tells_that_once_and_nothing_else() {
    let (client, target) = (Target::client(), Target::get());
    let (clients, settings) = (target.clients(), Settings::new(target.clients().dynamodb().clone(), &target.table));
    let mark = format!("e2e-rescan-{}", uuid::Uuid::new_v4().simple());
    let from = portcullis_core::clock::iso(portcullis_core::clock::now_ms() - 1000);
    let (told, quiet) = (Receiver::answering(&[200]).await, Receiver::answering(&[200]).await);

    // Clean: a marked file, one in an archive of a batch, one in a watched bucket, one that is gone, and one without the mark.
    let (marked, inner, other) = (unique(&mark), unique(&mark), unique("nothing in it"));
    let name = format!("{mark}.txt");
    let of_rule = |url: &'static str| [("rule", RULE), ("callbackurl", url)];
    let told_url: &'static str = told.url.clone().leak();
    let quiet_url: &'static str = quiet.url.clone().leak();
    let first = client.scan(marked.clone(), &[&[("filename", name.as_str())], of_rule(told_url).as_slice()].concat()).await;
    let unmarked = client.scan(other.clone(), &[&[("filename", "b.txt")], of_rule(quiet_url).as_slice()].concat()).await;
    let batch = client.post_json("/file/batch", &json!({})).await.json["batch_id"].as_str().unwrap().to_owned();
    let archive = client.scan(zip(&[("a.txt", &inner), ("b.txt", b"b")]), &[("filename", "a.zip"), ("rule", RULE), ("batch", &batch)]).await;
    send(client.request(Method::POST, &format!("/file/batch/{batch}/close")).header("Content-Length", "0")).await;
    let lost = client.scan(unique(&mark), &[("filename", "c.txt"), ("rule", RULE)]).await;
    let key = format!("rescan/{mark}.txt");
    clients.s3().put_object().bucket(&target.inbox).key(&key).body(unique(&mark).into()).send().await.unwrap();
    assert_eq!(tags(&key, None).await["portcullis:verdict"], "clean");
    for result in [&first, &unmarked, &archive, &lost] {
        assert_eq!(verdict(result), (0, "Allowed", ""));
    }
    let closed = client.get(&format!("/file/batch/{batch}")).await;
    assert_eq!(closed.json["process_info"]["result"], "Allowed", "{closed:?}");
    let lost_id = lost["data_id"].as_str().unwrap();
    remove_upload(lost_id).await;
    told.wait_for(1).await;
    quiet.wait_for(1).await;
    // The index follows the table: all five must be in it.
    let end = Instant::now() + Duration::from_secs(30);
    while client.get(&format!("/admin/history?from={from}&rule={RULE}")).await.json["entries"].as_array().unwrap().len() < 5 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    assert_eq!(promoted(&key).await, "clean");

    // The rule comes, and the rescan at once: who judges again looks for new definitions first.
    let rule = format!("rule e2e_rescan {{ strings: $a = \"{mark}\" condition: $a }}");
    let rule_key = format!("yara/{mark}.yar");
    clients.s3().put_object().bucket(&target.definitions).key(&rule_key).body(rule.into_bytes().into()).send().await.unwrap();
    let job = start(&client, &json!({ "from": from, "rule": RULE, "per_minute": 600 })).await;
    assert_eq!(client.post_json(PATH, &json!({ "from": from })).await.status, StatusCode::CONFLICT);
    // A sweep that dies after its messages and before it says so: the next one sends all of them again.
    let before = settings.versioned::<Job>(Job::NAME).await.unwrap().0.unwrap();
    target.sweep().await;
    settings.put(Job::NAME, &before).await.unwrap();
    let shown = ended(&client).await;
    assert_eq!((shown["status"].as_str(), shown["handed_out"].as_u64()), (Some("done"), Some(5)), "{shown}");
    assert_eq!(counts(&shown), [1, 3, 0, 1, 0], "{shown}");
    assert_eq!(shown["files"].as_array().unwrap().len(), 3, "{shown}");

    // Under the original id, by hash, in the archive, in the batch, in the history and on the object itself.
    let id = first["data_id"].as_str().unwrap();
    let now = client.result(id).await;
    assert_eq!(verdict(&now), (21, "Blocked", "Yara Rule Matched"));
    assert_eq!(now["file_info"]["upload_timestamp"], first["file_info"]["upload_timestamp"]);
    let by_hash = client.get(&format!("/hash/{}", sha256(&marked))).await.json;
    assert_eq!((verdict(&by_hash).0, &by_hash["data_id"]), (21, &json!(id)));
    let archive_id = archive["data_id"].as_str().unwrap();
    let archive_now = client.result(archive_id).await;
    assert_eq!(verdict(&archive_now).1, "Blocked");
    let worst = archive_now["extracted_files"]["worst_data_id"].as_str().unwrap();
    assert_eq!(verdict(&client.get(&format!("/file/{worst}")).await.json).0, 21);
    assert_eq!(verdict(&client.get(&format!("/hash/{}", sha256(&inner))).await.json).0, 21);
    let batch_now = client.get(&format!("/file/batch/{batch}")).await.json;
    assert_eq!(batch_now["process_info"]["result"], "Blocked", "{batch_now}");
    assert_eq!(tags(&key, None).await["portcullis:verdict"], "blocked");
    assert_eq!(promoted(&key).await, "blocked", "the copy in the clean bucket");
    let listed = entry(&client, &name).await;
    assert_eq!((listed["code"].as_u64(), &listed["result"]), (Some(21), &json!("Blocked")), "{listed}");
    assert!(listed["revised_at"].is_string(), "{listed}");
    // What did not change, or could not be looked at, stays.
    assert_eq!(verdict(&client.result(lost_id).await).0, 0);
    assert_eq!(verdict(&client.get(&format!("/hash/{}", sha256(&other))).await.json).0, 0);

    // One webhook, with an id of its own and the result of the original.
    let requests = told.wait_for(2).await;
    assert_ne!(requests[1].headers["webhook-id"], requests[0].headers["webhook-id"]);
    let body: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!((&body["data_id"], verdict(&body).0), (&json!(id), 21));
    // A worker that died after it wrote the verdict and before it counted: its message comes again.
    let file = DataId::parse(id).unwrap();
    let text = |text: String| AttributeValue::S(text);
    for (pk, sk) in
        [(format!("RESCAN#{job}"), format!("FILE#{}", file.group())), (format!("SCAN#{}", Job::scan_id(&job, &file).group()), "META".into())]
    {
        clients.dynamodb().delete_item().table_name(&target.table).key("pk", text(pk)).key("sk", text(sk)).send().await.unwrap();
    }
    settings.put(Job::NAME, &Job { fed: 6, shard: u32::MAX, ..before }).await.unwrap();
    let queue = target.queue(&target.scan_queue);
    for _ in 0..3 {
        queue.ask(Task::Rescan { data_id: file.clone(), job: job.clone() }).await.unwrap();
    }
    let again = ended(&client).await;
    assert_eq!(counts(&again), [1, 4, 0, 1, 0], "counted once for three messages: {again}");
    assert_eq!(verdict(&client.result(id).await).0, 21);

    // The rule goes. What was held back stays so, unless somebody asks for it to be let through.
    clients.s3().delete_object().bucket(&target.definitions).key(&rule_key).send().await.unwrap();
    start(&client, &json!({ "from": from, "rule": RULE, "code": 21, "per_minute": 600 })).await;
    let cleared = ended(&client).await;
    assert_eq!(counts(&cleared), [0, 0, 3, 0, 0], "{cleared}");
    assert_eq!(verdict(&client.result(id).await).0, 21);
    assert_eq!(tags(&key, None).await["portcullis:verdict"], "blocked");
    start(&client, &json!({ "from": from, "rule": RULE, "result": "Blocked", "per_minute": 600, "release": true })).await;
    let released = ended(&client).await;
    assert_eq!(counts(&released), [0, 3, 0, 0, 0], "{released}");
    assert_eq!(verdict(&client.result(id).await), (0, "Allowed", ""));
    assert_eq!((tags(&key, None).await["portcullis:verdict"].as_str(), promoted(&key).await.as_str()), ("clean", "clean"));
    assert_eq!(client.get(&format!("/file/batch/{batch}")).await.json["process_info"]["result"], "Allowed");
    assert_eq!(told.wait_for(3).await.len(), 3, "once for each change");
    assert_eq!(quiet.all().len(), 1, "nothing is told of what did not change");

    // Stopped: what is in the queue is passed over.
    let stopped = start(&client, &json!({ "from": from, "rule": RULE, "per_minute": 1 })).await;
    let answer = send(client.request(Method::DELETE, PATH)).await;
    assert_eq!((answer.status, answer.json["status"].as_str()), (StatusCode::OK, Some("cancelled")), "{answer:?}");
    queue.ask(Task::Rescan { data_id: file, job: stopped }).await.unwrap();
    target.sweep().await;
    let shown = client.get(PATH).await.json;
    assert_eq!((shown["status"].as_str(), counts(&shown)), (Some("cancelled"), [0; 5]), "{shown}");
}

#[tokio::test]
async fn rescans_are_the_business_of_roles_with_the_right() {
    let desk = user(&["help_desk"]).await;
    assert_eq!(desk.get(PATH).await.status, StatusCode::OK);
    assert_eq!(desk.post_json(PATH, &json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(desk.request(Method::DELETE, PATH)).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(desk.with_key(None).get(PATH).await.status, StatusCode::FORBIDDEN);
    let admin = Target::client();
    let wrong = admin.post_json(PATH, &json!({ "from": "yesterday" })).await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.err().contains("`from`"), "{wrong:?}");
    let path = "/admin/config/rescan";
    let default = desk.get(path).await.json;
    assert_eq!(default, json!({ "automatic": false, "days": 7, "per_minute": 60 }));
    let put = |client: &Client, body: Value| send(client.request(Method::PUT, path).body(body.to_string()));
    assert_eq!(put(&desk, default.clone()).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let wrong = put(&admin, json!({ "days": 0 })).await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.err().contains("`days`"), "{wrong:?}");
    let written = put(&admin, json!({ "days": 8 })).await;
    assert_eq!((written.status, &written.json["days"]), (StatusCode::OK, &json!(8)));
}
