//! Settings: every document of `/admin/config` (contract §1.7, §6), the licence (§6.10), updates on schedule.

use portcullis_core::store::queue::Queue;
use portcullis_core::store::settings::Settings;
use portcullis_core::update;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::client::{Client, send};

/// Bodies, and what their refusals name.
type Refused = Vec<(Value, &'static str)>;

/// Path, what is put, what is shown then, and bodies that are refused with what the refusal names.
fn documents() -> Vec<(&'static str, Value, Value, Refused)> {
    let hours = |path| {
        let wrong = vec![
            (json!({ "cleanuprange": -1 }), "`cleanuprange`"),
            (json!({ "cleanuprange": 87_601 }), "`cleanuprange`"),
            (json!({ "cleanuprange": "24" }), "`cleanuprange`"),
            (json!({ "cleanuprange": 24.5 }), "`cleanuprange`"),
            (json!({ "maxage": 24 }), "`maxage`"),
            (json!({}), "`cleanuprange`"),
        ];
        (path, json!({ "cleanuprange": 87_600 }), json!({ "cleanuprange": 87_600 }), wrong)
    };
    vec![
        hours("/admin/config/auditlog"),
        hours("/admin/config/quarantine"),
        hours("/admin/config/scanhistory"),
        ("/admin/config/sanitize", json!({ "maxage": 360 }), json!({ "maxage": 360 }), vec![(json!({ "maxage": 525_601 }), "`maxage`")]),
        (
            "/admin/config/update",
            json!({ "autoupdateperiod": 60, "disabledupdate": [{ "days": "5-7", "from": 480, "to": 960 }] }),
            json!({ "source": "manual", "autoupdateperiod": 60, "pickupfolder": "", "deleteafterimport": false, "disabledupdate": [{ "days": "5-7", "from": 480, "to": 960 }] }),
            vec![
                (json!({ "source": "moon" }), "`source`"),
                (json!({ "disabledupdate": [{ "days": "5-7", "from": 960, "to": 480 }] }), "`disabledupdate[0].from`"),
                (json!({ "disabledupdate": [{ "days": "0", "from": 1, "to": 480 }] }), "`disabledupdate[0].days`"),
                (json!({ "autoupdateperiod": 0 }), "`autoupdateperiod`"),
                (json!({ "period": 60 }), "`period`"),
            ],
        ),
        (
            "/admin/config/webhook",
            json!({ "deplayprogression": 500 }),
            json!({ "maxretrytime": 3, "delayduration": 1000, "deplayprogression": 500, "delayprogression": 500 }),
            vec![
                (json!({ "deplayprogression": 1, "delayprogression": 2 }), "`deplayprogression`"),
                (json!({ "maxretrytime": true }), "`maxretrytime`"),
            ],
        ),
        (
            "/admin/config/scan",
            json!({ "max_queue_per_agent": 700 }),
            json!({ "max_queue_per_agent": 700 }),
            vec![(json!({ "max_queue_per_agent": 0 }), "`max_queue_per_agent`"), (json!({ "queue": 1 }), "`queue`")],
        ),
        (
            "/admin/config/session",
            json!({ "absoluteSessionTimeout": 7_200_000, "allowDuplicateSession": false }),
            json!({ "sessionTimeout": 300_000, "absoluteSessionTimeout": 7_200_000, "allowCrossIpSessions": true, "allowDuplicateSession": false }),
            vec![
                (json!({ "sessionTimeout": 7_200_001 }), "`sessionTimeout`"),
                (json!({ "sessionTimeout": -1 }), "`sessionTimeout`"),
                (json!({ "absoluteSessionTimeout": "0" }), "`absoluteSessionTimeout`"),
                (json!({ "allowCrossIpSessions": 1 }), "`allowCrossIpSessions`"),
                (json!({ "allowDuplicateSession": null }), "`allowDuplicateSession`"),
                (json!({ "session_timeout": 1 }), "`session_timeout`"),
            ],
        ),
        (
            "/admin/config/rescan",
            json!({ "days": 30 }),
            json!({ "automatic": false, "days": 30, "per_minute": 60 }),
            vec![
                (json!({ "automatic": "yes" }), "`automatic`"),
                (json!({ "days": 0 }), "`days`"),
                (json!({ "days": 366 }), "`days`"),
                (json!({ "per_minute": -1 }), "`per_minute`"),
                (json!({ "hours": 1 }), "`hours`"),
            ],
        ),
        (
            "/admin/config/healthcheck",
            json!({ "min_av_engines": 2, "required_engines": ["yarax_1_linux"] }),
            json!({ "enable": true, "max_queue_percentage": 100, "min_av_engines": 2, "min_disk_percentage": 0, "required_engines": ["YARA-X"] }),
            vec![
                (json!({ "enable": 1 }), "`enable`"),
                (json!({ "max_queue_percentage": 101 }), "`max_queue_percentage`"),
                (json!({ "required_engines": ["Nobody"] }), "`required_engines`"),
            ],
        ),
    ]
}

#[tokio::test]
async fn every_document_is_read_changed_validated_and_put_back() {
    let apart = Apart::turn().await;
    for (path, sent, shown, wrong) in documents() {
        let before = apart.client.get(path).await;
        assert_eq!(before.status, StatusCode::OK, "{path}");
        let answer = apart.put(path, &sent).await;
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, &shown), "{path}");
        assert_eq!(apart.client.get(path).await.json, shown, "{path}");
        for (body, names) in wrong {
            let answer = apart.put(path, &body).await;
            assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{path} {body}: {answer:?}");
        }
        let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for body in ["", "null", "[]", "{", "{\"a\":1,\"a\":2}", "\u{feff}{}", nested.as_str()] {
            let answer = send(apart.client.request(Method::PUT, path).body(body.to_owned())).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body:.20}: {answer:?}");
        }
        assert_eq!(apart.client.get(path).await.json, shown, "{path}: nothing that was refused changed it");
        assert_eq!(apart.put(path, &before.json).await.json, before.json, "{path}: what is shown can be sent");
    }
}

#[tokio::test]
async fn parts_of_one_document_are_changed_side_by_side_and_none_is_lost() {
    let apart = Apart::turn().await;
    let paths = ["/admin/config/auditlog", "/admin/config/quarantine", "/admin/config/scanhistory"];
    let (first, second, third) = (json!({ "cleanuprange": 801 }), json!({ "cleanuprange": 802 }), json!({ "cleanuprange": 803 }));
    let answers = tokio::join!(apart.put(paths[0], &first), apart.put(paths[1], &second), apart.put(paths[2], &third));
    for (path, (answer, sent)) in paths.iter().zip([(answers.0, &first), (answers.1, &second), (answers.2, &third)]) {
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, sent), "{path}");
        assert_eq!(apart.client.get(path).await.json, *sent, "{path}");
    }
}

#[tokio::test]
async fn a_change_can_depend_on_the_revision_that_was_read() {
    const PATH: &str = "/admin/config/webhook";
    let apart = Apart::turn().await;
    let tag = async || apart.client.request(Method::GET, PATH).send().await.unwrap().headers()["etag"].clone();
    let read = tag().await;
    let put =
        |tag: &reqwest::header::HeaderValue| send(apart.client.request(Method::PUT, PATH).header("If-Match", tag).body(r#"{"maxretrytime":4}"#));
    assert_eq!(put(&read).await.status, StatusCode::OK);
    assert_ne!(tag().await, read);
    let late = put(&read).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{late:?}");
    assert_eq!(put(&tag().await).await.status, StatusCode::OK);
    assert_eq!(apart.put(PATH, &json!({ "maxretrytime": 3 })).await.status, StatusCode::OK);
}

#[tokio::test]
async fn settings_are_for_those_with_the_right() {
    let apart = Apart::turn().await;
    let body =
        json!({ "directory_id": 1, "name": "config-desk", "display_name": "Desk", "email": "", "roles": ["4"], "password": "Desk password 7" });
    let created = apart.client.post_json("/admin/user", &body).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let session = apart.client.post_json("/login", &json!({ "user": "config-desk", "password": "Desk password 7" })).await;
    let desk = Client::new(&apart.client.url, session.json["session_id"].as_str());
    for (path, sent, ..) in documents() {
        for (client, status) in [(apart.client.with_key(None), 403), (apart.client.with_key(Some("no-such-key")), 403), (desk.clone(), 405)] {
            let answer = send(client.request(Method::PUT, path).body(sent.to_string())).await;
            assert_eq!((answer.status.as_u16(), answer.err()), (status, "Access denied"), "{path}");
        }
        assert_eq!(apart.client.with_key(None).get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(desk.get("/admin/config/scan").await.status, StatusCode::OK, "the help desk may look at scan settings");
    assert_eq!(desk.get("/admin/license").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn changes_stand_in_the_audit_log() {
    let apart = Apart::turn().await;
    assert_eq!(apart.put("/admin/config/sanitize", &json!({ "maxage": 77 })).await.status, StatusCode::OK);
    let items = apart.clients().dynamodb().scan().table_name(&apart.host.topology.table("AuditTable").unwrap().name).send().await.unwrap();
    let of = |item: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>, name: &str| {
        item[name].as_s().cloned().unwrap_or_default()
    };
    let entry = items.items().iter().find(|item| of(item, "action") == "config.sanitize.write" && of(item, "after").contains("77"));
    let entry = entry.expect("the change is told");
    assert_eq!((of(entry, "username").as_str(), of(entry, "target").as_str()), ("LOCAL/admin", "/admin/config/sanitize"));
    assert!(of(entry, "before").contains("maxage") && of(entry, "ip") == "127.0.0.1", "{entry:?}");
}

#[tokio::test]
async fn definitions_are_renewed_on_schedule_and_only_then() {
    let apart = Apart::turn().await;
    let clients = apart.clients();
    let settings = || Settings::new(clients.dynamodb().clone(), apart.table());
    let queue = format!("{}/000000000000/{}", apart.host.access.endpoint, apart.host.topology.queue("ScanQueue").unwrap().name);
    let queue = Queue::new(clients.sqs().clone(), queue);
    let now = portcullis_core::clock::now_ms();
    assert!(!update::renew(&settings(), &queue, now).await.unwrap(), "nobody asked for a schedule");
    let all_week = json!({ "source": "internet", "autoupdateperiod": 60, "disabledupdate": [{ "days": "1-7", "from": 0, "to": 1440 }] });
    assert_eq!(apart.put("/admin/config/update", &all_week).await.status, StatusCode::OK);
    assert!(!update::renew(&settings(), &queue, now).await.unwrap(), "not in a window without updates");
    assert_eq!(apart.put("/admin/config/update", &json!({ "disabledupdate": [] })).await.status, StatusCode::OK);
    // The host's own sweep may be the one that begins it. There are no sources, which is told when it has ended.
    update::renew(&settings(), &queue, now).await.unwrap();
    apart.until("/yara/package", |answer| answer.text.contains("no usable rule file")).await;
    assert!(!update::renew(&settings(), &queue, now + 3_000_000).await.unwrap(), "the hour is not over");
    assert_eq!(apart.put("/admin/config/update", &json!({ "source": "manual" })).await.status, StatusCode::OK);
    assert!(!update::renew(&settings(), &queue, now + 7_200_000).await.unwrap());
}

#[tokio::test]
async fn the_licence_has_the_shape_clients_read_and_activation_succeeds() {
    let apart = Apart::turn().await;
    let request = apart.client.request(Method::GET, "/admin/license").body("{}");
    let licence = send(request).await.json;
    assert!(licence["days_left"].as_i64() > Some(0) && licence["online_activated"] == true);
    assert_eq!((licence["licensed_engines"].as_str(), licence["expiration"].as_str()), (Some("*"), Some("12/31/2099")));
    assert_eq!(licence["deployment"].as_str().map(str::len), Some(36));
    for field in ["licensed_to", "max_node_count", "max_agent_count", "product_id", "product_name"] {
        assert!(licence[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    for quantity in [json!(1), json!("10")] {
        let answer =
            apart.client.post_json("/admin/license/activation", &json!({ "activationKey": "1234-5678", "quantity": quantity, "comment": "c" })).await;
        assert_eq!((answer.status, answer.json), (StatusCode::OK, json!({ "success": true })));
    }
    for (body, names) in [
        (json!({ "quantity": 1 }), "`activationKey`"),
        (json!({ "activationKey": "" }), "`activationKey`"),
        (json!({ "activationKey": "a", "quantity": "many" }), "`quantity`"),
        (json!({ "activationKey": "a", "quantity": 0 }), "`quantity`"),
        (json!({ "activationKey": "a", "key": 0 }), "`key`"),
    ] {
        let answer = apart.client.post_json("/admin/license/activation", &body).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    let upload = |file: &'static str| send(apart.client.request(Method::POST, "/admin/license").body(file));
    assert_eq!(upload("license:\n  key: abc\n").await.json, json!({ "success": true }));
    for file in ["", "garbage", "[1, 2", "\u{0}"] {
        let answer = upload(file).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Invalid license"), "{file}");
    }
}
