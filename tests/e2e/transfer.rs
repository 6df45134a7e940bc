//! Export and import of everything that is configured (contract I1, §9 U31).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::client::{Answer, Client, send};
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
