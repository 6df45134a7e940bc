//! Health by policy, nodes and engines from what really runs, and the summary (contract §1.10, §6.7, §6.9).

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::files::{eicar, unique, zip};

#[tokio::test]
async fn the_summary_counts_what_was_scanned() {
    let apart = Apart::turn().await;
    let path = "/stat/summary";
    let before = apart.client.get(path).await.json;
    let count = |summary: &Value, code: u64| {
        summary["verdicts"].as_array().unwrap().iter().find(|verdict| verdict["code"] == code).map_or(0, |verdict| verdict["files"].as_u64().unwrap())
    };
    let files = |summary: &Value| summary["files"].as_u64().unwrap();
    let archive = zip(&[("a.txt", &unique("a")), ("b.txt", &unique("b"))]);
    apart.client.scan(archive.clone(), &[("filename", "a.zip")]).await;
    apart.client.scan(unique("clean"), &[("filename", "a.txt")]).await;
    apart.client.scan(eicar(), &[("filename", "e.com")]).await;
    let after = apart.until(path, |answer| files(&answer.json) >= files(&before) + 3).await.json;
    assert_eq!(files(&after), files(&before) + 3, "{after}");
    assert_eq!((count(&after, 0), count(&after, 1)), (count(&before, 0) + 2, count(&before, 1) + 1), "{after}");
    assert_eq!(after["blocked"].as_u64().unwrap() + after["allowed"].as_u64().unwrap(), files(&after));
    assert!(after["children"].as_u64().unwrap() >= before["children"].as_u64().unwrap() + 2);
    assert!(after["bytes"].as_u64().unwrap() >= before["bytes"].as_u64().unwrap() + archive.len() as u64);
    let latency = |share: &str| after["latency_ms"][share].as_i64().unwrap();
    assert!(latency("p50") > 0 && latency("p50") <= latency("p95") && latency("p95") <= latency("p99"), "{after}");
    assert!(after["cost"]["total"].as_f64() > Some(0.0), "{after}");
    let hours: u64 = after["hours"].as_array().unwrap().iter().map(|hour| hour["files"].as_u64().unwrap()).sum();
    assert_eq!(hours, files(&after));
    let free = apart.client.get("/stat/summary?lambda_gb_second=0&lambda_million=0&api_million=0&dynamodb_million_writes=0&dynamodb_million_reads=0&sqs_million=0&s3_thousand_puts=0").await.json;
    assert_eq!(free["cost"]["total"], json!(0.0));
    let nothing = apart.client.get("/stat/summary?from=2020-01-01&to=2020-01-02").await.json;
    assert_eq!((&nothing["files"], &nothing["hours"], &nothing["latency_ms"]["p50"]), (&json!(0), &json!([]), &json!(0)));
}

#[tokio::test]
async fn a_summary_of_no_sensible_range_is_refused() {
    let apart = Apart::turn().await;
    for (query, names) in [
        ("from=yesterday", "`from`"),
        ("to=9", "`to`"),
        ("from=2026-01-02&to=2026-01-01", "`from`"),
        ("from=2020-01-01", "92 days"),
        ("api_million=cheap", "`api_million`"),
        ("scan_memory_gb=-1", "`scan_memory_gb`"),
    ] {
        let answer = apart.client.get(&format!("/stat/summary?{query}")).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{query}: {answer:?}");
    }
    assert_eq!(apart.client.with_key(None).get("/stat/summary").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_gate_is_ready_as_long_as_its_policy_says_so() {
    let apart = Apart::turn().await;
    let path = "/admin/config/healthcheck";
    let before = apart.client.get(path).await.json;
    let open = apart.client.with_key(None);
    let ready = apart.until("/readyz", |answer| answer.status == StatusCode::OK).await;
    assert_eq!(ready.json, json!({ "ready": true }));
    for (policy, problem) in [
        (json!({ "min_av_engines": 50, "required_engines": [] }), "fewer than 50"),
        (json!({ "min_av_engines": 1, "required_engines": ["ClamAV"] }), "ClamAV"),
    ] {
        assert_eq!(apart.put(path, &policy).await.status, StatusCode::OK);
        let refused = apart.until("/readyz?verbose=true", |answer| answer.text.contains(problem)).await;
        assert_eq!((refused.status, &refused.json["engines"]["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(false)));
        assert_eq!((&refused.json["database"]["status"], &refused.json["scan_queue"]["status"]), (&json!(true), &json!(true)));
        assert_eq!(open.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(apart.put(path, &json!({ "enable": false })).await.status, StatusCode::OK);
    apart.until("/readyz", |answer| answer.status == StatusCode::OK).await;
    assert_eq!(apart.put(path, &before).await.json, before);
    apart.until("/readyz", |answer| answer.status == StatusCode::OK).await;
}

#[tokio::test]
async fn nodes_show_the_queue_and_the_settings_in_force() {
    let apart = Apart::turn().await;
    apart.client.scan(unique("nodes"), &[]).await;
    assert_eq!(apart.put("/admin/config/scan", &json!({ "max_queue_per_agent": 1234 })).await.status, StatusCode::OK);
    let total = |answer: &Value| answer["statuses"][0]["scan_queue_details"]["total_scan_queue"].clone();
    let nodes = apart.until("/stat/nodes", |answer| total(&answer.json) == 1234).await.json;
    let node = &nodes["statuses"][0];
    assert!(node["scan_queue_details"]["available_slots"].as_u64() > Some(0) && node["scan_queue"].is_u64());
    let engines = node["engines"].as_array().unwrap();
    assert!(engines.iter().all(|engine| engine["def_time"].as_str().is_some_and(|time| time.ends_with('Z'))), "{node}");
    assert_eq!(apart.put("/admin/config/scan", &json!({ "max_queue_per_agent": 20_000 })).await.status, StatusCode::OK);
}
