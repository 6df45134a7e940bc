//! The audit log over HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::auth::user;
use crate::target::Target;
use crate::users::{GOOD, created, login, path};

async fn entries(query: &str) -> Vec<Value> {
    let answer = Target::client().get(&format!("/admin/auditlog?size=500&{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json["entries"].as_array().unwrap().clone()
}

/// Entries about one user, oldest first.
async fn about(user: &Value, query: &str) -> Vec<Value> {
    let target = format!("user/{}", user["id"]);
    entries(query).await.into_iter().rev().filter(|entry| entry["target"] == target).collect()
}

#[tokio::test]
async fn changes_are_told_with_who_from_where_before_and_after_and_without_secrets() {
    let admin = Target::client();
    let key = uuid::Uuid::new_v4().to_string();
    let subject = created(&admin, json!({ "password": GOOD, "apikey": key })).await;
    let name = subject["name"].as_str().unwrap();
    admin.put_json(&path(&subject), &json!({ "email": "a@b.c", "password": "another horse altogether" })).await;
    login(&admin, name, "wrong").await;
    login(&admin, name, "another horse altogether").await;
    admin.delete(&path(&subject)).await;
    let told = about(&subject, "").await;
    let actions: Vec<_> = told.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.create", "user.update", "login.failed", "login", "user.delete"]);
    let [create, update, failed, ..] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&create["before"], &create["after"]["apikey"], &create["user"]), (&Value::Null, &json!("***"), &json!("LOCAL/admin")));
    assert_eq!((&update["before"]["email"], &update["after"]["email"]), (&json!(""), &json!("a@b.c")));
    assert_eq!((&update["before"]["password"], &update["after"]["password"]), (&json!("***"), &json!("*** (new)")), "that it is another one");
    assert_eq!(failed["user"], "anonymous");
    for entry in &told {
        assert!(!entry["ip"].as_str().unwrap().is_empty() && !entry["request_id"].as_str().unwrap().is_empty(), "{entry}");
    }
    let all = serde_json::to_string(&told).unwrap();
    assert!(!all.contains(&key) && !all.contains("horse") && !all.contains("argon2"), "{all}");
    assert_eq!(about(&subject, "action=user").await.len(), 3);
    assert_eq!(about(&subject, &format!("user=LOCAL/{name}")).await.len(), 1, "his own login");
    assert!(about(&subject, "to=2020-01-01").await.is_empty());
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended() {
    let admin = Target::client();
    for _ in 0..3 {
        created(&admin, json!({})).await;
    }
    // Others write at the same time: a range that is over does not change.
    let to = portcullis_core::clock::iso(portcullis_core::clock::now_ms() - 1);
    let whole: Vec<Value> = entries(&format!("to={to}")).await.into_iter().take(6).collect();
    let (mut paged, mut next) = (Vec::new(), String::new());
    while paged.len() < whole.len() {
        let answer = admin.get(&format!("/admin/auditlog?to={to}&size=2{next}")).await;
        paged.extend(answer.json["entries"].as_array().unwrap().clone());
        let Some(cursor) = answer.json["cursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn settings_leave_entries_and_only_who_may_reads_them() {
    let auditor = user(&["3"]).await;
    assert_eq!(auditor.get("/admin/auditlog").await.status, StatusCode::OK);
    let desk = user(&["4"]).await;
    assert_eq!(desk.get("/admin/auditlog").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(Target::client().with_key(None).get("/admin/auditlog").await.status, StatusCode::FORBIDDEN);
    for query in ["from=x", "size=0", "cursor=1", "page=1"] {
        let answer = auditor.get(&format!("/admin/auditlog?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {answer:?}");
    }
    let admin = Target::client();
    let settings = admin.get("/admin/config/webhook").await.json;
    assert_eq!(admin.put_json("/admin/config/webhook", &settings).await.status, StatusCode::OK);
    let told = entries("action=config.webhook").await;
    assert_eq!(told[0]["action"], "config.webhook.write", "{told:?}");
}
