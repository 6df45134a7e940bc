//! Users, keys, passwords, lockout and directories over HTTP.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use portcullis_core::clock::now_ms;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client, send};
use crate::support::own_host;
use crate::target::Target;

pub const GOOD: &str = "correct horse battery";

/// A name nobody has.
pub fn fresh(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4().simple())
}

/// A user as he was created; panics when he was not.
pub async fn created(admin: &Client, fields: Value) -> Value {
    let mut body = json!({ "name": fresh("user"), "roles": [] });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = admin.post_json("/admin/user", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json
}

pub fn path(user: &Value) -> String {
    format!("/admin/user/{}", user["id"])
}

pub async fn login(client: &Client, user: &str, password: &str) -> Answer {
    client.with_key(None).post_json("/login", &json!({ "user": user, "password": password })).await
}

/// A client with a session.
pub async fn session(client: &Client, user: &str, password: &str) -> Client {
    let answer = login(client, user, password).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    client.with_key(answer.json["session_id"].as_str())
}

/// Waits until `GET /version` answers this: keys are believed for some seconds.
pub async fn until(client: &Client, status: StatusCode) {
    let end = Instant::now() + Duration::from_secs(30);
    while client.get("/version").await.status != status {
        assert!(Instant::now() < end, "never {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_user_is_read_changed_and_deleted() {
    let admin = Target::client();
    let user = created(
        &admin,
        json!({ "directory_id": "1", "email": "a@example.com", "ui_settings": { "refresh_rate": { "value": 30 } }, "roles": ["help_desk"] }),
    )
    .await;
    assert_eq!((&user["roles"], &user["display_name"], &user["version"]), (&json!(["4"]), &user["name"], &json!(1)));
    let path = path(&user);
    let changed = admin.put_json(&path, &json!({ "display_name": "Ann", "directory_id": 1 })).await.json;
    assert_eq!((&changed["display_name"], &changed["email"], &changed["version"]), (&json!("Ann"), &json!("a@example.com"), &json!(2)));
    let read = admin.get(&path).await.json;
    assert_eq!(read["ui_settings"], json!({ "refresh_rate": { "value": 30 } }));
    // What was read can be sent back, and changes nothing.
    assert_eq!(admin.put_json(&path, &read).await.json["version"], 2);
    let stale = admin.put_json(&path, &json!({ "version": 1, "email": "b@example.com" })).await;
    assert_eq!((stale.status, stale.err().contains("`2`")), (StatusCode::CONFLICT, true), "{stale:?}");
    let matched = send(admin.request(Method::PUT, &path).header("If-Match", "\"2\"").body(r#"{"email":"b@example.com"}"#)).await;
    assert_eq!((matched.status, &matched.json["version"]), (StatusCode::OK, &json!(3)));
    let listed = admin.get("/admin/user").await.json;
    assert!(listed.as_array().unwrap().iter().any(|one| one["id"] == user["id"] && one["email"] == "b@example.com"));

    let gone = send(admin.request(Method::DELETE, &path).body(json!({ "name": user["name"] }).to_string())).await;
    assert_eq!(gone.status, StatusCode::OK, "a body is ignored: {gone:?}");
    for answer in [admin.get(&path).await, admin.put_json(&path, &json!({})).await, admin.delete(&path).await, admin.get("/admin/user/abc").await] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    }
    assert_eq!(admin.post_json("/admin/user", &json!({ "name": user["name"], "roles": [] })).await.status, StatusCode::OK, "the name is free");
}

#[tokio::test]
async fn a_key_is_rotated_and_revoked_everywhere_within_seconds() {
    let admin = Target::client();
    let (old, new) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
    let user = created(&admin, json!({ "apikey": old })).await;
    let (with_old, with_new) = (admin.with_key(Some(&old)), admin.with_key(Some(&new)));
    assert_eq!(with_old.get("/version").await.status, StatusCode::OK);
    assert_eq!(admin.put_json(&path(&user), &json!({ "api_key": new })).await.status, StatusCode::OK);
    assert_eq!(with_new.get("/version").await.status, StatusCode::OK);
    until(&with_old, StatusCode::FORBIDDEN).await;
    let taken = admin.post_json("/admin/user", &json!({ "name": fresh("thief"), "roles": [], "apikey": new })).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{taken:?}");
    assert_eq!(admin.put_json(&path(&user), &json!({ "apikey": null })).await.json["has_apikey"], false);
    until(&with_new, StatusCode::FORBIDDEN).await;
}

#[tokio::test]
async fn nobody_gives_or_takes_over_rights_that_he_does_not_have() {
    let admin = Target::client();
    let role = admin.post_json("/admin/role", &json!({ "name": fresh("managers"), "rights": { "users": ["read", "write"] } })).await.json;
    let role_id = role["id"].to_string();
    let key = uuid::Uuid::new_v4().to_string();
    let own = created(&admin, json!({ "roles": [role_id], "apikey": key })).await;
    let manager = admin.with_key(Some(&key));
    let deputy = created(&manager, json!({ "roles": [role_id] })).await;
    assert_eq!(manager.put_json(&path(&deputy), &json!({ "roles": [] })).await.status, StatusCode::OK);
    let boss = created(&admin, json!({ "roles": ["1"], "password": GOOD })).await;
    for answer in [
        manager.post_json("/admin/user", &json!({ "name": fresh("root"), "roles": ["1"] })).await,
        manager.post_json("/admin/user", &json!({ "name": fresh("desk"), "roles": ["help_desk"] })).await,
        manager.put_json(&path(&own), &json!({ "roles": ["1"] })).await,
        manager.put_json(&path(&boss), &json!({ "password": "mine from now on" })).await,
        manager.put_json(&path(&boss), &json!({ "api_key": "mine-from-now-on-0123456789" })).await,
        manager.delete(&path(&boss)).await,
        manager.post_json(&format!("{}/unlock", path(&boss)), &json!({})).await,
        manager.delete(&format!("{}/session", path(&boss))).await,
        manager.post_json("/admin/role", &json!({ "name": fresh("root"), "rights": { "scan": ["write"] } })).await,
        manager.put_json(&format!("/admin/role/{role_id}"), &json!({ "rights": { "users": ["read"], "rule": ["write"] } })).await,
        manager.put_json("/admin/userdirectory/1", &json!({ "sign_ins": 0 })).await,
    ] {
        assert_eq!((answer.status, answer.err()), (StatusCode::METHOD_NOT_ALLOWED, "Access denied"), "{answer:?}");
    }
}

#[tokio::test]
async fn of_changes_side_by_side_none_is_lost_and_with_a_version_only_one_is_made() {
    let admin = Target::client();
    let user = created(&admin, json!({})).await;
    let path = path(&user);
    let bodies = [
        json!({ "display_name": "A" }),
        json!({ "email": "a@b.c" }),
        json!({ "ui_settings": { "x": 1 } }),
        json!({ "roles": ["3"] }),
        json!({ "enabled": false }),
        json!({ "password": GOOD }),
    ];
    for answer in join_all(bodies.iter().map(|body| admin.put_json(&path, body))).await {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let all = admin.get(&path).await.json;
    assert_eq!((&all["display_name"], &all["email"], &all["ui_settings"]), (&json!("A"), &json!("a@b.c"), &json!({ "x": 1 })));
    assert_eq!((&all["roles"], &all["enabled"], &all["has_password"], &all["version"]), (&json!(["3"]), &json!(false), &json!(true), &json!(7)));
    let same = [json!({ "version": 7, "email": "1@b.c" }), json!({ "version": 7, "email": "2@b.c" }), json!({ "version": 7, "email": "3@b.c" })];
    let mut statuses: Vec<u16> = join_all(same.iter().map(|body| admin.put_json(&path, body))).await.iter().map(|a| a.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
}

#[tokio::test]
async fn the_last_administrator_stays_whoever_tries_and_how_many_at_once() {
    let key = "the-only-administrator-0123456789";
    let host = own_host::start(&own_host::folder("last-administrator"), key, &[]).await;
    let admin = Client::new(format!("http://{}", host.addr), Some(key));
    for answer in [
        admin.delete("/admin/user/2").await,
        admin.put_json("/admin/user/2", &json!({ "roles": ["2"] })).await,
        admin.put_json("/admin/user/2", &json!({ "enabled": false })).await,
        admin.put_json("/admin/user/2", &json!({ "apikey": "" })).await,
        admin.put_json("/admin/userdirectory/1", &json!({ "enabled": false })).await,
    ] {
        assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    }
    let second = created(&admin, json!({ "roles": ["1"], "apikey": "the-second-administrator-0123456789" })).await;
    let other = admin.with_key(Some("the-second-administrator-0123456789"));
    let path = path(&second);
    let none = json!({ "roles": [] });
    let (one, two) = tokio::join!(admin.delete(&path), other.put_json("/admin/user/2", &none));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_must_keep_the_policy() {
    let admin = Target::client();
    let user = created(&admin, json!({ "password": GOOD })).await;
    let name = user["name"].as_str().unwrap();
    let (own, other) = (session(&admin, name, GOOD).await, session(&admin, name, GOOD).await);
    let change = |client: &Client, old: &str, new: &str| {
        let (client, body) = (client.clone(), json!({ "old_password": old, "new_password": new }));
        async move { client.post_json("/user/changepassword", &body).await }
    };
    for (old, new, names) in [("wrong", "long enough", "old password is wrong"), (GOOD, "short", "8 characters"), (GOOD, GOOD, "is the old one")] {
        let answer = change(&own, old, new).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    let missing = own.post_json("/user/changepassword", &json!({ "old_password": GOOD })).await;
    assert!(missing.status == StatusCode::BAD_REQUEST && missing.err().contains("`new_password`"), "{missing:?}");
    let answer = change(&own, GOOD, "another horse altogether").await;
    assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ "success": true })));
    assert_eq!((own.get("/version").await.status, other.get("/version").await.status), (StatusCode::OK, StatusCode::FORBIDDEN));
    assert_eq!(login(&admin, name, GOOD).await.status, StatusCode::FORBIDDEN);
    session(&admin, name, "another horse altogether").await;
    assert_eq!(admin.with_key(None).post_json("/user/changepassword", &json!({})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn guesses_of_an_old_password_side_by_side_gain_nothing() {
    let admin = Target::client();
    let user = created(&admin, json!({ "password": GOOD })).await;
    let own = session(&admin, user["name"].as_str().unwrap(), GOOD).await;
    let guess = async |old: &str| {
        let body = json!({ "old_password": old, "new_password": "another horse altogether" });
        own.post_json("/user/changepassword", &body).await
    };
    let guesses: Vec<String> = (0..8).map(|n| format!("guess {n}")).collect();
    for answer in join_all(guesses.iter().map(|old| guess(old))).await {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    }
    let locked = guess(GOOD).await;
    assert_eq!((locked.status, locked.err()), (StatusCode::BAD_REQUEST, "The old password is wrong."));
    send(admin.request(Method::POST, &format!("{}/unlock", path(&user)))).await;
    assert_eq!(guess(GOOD).await.status, StatusCode::OK);
}

/// Longer than any key of the table may be.
#[tokio::test]
async fn names_without_end_are_nobodys() {
    let (admin, endless) = (Target::client(), "x".repeat(3_000));
    assert_eq!(login(&admin, &endless, GOOD).await.status, StatusCode::FORBIDDEN);
    assert_eq!(login(&admin, &format!("{endless}/{endless}"), GOOD).await.status, StatusCode::FORBIDDEN);
    let hash = "0".repeat(64);
    let found = send(admin.request(Method::GET, &format!("/hash/{hash}")).header("rule", &endless)).await;
    assert_eq!((found.status, &found.json), (StatusCode::OK, &json!({ hash: "Not Found" })));
    let log = admin.get(&format!("/admin/auditlog?user={endless}")).await;
    assert!(log.status == StatusCode::BAD_REQUEST && log.err().contains("`user`"), "{log:?}");
}

#[tokio::test]
async fn three_failed_logins_lock_for_five_minutes_or_until_released() {
    let (target, admin) = (Target::get(), Target::client());
    let user = created(&admin, json!({ "password": GOOD })).await;
    let name = user["name"].as_str().unwrap();
    let path = path(&user);
    for _ in 0..2 {
        assert_eq!(login(&admin, name, "wrong").await.status, StatusCode::FORBIDDEN);
    }
    session(&admin, name, GOOD).await;
    // Many side by side: no more guesses than that.
    for answer in join_all((0..8).map(|_| login(&admin, name, "wrong"))).await {
        assert_eq!((answer.status, answer.err()), (StatusCode::FORBIDDEN, "Failed to login"));
    }
    let locked = login(&admin, name, GOOD).await;
    assert_eq!((locked.status, locked.err()), (StatusCode::FORBIDDEN, "Failed to login"));
    let until = portcullis_core::clock::parse_iso(admin.get(&path).await.json["locked_until"].as_str().unwrap()).unwrap();
    assert!((until - now_ms() - 300_000).abs() < 60_000, "five minutes: {until}");
    assert_eq!(admin.post_json(&format!("{path}/unlock"), &json!({})).await.status, StatusCode::OK);
    session(&admin, name, GOOD).await;

    for _ in 0..3 {
        login(&admin, name, "wrong").await;
    }
    assert_eq!(login(&admin, name, GOOD).await.status, StatusCode::FORBIDDEN);
    // Time is moved, not slept.
    let update = target.clients().dynamodb().update_item().table_name(&target.table);
    let update = update.key("pk", AttributeValue::S(format!("USER#{}", user["id"]))).key("sk", AttributeValue::S("LOGIN".into()));
    let update = update.update_expression("SET locked_until = :now").expression_attribute_values(":now", AttributeValue::N(now_ms().to_string()));
    update.send().await.unwrap();
    session(&admin, name, GOOD).await;
}

#[tokio::test]
async fn a_directory_has_its_own_users_policy_and_switch() {
    let admin = Target::client();
    let name = fresh("corp");
    let body = json!({ "type": "LOCAL", "name": name, "sign_ins": 1, "lockout": 7, "enhanced_password_policy": true });
    let directory = admin.post_json("/admin/userdirectory", &body).await.json;
    let path_of = format!("/admin/userdirectory/{}", directory["id"]);
    let weak = admin.post_json("/admin/user", &json!({ "name": "ann", "roles": [], "directory_id": directory["id"], "password": GOOD })).await;
    assert!(weak.status == StatusCode::BAD_REQUEST && weak.err().contains("`password`"), "{weak:?}");
    let key = uuid::Uuid::new_v4().to_string();
    let strong = "Correct horse 4 batteries";
    let user = created(&admin, json!({ "name": "ann", "directory_id": directory["id"], "password": strong, "apikey": key })).await;
    assert_eq!(login(&admin, "ann", strong).await.status, StatusCode::FORBIDDEN, "there is no LOCAL/ann");
    let opened = session(&admin, &format!("{name}/ann"), strong).await;
    assert_eq!(opened.get("/user/me").await.json["username"], format!("{name}/ann"));
    let with_key = admin.with_key(Some(&key));
    assert_eq!(with_key.get("/version").await.status, StatusCode::OK);

    let in_use = admin.delete(&path_of).await;
    assert!(in_use.status == StatusCode::CONFLICT && in_use.err().contains("ann"), "{in_use:?}");
    assert_eq!(admin.put_json(&path_of, &json!({ "enabled": false })).await.json["enabled"], false);
    assert_eq!(login(&admin, &format!("{name}/ann"), strong).await.status, StatusCode::FORBIDDEN);
    until(&opened, StatusCode::FORBIDDEN).await;
    until(&with_key, StatusCode::FORBIDDEN).await;
    assert_eq!(admin.put_json(&path_of, &json!({ "enabled": true })).await.status, StatusCode::OK);
    until(&with_key, StatusCode::OK).await;

    assert_eq!(admin.delete(&path(&user)).await.status, StatusCode::OK);
    assert_eq!(admin.delete(&path_of).await.status, StatusCode::OK);
    assert_eq!(admin.get(&path_of).await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.delete("/admin/userdirectory/1").await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn directories_of_other_kinds_are_kept_without_showing_secrets_and_not_enabled() {
    let admin = Target::client();
    let body = json!({
        "type": "LDAP", "name": fresh("ldap"), "servers": [{ "host": "ldap.example.com", "encryption": "ssl" }],
        "bind_username": "cn=portcullis", "bind_password": "s3cret-of-the-directory",
    });
    let answer = admin.post_json("/admin/userdirectory", &body).await;
    assert!(answer.status == StatusCode::OK && !answer.text.contains("s3cret"), "{answer:?}");
    assert_eq!((&answer.json["enabled"], &answer.json["servers"][0]["port"]), (&json!(false), &json!(636)));
    let path = format!("/admin/userdirectory/{}", answer.json["id"]);
    let refused = admin.put_json(&path, &json!({ "enabled": true })).await;
    assert_eq!((refused.status, refused.err()), (StatusCode::BAD_REQUEST, "Not supported"));
    let member = admin.post_json("/admin/user", &json!({ "name": "x", "roles": [], "directory_id": answer.json["id"] })).await;
    assert_eq!((member.status, member.err()), (StatusCode::BAD_REQUEST, "Not supported"));
    assert!(!admin.get("/admin/userdirectory").await.text.contains("s3cret"));
    assert!(!admin.get("/admin/auditlog?action=directory").await.text.contains("s3cret"));
    assert_eq!(admin.delete(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named() {
    let admin = Target::client();
    let user = created(&admin, json!({})).await;
    let path = path(&user);
    let deep = format!("{{\"ui_settings\":{}1{}}}", "{\"a\":".repeat(3000), "}".repeat(3000));
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(1_100_000));
    for (method, path, body, names) in [
        (Method::PUT, path.as_str(), r#"{"nickname":"x"}"#, "`nickname`"),
        (Method::PUT, path.as_str(), r#"{"email":1}"#, "`email`"),
        (Method::PUT, path.as_str(), r#"{"email":"a","email":"b"}"#, "`email` stands twice"),
        (Method::PUT, path.as_str(), r#"{"roles":["99"]}"#, "`roles`"),
        (Method::PUT, path.as_str(), r#"{"roles":"1"}"#, "`roles`"),
        (Method::PUT, path.as_str(), r#"{"name":"a/b"}"#, "`name`"),
        (Method::PUT, path.as_str(), r#"{"name":""}"#, "`name`"),
        (Method::PUT, path.as_str(), r#"{"directory_id":"x"}"#, "`directory_id`"),
        (Method::PUT, path.as_str(), r#"{"directory_id":4000000}"#, "`directory_id`"),
        (Method::PUT, path.as_str(), r#"{"apikey":"short"}"#, "`apikey`"),
        (Method::PUT, path.as_str(), r#"{"password":"short"}"#, "`password`"),
        (Method::PUT, path.as_str(), r#"{"password":null}"#, "`password`"),
        (Method::PUT, path.as_str(), r#"{"enabled":"yes"}"#, "`enabled`"),
        (Method::PUT, path.as_str(), r#"{"ui_settings":[]}"#, "`ui_settings`"),
        (Method::PUT, path.as_str(), r#"{"id":2}"#, "`id`"),
        (Method::PUT, path.as_str(), r#"{"version":-1}"#, "`version`"),
        (Method::PUT, path.as_str(), "[]", "object"),
        (Method::PUT, path.as_str(), deep.as_str(), "JSON"),
        (Method::PUT, path.as_str(), large.as_str(), "1 MiB"),
        (Method::POST, "/admin/user", r#"{"name":"x"}"#, "`roles`"),
        (Method::POST, "/admin/role", r#"{"name":"x"}"#, "`rights`"),
        (Method::POST, "/admin/role", r#"{"name":"x","rights":{"root":["read"]}}"#, "`rights.root`"),
        (Method::POST, "/admin/role", r#"{"name":"x","rights":{"users":["all"]}}"#, "`rights.users`"),
        (Method::POST, "/admin/role", r#"{"name":"7","rights":{}}"#, "`name`"),
        (Method::POST, "/admin/userdirectory", r#"{"name":"x"}"#, "`type`"),
        (Method::POST, "/admin/userdirectory", r#"{"type":"NIS","name":"x"}"#, "`type`"),
        (Method::POST, "/admin/userdirectory", r#"{"type":"LOCAL"}"#, "`name`"),
        (Method::POST, "/admin/userdirectory", r#"{"type":"LOCAL","name":"x","servers":[]}"#, "`servers`"),
        (Method::POST, "/admin/userdirectory", r#"{"type":"AD","name":"x","servers":[{"port":1}]}"#, "`servers[0].host`"),
        (Method::PUT, "/admin/userdirectory/1", r#"{"lockout":1441}"#, "`lockout`"),
        (Method::PUT, "/admin/userdirectory/1", r#"{"name":"OTHER"}"#, "`name`"),
        (Method::PUT, "/admin/config/session", r#"{"sessionTimeout":7200001}"#, "`sessionTimeout`"),
        (Method::PUT, "/admin/config/session", r#"{"sessiontimeout":1}"#, "`sessiontimeout`"),
    ] {
        let answer = send(admin.request(method, path).body(body.to_owned())).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{body:.60}: {answer:?}");
    }
}
