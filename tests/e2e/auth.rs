//! Who may do what: the table of the contract's §5.7.

use std::time::Duration;

use portcullis_core::store::identity::digest;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::client::Client;
use crate::support::files::unique;
use crate::target::{PASSWORD, Target};

/// A user with these roles; a client with his key.
pub async fn user(roles: &[&str]) -> Client {
    let (name, key) = (format!("user-{}", uuid::Uuid::new_v4().simple()), uuid::Uuid::new_v4().to_string());
    let admin = Target::client();
    let answer = admin.post_json("/admin/user", &json!({ "name": name, "roles": roles, "apikey": key, "password": "secret enough" })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.json.get("password").is_none() && answer.json.get("apikey").is_none());
    admin.with_key(Some(&key))
}

/// A password for `/login`: the local host's administrator has one, elsewhere a user made for this.
async fn credentials() -> (String, &'static str) {
    if Target::get().local {
        return ("admin".into(), PASSWORD);
    }
    let name = format!("login-{}", uuid::Uuid::new_v4().simple());
    let answer = Target::client().post_json("/admin/user", &json!({ "name": name, "roles": ["1"], "password": PASSWORD })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    (name, PASSWORD)
}

#[tokio::test]
async fn a_session_is_a_key_until_logout() {
    let open = Target::client().with_key(None);
    let (user, password) = credentials().await;
    let answer = open.post_json("/login", &json!({ "user": user, "password": password })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let session = answer.json["session_id"].as_str().unwrap().to_owned();
    assert_eq!(session.len(), 32);
    let client = open.with_key(Some(&session));
    assert_eq!(client.get("/version").await.status, StatusCode::OK);
    let scanned = client.scan(unique("session"), &[]).await;
    assert_eq!(scanned["process_info"]["username"], format!("LOCAL/{user}"));
    assert_eq!(open.get(&format!("/version?apikey={session}")).await.status, StatusCode::OK, "the key may come in the query");
    let logout = client.post_json("/logout", &json!({})).await;
    assert_eq!((logout.status, &logout.json), (StatusCode::OK, &json!({ "response": "Logout success" })));
    assert_eq!(client.get("/version").await.status, StatusCode::FORBIDDEN);
    let again = client.post_json("/logout", &json!({})).await;
    assert_eq!((again.status, &again.json), (StatusCode::FORBIDDEN, &json!({ "response": "Access denied" })));
    assert_eq!(open.post_json("/logout", &json!({})).await.err(), "Logout error");
}

#[tokio::test]
async fn an_expired_session_is_no_key() {
    let target = Target::get();
    let open = Target::client().with_key(None);
    let (user, password) = credentials().await;
    let login = open.post_json("/login", &json!({ "user": user, "password": password })).await;
    let session = login.json["session_id"].as_str().unwrap().to_owned();
    let client = open.with_key(Some(&session));
    assert_eq!(client.get("/version").await.status, StatusCode::OK);
    // Time is moved, not slept: six minutes without a call.
    let clients = target.clients();
    let past = portcullis_core::clock::now_ms() - 6 * 60_000;
    clients
        .dynamodb()
        .update_item()
        .table_name(&target.table)
        .key("pk", aws_sdk_dynamodb::types::AttributeValue::S(format!("SESSION#{}", digest(&session))))
        .key("sk", aws_sdk_dynamodb::types::AttributeValue::S("SESSION".into()))
        .update_expression("SET last_used = :past")
        .expression_attribute_values(":past", aws_sdk_dynamodb::types::AttributeValue::N(past.to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(client.get("/version").await.status, StatusCode::FORBIDDEN);
    let answer = client.post_file(unique("late"), &[]).await;
    assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Access denied"));
}

#[tokio::test]
async fn wrong_credentials_all_look_the_same() {
    let open = Target::client().with_key(None);
    for body in
        [json!({ "user": "admin", "password": "wrong" }), json!({ "user": "nobody", "password": "wrong" }), json!({ "user": "", "password": "" })]
    {
        let answer = open.post_json("/login", &body).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::FORBIDDEN, "Failed to login"), "{body}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_400_on_files_and_403_elsewhere() {
    let bad = Target::client().with_key(Some("not-a-key-at-all-0123456789abcdef"));
    let answer = bad.post_file(unique("x"), &[]).await;
    assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Access denied"));
    assert_eq!(bad.get("/file/0123456789abcdef0123456789abcdef").await.status, StatusCode::BAD_REQUEST);
    for path in ["/version", "/stat/engines", "/file/rules", "/stat/nodes", "/admin/user"] {
        let answer = bad.get(path).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::FORBIDDEN, "Access denied"), "{path}");
    }
    let long = Target::client().with_key(Some(&"k".repeat(500)));
    assert_eq!(long.post_file(unique("x"), &[]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_key_only_what_is_open() {
    let open = Target::client().with_key(None);
    for path in ["/version", "/stat/engines", "/file/rules", "/readyz"] {
        assert_eq!(open.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(open.get("/stat/nodes").await.status, StatusCode::FORBIDDEN);
    assert_eq!(open.get("/admin/user").await.status, StatusCode::FORBIDDEN);
    let refused = open.post_file(unique("closed rule"), &[]).await;
    assert_eq!((refused.status, refused.err()), (StatusCode::BAD_REQUEST, "Access denied"));
    // A rule that is open; what was submitted without a key is read without one.
    let result = open.scan(unique("open rule"), &[("rule", "Open")]).await;
    assert_eq!((&result["process_info"]["username"], &result["process_info"]["result"]), (&json!(""), &json!("Allowed")));
}

#[tokio::test]
async fn a_key_without_rights_is_told_405_and_sees_only_its_own() {
    let plain = user(&[]).await;
    for path in ["/stat/nodes", "/admin/user"] {
        let answer = plain.get(path).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::METHOD_NOT_ALLOWED, "Access denied"), "{path}");
    }
    let own = plain.scan(unique("mine"), &[]).await;
    let foreign = Target::client().scan(unique("not mine"), &[]).await;
    let (own_id, foreign_id) = (own["data_id"].as_str().unwrap(), foreign["data_id"].as_str().unwrap());
    assert_eq!(plain.get(&format!("/file/{foreign_id}")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(plain.with_key(None).get(&format!("/file/{own_id}")).await.status, StatusCode::FORBIDDEN);
    let hash = foreign["file_info"]["sha256"].as_str().unwrap();
    assert_eq!(plain.get(&format!("/hash/{hash}")).await.json, json!({ hash: "Not Found" }), "a hash tells nothing of others");
    let many = plain.post_json("/hash", &json!({ "hash": [hash] })).await.json;
    assert_eq!(many, json!([{ "hash": hash, "scan_result": 5, "data_id": null }]), "and many tell no more");
    // A help desk may read results of anyone, and use a rule that is for it.
    let desk = user(&["4"]).await;
    assert_eq!(desk.get(&format!("/file/{own_id}")).await.status, StatusCode::OK);
    let refused = plain.post_file(unique("x"), &[("rule", "Desk")]).await;
    assert_eq!((refused.status, refused.err()), (StatusCode::FORBIDDEN, "Access denied"));
    assert_eq!(desk.scan(unique("desk"), &[("rule", "Desk")]).await["process_info"]["profile"], "Desk");
}

#[tokio::test]
async fn new_users_are_checked() {
    let admin = Target::client();
    let taken = format!("taken-{}", uuid::Uuid::new_v4().simple());
    assert_eq!(admin.post_json("/admin/user", &json!({ "name": taken, "roles": ["1"] })).await.status, StatusCode::OK);
    assert_eq!(admin.post_json("/admin/user", &json!({ "name": taken, "roles": ["1"] })).await.status, StatusCode::CONFLICT);
    for body in [
        json!({}),
        json!({ "name": "a/b", "roles": [] }),
        json!({ "name": "x", "roles": ["99"] }),
        json!({ "name": "x", "roles": [], "apikey": "short" }),
        json!([]),
    ] {
        assert_eq!(admin.post_json("/admin/user", &body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let users = admin.get("/admin/user").await.json;
    assert!(users.as_array().unwrap().iter().any(|user| user["id"] == 2 && user["name"] == "admin"));
}

#[tokio::test]
async fn hot_polling_of_a_good_id_is_never_refused() {
    let client = Target::client();
    let id = client.submit(unique("hot"), &[]).await;
    let end = std::time::Instant::now() + Duration::from_secs(2);
    let mut last = 0;
    while std::time::Instant::now() < end {
        let answer = client.get(&format!("/file/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let progress = answer.json["process_info"]["progress_percentage"].as_u64().unwrap();
        assert!(progress >= last, "progress only rises");
        last = progress;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
