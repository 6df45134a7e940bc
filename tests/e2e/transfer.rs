//! Export and import of everything that is configured (contract I1, §9 U31).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::client::{Answer, Client, send};
use crate::support::own_host;
use crate::target::sha256;

async fn import(apart: &Apart, body: &Value) -> StatusCode {
    let answer = apart.client.request(Method::POST, "/admin/import").body(body.to_string()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    let wanted = match status {
        StatusCode::OK => json!({ "result": "Successfully imported" }).to_string(),
        StatusCode::NOT_MODIFIED => String::new(),
        _ => panic!("{status}: {text}"),
    };
    assert_eq!(text, wanted);
    status
}

async fn refused(client: &Client, body: &str) -> Answer {
    send(client.request(Method::POST, "/admin/import").body(body.to_owned())).await
}

async fn export(apart: &Apart) -> Value {
    let answer = apart.client.get("/admin/export").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json
}

#[tokio::test]
async fn everything_that_is_configured_goes_out_and_comes_back() {
    let apart = Apart::turn().await;
    let before = export(&apart).await;
    assert_eq!(import(&apart, &before).await, StatusCode::NOT_MODIFIED);

    // Another configuration, all of it at once.
    let digest = sha256(b"exported");
    let mut other = before.clone();
    other["config"]["rules"] = json!([{ "name": "File process" }, { "name": "Imported", "timeout_seconds": 77 }]);
    let settings = &mut other["config"]["settings"];
    settings["auditlog"]["cleanuprange"] = json!(555);
    settings["scanhistory"]["cleanuprange"] = json!(556);
    settings["sanitize"]["maxage"] = json!(557);
    settings["scan"]["max_queue_per_agent"] = json!(558);
    settings["webhook"]["maxretrytime"] = json!(9);
    settings["update"]["autoupdateperiod"] = json!(559);
    settings["healthcheck"]["max_queue_percentage"] = json!(99);
    settings["session"]["sessionTimeout"] = json!(600_000);
    settings["rescan"]["days"] = json!(3);
    settings["skip"]["blacklist"][&digest] = json!({ "comment": "imported" });
    other["config"]["engines"]["executables_1_linux"] = json!({ "enabled": false, "engine_pinned": true, "database_pinned": true });
    other["config"]["engines"]["yarax_1_linux"]["database_pinned"] = json!(true);
    other["config"]["yara_sources"] =
        json!({ "local_sources": [], "http_sources": [{ "source": "https://example.com/r.zip", "state": "disabled" }] });
    assert_eq!(import(&apart, &other).await, StatusCode::OK);
    assert_eq!(import(&apart, &other).await, StatusCode::NOT_MODIFIED);
    for (path, pointer, value) in [
        ("/admin/config/auditlog", "/cleanuprange", json!(555)),
        ("/admin/config/scanhistory", "/cleanuprange", json!(556)),
        ("/admin/config/sanitize", "/maxage", json!(557)),
        ("/admin/config/scan", "/max_queue_per_agent", json!(558)),
        ("/admin/config/webhook", "/deplayprogression", json!(1000)),
        ("/admin/config/update", "/autoupdateperiod", json!(559)),
        ("/admin/config/rules", "/rules/1/name", json!("Imported")),
        ("/admin/config/yara/sources", "/http_sources/0/state", json!("disabled")),
    ] {
        assert_eq!(apart.client.get(path).await.json.pointer(pointer), Some(&value), "{path}");
    }
    assert_eq!(apart.client.get("/admin/config/skip").await.json["blacklist"][&digest]["comment"], "imported");
    apart.until_code(8, || b"exported".to_vec()).await;
    let engines = apart.client.get("/admin/engine").await.json;
    let of = |id: &str| engines.as_array().unwrap().iter().find(|engine| engine["eng_id"] == id).unwrap();
    assert_eq!((&of("executables_1_linux")["enabled"], &of("yarax_1_linux")["database_pinned"]), (&json!(false), &json!(true)));
    let again = export(&apart).await;
    assert_eq!(again["config"]["settings"], other["config"]["settings"]);
    assert_eq!(again["config"]["engines"], other["config"]["engines"]);

    // And back, in the shape of clients: the section alone. The sources stay: the first export had none.
    assert_eq!(import(&apart, &json!({ "config": before["config"] })).await, StatusCode::OK);
    let restored = export(&apart).await;
    for section in ["rules", "settings", "engines"] {
        assert_eq!(restored["config"][section], before["config"][section], "{section}");
    }
    apart.until_code(0, || b"exported".to_vec()).await;
}

#[tokio::test]
async fn what_is_wrong_anywhere_changes_nothing_anywhere() {
    let apart = Apart::turn().await;
    let before = export(&apart).await;
    let good = json!({ "scan": { "max_queue_per_agent": 4321 }, "auditlog": { "cleanuprange": 4321 } });
    for (config, names) in [
        (json!({ "settings": good, "rules": [{ "name": "x", "engines": ["Nobody"] }] }), "Nobody"),
        (json!({ "settings": good, "engines": { "archive_1_linux": { "enabled": false } } }), "archive_1_linux"),
        (json!({ "settings": { "scan": { "max_queue_per_agent": 4321 }, "webhook": { "maxretrytime": -1 } } }), "`maxretrytime`"),
        (json!({ "settings": good, "policy.rule.rule": { "items": [] } }), "`config.policy.rule.rule`"),
        (json!({ "settings": good, "yara_sources": { "http_sources": [{ "source": "ftp://x", "state": "enabled" }] } }), "`config.yara_sources`"),
    ] {
        let answer = refused(&apart.client, &json!({ "config": config }).to_string()).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    for body in ["", "garbage", "[]", "{}", r#"{"config":{}}"#, r#"{"config":{"rules":[]},"config":{}}"#, r#"{"format":"zip","config":{"rules":[]}}"#]
    {
        assert_eq!(refused(&apart.client, body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(export(&apart).await["config"], before["config"]);
}

#[tokio::test]
async fn nobody_imports_or_exports_more_than_he_may_change_or_read() {
    let apart = Apart::turn().await;
    let open = apart.client.with_key(None);
    assert_eq!(open.get("/admin/export").await.status, StatusCode::FORBIDDEN);
    assert_eq!(refused(&open, "{}").await.status, StatusCode::FORBIDDEN);
    // Security administrators may change scan settings, and not how long things are kept.
    let body =
        json!({ "directory_id": 1, "name": "transfer-admin", "display_name": "", "email": "", "roles": ["2"], "password": "Transfer password 7" });
    let created = apart.client.post_json("/admin/user", &body).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let session = apart.client.post_json("/login", &json!({ "user": "transfer-admin", "password": "Transfer password 7" })).await;
    let client = Client::new(&apart.client.url, session.json["session_id"].as_str());
    assert_eq!(client.get("/admin/export").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let more = json!({ "config": { "settings": { "auditlog": { "cleanuprange": 1 }, "scan": { "max_queue_per_agent": 4321 } } } });
    assert_eq!(refused(&client, &more.to_string()).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_ne!(apart.client.get("/admin/config/scan").await.json["max_queue_per_agent"], 4321);
}

/// `/login` of a user, without any key.
async fn login(client: &Client, user: &str, password: &str) -> StatusCode {
    client.with_key(None).post_json("/login", &json!({ "user": user, "password": password })).await.status
}

#[tokio::test]
async fn accounts_move_to_another_deployment_with_their_secrets() {
    const EXPORT_PASSWORD: &str = "moving house 2026";
    let apart = Apart::turn().await;
    let make = async |client: &Client, path: &str, body: Value| {
        let answer = client.post_json(path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    };
    make(&apart.client, "/admin/role", json!({ "name": "movers", "rights": { "scanlog": ["read"] } })).await;
    let servers = json!([{ "host": "ldap.example.com", "port": 636, "encryption": "ssl" }]);
    make(&apart.client, "/admin/userdirectory", json!({ "type": "LDAP", "name": "corp", "servers": servers, "bind_password": "b1nd s3cret" })).await;
    make(
        &apart.client,
        "/admin/user",
        json!({ "name": "mover", "roles": ["movers"], "password": "Mover password 1", "apikey": "mover-key-0123456789abcdef" }),
    )
    .await;
    let plain = export(&apart).await;
    assert!(plain.get("secrets").is_none());
    let request = apart.client.request(Method::GET, "/admin/export").header("export-password", EXPORT_PASSWORD);
    let sealed = send(request).await.json;
    for secret in ["b1nd s3cret", "argon2id$", "mover-key"] {
        assert!(!sealed.to_string().contains(secret), "{secret}");
    }

    let folder = own_host::folder("moved");
    let other = own_host::start(&folder, "moved-administrator-key-0123456789abcd", &[]).await;
    let there = Client::new(format!("http://{}", other.addr), Some("moved-administrator-key-0123456789abcd"));
    let send_there = async |body: &Value, password: Option<&str>| {
        let request = there.request(Method::POST, "/admin/import").body(body.to_string());
        send(if let Some(password) = password { request.header("export-password", password) } else { request }).await
    };
    // Only what moves: the other administrator is to keep his own key.
    let users: Vec<&Value> = sealed["config"]["users"].as_array().unwrap().iter().filter(|user| user["name"] == "mover").collect();
    let mut file = sealed.clone();
    file["config"] = json!({ "roles": sealed["config"]["roles"], "directories": sealed["config"]["directories"], "users": users });
    for (password, names) in [(None, "`export-password`"), (Some("another password"), "does not open"), (Some("short"), "8 to 256")] {
        let answer = send_there(&file, password).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    assert_eq!(login(&there, "mover", "Mover password 1").await, StatusCode::FORBIDDEN);
    let answer = send_there(&file, Some(EXPORT_PASSWORD)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(send_there(&file, Some(EXPORT_PASSWORD)).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(login(&there, "mover", "Mover password 1").await, StatusCode::OK);
    let me = there.with_key(Some("mover-key-0123456789abcdef")).get("/user/me").await;
    assert_eq!((me.status, &me.json["username"]), (StatusCode::OK, &json!("LOCAL/mover")));
    let moved = there.get("/admin/export").await.json;
    for section in ["roles", "directories"] {
        assert_eq!(moved["config"][section], sealed["config"][section], "{section}");
    }
    let corp = moved["config"]["directories"].as_array().unwrap().iter().find(|directory| directory["name"] == "corp");
    assert_eq!(corp.unwrap()["servers"], servers);

    // All or nothing, here as well; and nobody brings in more than he has.
    let user = |name: &str, role: &str| json!({ "name": name, "roles": [role] });
    for (config, status, names) in [
        (json!({ "users": [user("one", "movers"), user("two", "nobody")] }), StatusCode::BAD_REQUEST, "nobody"),
        (json!({ "users": [user("one", "movers"), user("one", "movers")] }), StatusCode::BAD_REQUEST, "twice"),
        (json!({ "users": (0..21).map(|n| user(&format!("u{n}"), "movers")).collect::<Vec<_>>() }), StatusCode::BAD_REQUEST, "at most 20"),
        (json!({ "users": [{ "name": "admin", "enabled": false }] }), StatusCode::CONFLICT, "no administrator"),
        (json!({ "roles": [{ "name": "admin", "rights": {} }] }), StatusCode::BAD_REQUEST, "default role"),
        (json!({ "directories": [{ "type": "LDAP", "name": "corp", "enabled": true }] }), StatusCode::BAD_REQUEST, "Not supported"),
    ] {
        let answer = send_there(&json!({ "config": config }), None).await;
        assert!(answer.status == status && answer.err().contains(names), "{answer:?}");
    }
    let rights = json!({ "scan": ["write"], "users": ["read", "write"] });
    make(&there, "/admin/role", json!({ "name": "clerk", "rights": rights })).await;
    make(&there, "/admin/user", json!({ "name": "clerk", "roles": ["clerk"], "apikey": "clerk-key-0123456789abcdef" })).await;
    let clerk = there.with_key(Some("clerk-key-0123456789abcdef"));
    for config in [
        json!({ "users": [user("risen", "admin")] }),
        json!({ "users": [{ "name": "admin", "display_name": "x" }] }),
        json!({ "roles": [{ "name": "more", "rights": { "engines": ["write"] } }] }),
    ] {
        let body = json!({ "config": config }).to_string();
        assert_eq!(refused(&clerk, &body).await.status, StatusCode::METHOD_NOT_ALLOWED, "{body}");
    }
    assert_eq!(there.get("/admin/user").await.json.as_array().unwrap().len(), 3, "admin, mover, clerk");
}
