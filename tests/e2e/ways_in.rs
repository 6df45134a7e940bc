//! The other ways in: presigned uploads, and objects that land in watched buckets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::client::{Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;

/// Asks for a presigned upload.
pub async fn presign(headers: &[(&str, &str)]) -> Value {
    presign_with(&Target::client(), headers).await
}

/// Asks for a presigned upload with a client of one's own.
pub async fn presign_with(client: &Client, headers: &[(&str, &str)]) -> Value {
    let request = headers.iter().fold(client.request(Method::POST, "/file/presign"), |request, (name, value)| request.header(*name, *value));
    let answer = send(request.header("Content-Length", "0")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json
}

/// Sends the form, with some of its fields changed.
pub async fn upload(presigned: &Value, content: Vec<u8>, changes: &[(&str, &str)]) -> StatusCode {
    let mut form = Form::new();
    for (name, value) in presigned["fields"].as_object().unwrap() {
        let other = changes.iter().find(|(changed, _)| changed == name).map(|(_, value)| (*value).to_owned());
        form = form.text(name.clone(), other.unwrap_or_else(|| value.as_str().unwrap().to_owned()));
    }
    form = form.part("file", Part::bytes(content).file_name("file"));
    reqwest::Client::new().post(presigned["url"].as_str().unwrap()).multipart(form).send().await.unwrap().status()
}

#[tokio::test]
async fn a_presigned_upload_is_scanned_when_it_lands() {
    let client = Target::client();
    let presigned = presign(&[("filename", "pre%20signed.txt")]).await;
    let id = presigned["data_id"].as_str().unwrap();
    assert!(presigned["expires_in"].as_u64().unwrap() <= 900);
    assert_eq!(client.get(&format!("/file/{id}")).await.json["process_info"]["result"], "Processing", "the id is good at once");
    assert_eq!(upload(&presigned, unique("presigned"), &[]).await, StatusCode::CREATED);
    let result = client.result(id).await;
    assert_eq!(verdict(&result), (0, "Allowed", ""));
    assert_eq!(result["file_info"]["display_name"], "pre signed.txt");

    let bad = presign(&[("filename", "eicar.com")]).await;
    assert_eq!(upload(&bad, eicar(), &[]).await, StatusCode::CREATED);
    assert_eq!(verdict(&client.result(bad["data_id"].as_str().unwrap()).await).0, 1);
}

#[tokio::test]
async fn a_presigned_upload_is_bounded_to_its_key_and_size() {
    let presigned = presign(&[("rule", "Tiny")]).await;
    assert_eq!(presigned["max_file_size"], 1000);
    assert!(upload(&presigned, vec![b'x'; 1001], &[]).await.is_client_error(), "too large");
    assert!(upload(&presigned, Vec::new(), &[]).await.is_client_error(), "empty");
    let other_key = format!("in/{}", uuid::Uuid::new_v4().simple());
    assert!(upload(&presigned, b"x".to_vec(), &[("key", &other_key)]).await.is_client_error(), "another key");
    let zeros = "0".repeat(64);
    assert!(upload(&presigned, b"x".to_vec(), &[("x-amz-signature", &zeros)]).await.is_client_error(), "a wrong signature");
    assert_eq!(upload(&presigned, vec![b'x'; 1000], &[]).await, StatusCode::CREATED, "the form is still good");
    assert_eq!(verdict(&Target::client().result(presigned["data_id"].as_str().unwrap()).await).0, 0);
}

#[tokio::test]
async fn presign_needs_what_a_submission_needs() {
    let open = Target::client().with_key(None);
    let answer = send(open.request(Method::POST, "/file/presign").header("Content-Length", "0")).await;
    assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Access denied"));
    let linked = Target::client().request(Method::POST, "/file/presign").header("downloadfrom", "https://example.com/a");
    let answer = send(linked.header("Content-Length", "0")).await;
    assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains("`downloadfrom`"), "{answer:?}");
}

/// Puts an object into the watched bucket; its version.
async fn put(key: &str, content: Vec<u8>) -> Option<String> {
    let target = Target::get();
    let clients = target.clients();
    clients.s3().put_object().bucket(&target.inbox).key(key).body(content.into()).send().await.unwrap().version_id
}

/// The verdict tags of an object, once they are there.
pub async fn tags(key: &str, version: Option<&str>) -> HashMap<String, String> {
    let target = Target::get();
    let clients = target.clients();
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let request = clients.s3().get_object_tagging().bucket(&target.inbox).key(key).set_version_id(version.map(str::to_owned));
        let set = request.send().await.unwrap().tag_set;
        let tags: HashMap<_, _> = set.into_iter().map(|tag| (tag.key, tag.value)).collect();
        if tags.contains_key("portcullis:verdict") {
            return tags;
        }
        assert!(Instant::now() < end, "no verdict tags: {tags:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_object_in_a_watched_bucket_is_scanned_and_tagged() {
    let client = Target::client();
    let key = format!("team a/grün-{}.txt", uuid::Uuid::new_v4().simple());
    put(&key, unique("object")).await;
    let clean = tags(&key, None).await;
    assert_eq!((clean["portcullis:verdict"].as_str(), clean["portcullis:code"].as_str()), ("clean", "clean"));
    let result = client.result(&clean["portcullis:data_id"]).await;
    assert_eq!(verdict(&result), (0, "Allowed", ""));
    assert!(result["file_info"]["display_name"].as_str().unwrap().ends_with(&key));
    // Its result is not for anyone who guesses the id.
    let anonymous = client.with_key(None).get(&format!("/file/{}", clean["portcullis:data_id"])).await;
    assert_eq!(anonymous.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn each_version_has_its_own_verdict() {
    let key = format!("versions-{}", uuid::Uuid::new_v4().simple());
    let first = put(&key, unique("good")).await;
    let second = put(&key, zip(&[("eicar.com", &eicar())])).await;
    assert!(first.is_some() && first != second);
    let good = tags(&key, first.as_deref()).await;
    let bad = tags(&key, second.as_deref()).await;
    assert_eq!(good["portcullis:verdict"], "clean");
    assert_eq!((bad["portcullis:verdict"].as_str(), bad["portcullis:code"].as_str()), ("blocked", "infected"));
    assert_ne!(good["portcullis:data_id"], bad["portcullis:data_id"]);
}

#[tokio::test]
async fn the_rule_of_the_prefix_applies_and_tags_of_the_owner_stay() {
    let target = Target::get();
    let clients = target.clients();
    let key = format!("strict/{}", uuid::Uuid::new_v4().simple());
    clients.s3().put_object().bucket(&target.inbox).key(&key).tagging("team=blue").body(vec![b'x'; 200].into()).send().await.unwrap();
    let tags = tags(&key, None).await;
    assert_eq!(tags["portcullis:verdict"], "blocked");
    assert_eq!(tags["team"], "blue");
    let result = Target::client().result(&tags["portcullis:data_id"]).await;
    assert_eq!(result["process_info"]["profile"], "Inbox strict");
    assert_eq!(verdict(&result), (3, "Blocked", "Failed"));
    assert!(result["process_info"]["blocked_reasons"].to_string().contains("more than the 100"), "{result}");
}

#[tokio::test]
async fn poison_in_the_queue_ends_with_the_dead_letters_and_costs_nobody_else() {
    let target = Target::get();
    let queue = target.queue(&target.scan_queue);
    let dead = target.queue(&target.dead_letters);
    let before = dead.depth().await.unwrap().waiting;
    for body in ["not json", "{\"Records\":[{}]}", "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}"] {
        queue.send(body).await.unwrap();
    }
    assert_eq!(verdict(&Target::client().scan(unique("beside poison"), &[]).await).0, 0);
    let end = Instant::now() + Duration::from_secs(90);
    while dead.depth().await.unwrap().waiting < before + 2 {
        assert!(Instant::now() < end, "the poison is not with the dead letters");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(dead.depth().await.unwrap().waiting, before + 2, "the test message is none");
}
