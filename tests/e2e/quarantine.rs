//! Quarantine: what is blocked is held, looked at, taken out locked, released with a trace, deleted when its lock ends.

use std::io::{Cursor, Read};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockRetention, ObjectLockRetentionMode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::{Target, sha256};
use crate::webhooks::Receiver;

/// The entry of a file, once it is held.
pub async fn held(client: &Client, id: &str) -> Value {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = client.get(&format!("/admin/quarantine/{id}")).await;
        if answer.status == StatusCode::OK {
            return answer.json;
        }
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
        assert!(Instant::now() < end, "not in quarantine: {id}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An infected archive that no other test sends, and its id after the verdict.
pub async fn infected(client: &Client, name: &str) -> (Vec<u8>, String) {
    let content = zip(&[("eicar.com", &eicar()), ("note.txt", &unique("quarantine"))]);
    let id = client.submit(content.clone(), &[("filename", name)]).await;
    assert_eq!(verdict(&client.result(&id).await).1, "Blocked");
    (content, id)
}

async fn fetch(url: &Value) -> Vec<u8> {
    // Without a key: the link alone opens it.
    let answer = reqwest::get(url.as_str().unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap().to_vec()
}

async fn download(client: &Client, id: &str, password: Option<&str>) -> Answer {
    let request = client.request(Method::GET, &format!("/admin/quarantine/{id}/download"));
    send(password.into_iter().fold(request, |request, password| request.header("zip-password", password))).await
}

fn unpack(bytes: Vec<u8>, password: &str) -> (String, Vec<u8>) {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut file = archive.by_index_decrypt(0, password.as_bytes()).unwrap();
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    (file.name().unwrap().into_owned(), content)
}

#[tokio::test]
async fn what_is_blocked_is_held_and_taken_out_in_a_locked_zip() {
    let client = Target::client();
    let (content, id) = infected(&client, "folder%2Fbill.zip").await;
    let entry = held(&client, &id).await;
    assert_eq!((entry["data_id"].as_str(), entry["sha256"].as_str()), (Some(id.as_str()), Some(sha256(&content).as_str())), "{entry}");
    assert_eq!((entry["size"].as_u64(), entry["moved"].as_bool(), entry["code"].as_u64()), (Some(content.len() as u64), Some(false), Some(1)));
    assert!(entry["username"].as_str().unwrap().ends_with("/admin"), "{entry}");
    assert!(!Target::get().local || entry["locked_until"].as_str().unwrap() > entry["held_at"].as_str().unwrap(), "{entry}");

    // Newest first, in pages that go on where the one before ended.
    let (_, second) = infected(&client, "second.zip").await;
    held(&client, &second).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let end = Instant::now() + Duration::from_secs(30);
    while !seen.contains(&id) {
        assert!(Instant::now() < end, "{seen:?}");
        let page = client.get(&format!("/admin/quarantine?size=1&cursor={cursor}")).await;
        assert!(page.status == StatusCode::OK && page.json["entries"].as_array().unwrap().len() <= 1, "{page:?}");
        seen.extend(page.json["entries"].as_array().unwrap().iter().map(|entry| entry["data_id"].as_str().unwrap().to_owned()));
        cursor = page.json["cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert!(seen.iter().position(|seen| *seen == second) < seen.iter().position(|seen| *seen == id), "{seen:?}");

    let packed = download(&client, &id, None).await;
    assert_eq!(packed.json["sha256"], entry["sha256"], "{packed:?}");
    let bytes = fetch(&packed.json["url"]).await;
    assert_eq!(packed.json["size"].as_u64(), Some(bytes.len() as u64));
    assert!(!bytes.windows(32).any(|window| window == &content[..32]), "nothing of it can be read");
    assert_eq!(unpack(bytes, "infected"), ("bill.zip".to_owned(), content.clone()));
    let packed = download(&client, &id, Some("another one")).await;
    assert_eq!(unpack(fetch(&packed.json["url"]).await, "another one").1, content);
    assert_eq!(download(&client, &id, Some("")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_release_lets_a_copy_out_and_changes_no_verdict() {
    let client = Target::client();
    let (content, id) = infected(&client, "release.zip").await;
    held(&client, &id).await;
    let path = format!("/admin/quarantine/{id}/restore");
    for wrong in [json!({ "reasons": "x" }), json!({ "reason": 1 }), json!([])] {
        assert_eq!(client.post_json(&path, &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert!(held(&client, &id).await.get("released").is_none());
    let released = client.post_json(&path, &json!({ "reason": "ticket 12" })).await;
    assert_eq!(released.status, StatusCode::OK, "{released:?}");
    assert_eq!(fetch(&released.json["url"]).await, content);
    let entry = held(&client, &id).await;
    assert_eq!((entry["released"]["reason"].as_str(), entry["code"].as_u64()), (Some("ticket 12"), Some(1)), "{entry}");
    assert!(entry["released"]["by"].as_str().unwrap().ends_with("/admin"));
    assert_eq!(verdict(&client.result(&id).await).1, "Blocked");
    // Again, and without a body.
    let again = send(client.request(Method::POST, &path)).await;
    assert_eq!((again.status, fetch(&again.json["url"]).await), (StatusCode::OK, content));
}

#[tokio::test]
async fn a_file_is_deleted_only_after_its_lock_ended() {
    let (client, clients) = (Target::client(), Target::get().clients());
    let (_, id) = infected(&client, "delete.zip").await;
    let entry = held(&client, &id).await;
    let path = format!("/admin/quarantine/{id}");
    let bucket = &Target::get().quarantine;
    let version = clients.s3().head_object().bucket(bucket).key(&id).send().await.unwrap().version_id.unwrap();
    // Who may bypass governance makes the lock another one.
    let lock = async |seconds: i64| {
        let until = DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs() + seconds);
        let retention = ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Governance).retain_until_date(until).build();
        let request = clients.s3().put_object_retention().bucket(bucket).key(&id).version_id(&version).retention(retention);
        request.bypass_governance_retention(true).send().await.unwrap();
    };
    if !Target::get().local {
        // MiniStack gives copies no lock by the bucket's default.
        lock(3600).await;
    }
    let refused = send(client.request(Method::DELETE, &path)).await;
    // Empty where the copy had no lock from the start.
    let locked_until = entry["locked_until"].as_str().unwrap();
    assert!(refused.status == StatusCode::CONFLICT && refused.err().contains(locked_until), "{refused:?}");
    lock(2).await;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = send(client.request(Method::DELETE, &path)).await;
        if answer.status == StatusCode::OK {
            break;
        }
        assert!(answer.status == StatusCode::CONFLICT && Instant::now() < end, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
    assert!(clients.s3().head_object().bucket(bucket).key(&id).version_id(&version).send().await.is_err(), "for good");
    assert_eq!(send(client.request(Method::DELETE, &path)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_clean_or_not_to_be_held_is_not() {
    let client = Target::client();
    let receiver = Receiver::answering(&[200]).await;
    // A callback comes after everything else that follows a verdict.
    let headers = [("callbackurl", receiver.url.as_str()), ("filename", "a.zip")];
    let clean = client.submit(unique("clean"), &headers[..1]).await;
    let open = client.submit(zip(&[("eicar.com", &eicar())]), &[headers[0], headers[1], ("rule", "No quarantine")]).await;
    receiver.wait_for(2).await;
    assert_eq!(verdict(&client.result(&open).await).1, "Blocked");
    for id in [&clean, &open] {
        assert_eq!(client.get(&format!("/admin/quarantine/{id}")).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn only_roles_with_the_right_look_and_only_those_that_may_change_do() {
    let client = Target::client();
    let (_, id) = infected(&client, "rights.zip").await;
    held(&client, &id).await;
    let path = format!("/admin/quarantine/{id}");
    let routes = [
        (Method::GET, "/admin/quarantine".to_owned(), true),
        (Method::GET, path.clone(), true),
        (Method::GET, format!("{path}/download"), true),
        (Method::POST, format!("{path}/restore"), false),
        (Method::DELETE, path.clone(), false),
    ];
    let (auditor, desk) = (user(&["security_auditor"]).await, user(&["help_desk"]).await);
    for (method, path, is_reading) in routes {
        let asked = |client: &Client| send(client.request(method.clone(), &path));
        assert_eq!(asked(&client.with_key(None)).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(asked(&desk).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let expected = if is_reading { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        assert_eq!(asked(&auditor).await.status, expected, "{path}");
    }
    for absent in ["no-id", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(client.get(&format!("/admin/quarantine/{absent}")).await.status, StatusCode::NOT_FOUND);
    }
    for wrong in ["size=0", "size=x", "size=501", "cursor=%2e%2e"] {
        assert_eq!(client.get(&format!("/admin/quarantine?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
