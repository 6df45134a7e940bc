//! Session settings over HTTP, on a host of its own: they are everybody's.

use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_core::aws::Clients;
use portcullis_core::clock::now_ms;
use portcullis_core::store::identity::digest;
use portcullis_local::host::Host;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Client, send};
use crate::support::own_host;
use crate::users::{GOOD, created, path, session, until};

const KEY: &str = "administrator-of-sessions-0123456789";

async fn host(name: &str, overrides: &[(&str, &str)]) -> (Host, Client) {
    let host = own_host::start(Path::new(&own_host::folder(name)), KEY, overrides).await;
    let client = Client::new(format!("http://{}", host.addr), Some(KEY));
    (host, client)
}

async fn set(admin: &Client, settings: Value) {
    let answer = admin.put_json("/admin/config/session", &settings).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// Moves a time of a session into the past.
async fn age(host: &Host, client: &Client, attribute: &str, ms: i64) {
    let clients = Clients::for_endpoint(&host.access.endpoint, &host.access.region, &host.access.access_key, &host.access.secret_key);
    let update = clients.dynamodb().update_item().table_name(&host.topology.table("DataTable").unwrap().name);
    let key = format!("SESSION#{}", digest(client.key.as_deref().unwrap()));
    let update = update.key("pk", AttributeValue::S(key)).key("sk", AttributeValue::S("SESSION".into())).update_expression("SET #a = :past");
    let update = update.expression_attribute_names("#a", attribute);
    update.expression_attribute_values(":past", AttributeValue::N((now_ms() - ms).to_string())).send().await.unwrap();
}

#[tokio::test]
async fn settings_take_effect_on_sessions_that_are_open() {
    let (host, admin) = host("sessions", &[]).await;
    let read = admin.get("/admin/config/session").await.json;
    assert_eq!(read, json!({ "sessionTimeout": 300_000, "absoluteSessionTimeout": 0, "allowCrossIpSessions": true, "allowDuplicateSession": true }));
    let user = created(&admin, json!({ "password": GOOD })).await;
    let name = user["name"].as_str().unwrap();

    // Tightened times, and loosened again for one that was not used meanwhile.
    let (young, old) = (session(&admin, name, GOOD).await, session(&admin, name, GOOD).await);
    age(&host, &old, "created_at", 60_000).await;
    assert_eq!(old.get("/version").await.status, StatusCode::OK);
    set(&admin, json!({ "absoluteSessionTimeout": 30_000 })).await;
    until(&old, StatusCode::FORBIDDEN).await;
    assert_eq!(young.get("/version").await.status, StatusCode::OK);
    set(&admin, json!({ "absoluteSessionTimeout": 0, "sessionTimeout": 600_000 })).await;
    age(&host, &young, "last_used", 400_000).await;
    until(&young, StatusCode::OK).await;
    age(&host, &young, "last_used", 601_000).await;
    assert_eq!(young.get("/version").await.status, StatusCode::FORBIDDEN);

    // Without duplicates the newest is the only one.
    let (first, second) = (session(&admin, name, GOOD).await, session(&admin, name, GOOD).await);
    assert_eq!(first.get("/version").await.status, StatusCode::OK);
    set(&admin, json!({ "allowDuplicateSession": false })).await;
    until(&first, StatusCode::FORBIDDEN).await;
    assert_eq!(second.get("/version").await.status, StatusCode::OK);
    let third = session(&admin, name, GOOD).await;
    assert_eq!((second.get("/version").await.status, third.get("/version").await.status), (StatusCode::FORBIDDEN, StatusCode::OK));
    assert_eq!(admin.get("/version").await.status, StatusCode::OK, "a static key is no session");
    host.stop().await;
}

#[tokio::test]
async fn without_leave_a_session_stays_with_its_address() {
    let (host, admin) = host("sessions-ip", &[("PORTCULLIS_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let user = created(&admin, json!({ "password": GOOD })).await;
    let body = json!({ "user": user["name"], "password": GOOD }).to_string();
    let open = admin.with_key(None);
    let login = send(open.request(Method::POST, "/login").header("X-Forwarded-For", "198.51.100.7").body(body)).await;
    let session = admin.with_key(login.json["session_id"].as_str());
    let from = |ip: &'static str| send(session.request(Method::GET, "/version").header("X-Forwarded-For", ip));
    assert_eq!(from("198.51.100.8").await.status, StatusCode::OK);
    set(&admin, json!({ "allowCrossIpSessions": false })).await;
    let end = Instant::now() + Duration::from_secs(30);
    while from("198.51.100.8").await.status != StatusCode::FORBIDDEN {
        assert!(Instant::now() < end, "the setting never took effect");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(from("198.51.100.7").await.status, StatusCode::OK);
    assert_eq!(from("6.6.6.6, 198.51.100.7").await.status, StatusCode::OK, "what the client wrote before it does not count");
    assert_eq!(session.get("/version").await.status, StatusCode::FORBIDDEN);
    let listed = admin.get(&format!("{}/session", path(&user))).await.json;
    assert_eq!(listed[0]["ip"], "198.51.100.7");
    host.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let (host, admin) = host("sessions-list", &[]).await;
    let user = created(&admin, json!({ "password": GOOD, "roles": ["1"] })).await;
    let name = user["name"].as_str().unwrap();
    let (one, two) = (session(&admin, name, GOOD).await, session(&admin, name, GOOD).await);
    let path_of = format!("{}/session", path(&user));
    let listed = two.get(&path_of).await.json;
    let sessions = listed.as_array().unwrap();
    assert_eq!(sessions.iter().map(|session| &session["current"]).collect::<Vec<_>>(), [&json!(true), &json!(false)], "newest first: {listed}");
    assert!(!listed.to_string().contains(one.key.as_deref().unwrap()));
    assert_eq!(admin.delete(&format!("{path_of}/{}", sessions[1]["id"].as_str().unwrap())).await.status, StatusCode::OK);
    assert_eq!((one.get("/version").await.status, two.get("/version").await.status), (StatusCode::FORBIDDEN, StatusCode::OK));
    assert_eq!(admin.delete(&format!("{path_of}/0123456789abcdef")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.delete(&path_of).await.status, StatusCode::OK);
    assert_eq!(two.get("/version").await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.get(&path_of).await.json, json!([]));
    let again = session(&admin, name, GOOD).await;
    assert_eq!(again.get("/version").await.status, StatusCode::OK);
    // Who is disabled is out at once, with sessions and key.
    assert_eq!(admin.put_json(&path(&user), &json!({ "enabled": false })).await.status, StatusCode::OK);
    assert_eq!(again.get("/version").await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.put_json(&path(&user), &json!({ "enabled": true })).await.status, StatusCode::OK);
    assert_eq!(again.get("/version").await.status, StatusCode::FORBIDDEN, "what has ended does not come back");
    host.stop().await;
}
