//! Engines switched off and on, pinned and unpinned (contract §1.9, §6.9).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::client::{send, verdict};
use crate::support::files::{eicar, unique};
use crate::target::sha256;

const ALL: [&str; 6] = ["yarax_1_linux", "hashrep_1_linux", "documents_1_linux", "pdf_1_linux", "scripts_1_linux", "executables_1_linux"];

async fn switch(apart: &Apart, engine: &str, on: bool) {
    let (verb, told) = if on { ("enable", "Engine is enabled") } else { ("disable", "Engine is disabled") };
    let answer = apart.post(&format!("/admin/engine/{engine}/{verb}")).await;
    assert_eq!((answer.status, answer.json), (StatusCode::OK, json!({ "result": told })));
}

fn has_row(result: &Value, engine: &str) -> bool {
    result["scan_results"]["scan_details"].get(engine).is_some()
}

#[tokio::test]
async fn an_engine_that_is_off_does_not_run_and_nothing_from_before_is_taken_over() {
    let apart = Apart::turn().await;
    let content = unique("engines");
    let before = apart.client.scan(content.clone(), &[("filename", "a.txt")]).await;
    assert!(has_row(&before, "Executables") && verdict(&before).0 == 0);
    switch(&apart, "executables_1_linux", false).await;
    // The same content: what was known of it must not answer.
    let without = apart.until_result(|| content.clone(), |result| !has_row(result, "Executables")).await;
    assert_eq!((verdict(&without).0, without["scan_results"]["total_avs"].as_u64()), (0, Some(5)));
    let is_off = |engines: &Value| {
        engines.as_array().unwrap().iter().any(|e| e["eng_id"] == "executables_1_linux" && e["active"] == false && e["state"] == "disabled")
    };
    apart.until("/stat/engines", |answer| is_off(&answer.json)).await;
    let nodes = apart.client.get("/stat/nodes").await.json;
    assert!(nodes["statuses"][0]["engines"].as_array().unwrap().iter().any(|e| e["id"] == "executables_1_linux" && e["active"] == false));
    assert!(nodes["statuses"][0]["issues"].to_string().contains("Executables"), "{nodes}");
    switch(&apart, "executables_1_linux", true).await;
    apart.until_result(|| content.clone(), |result| has_row(result, "Executables")).await;
}

#[tokio::test]
async fn with_every_engine_off_nothing_is_clean_and_the_gate_is_not_ready() {
    let apart = Apart::turn().await;
    for engine in ALL {
        switch(&apart, engine, false).await;
    }
    let result = apart.until_result(|| unique("off"), |result| result["scan_results"]["scan_details"] == json!({})).await;
    assert_eq!(verdict(&result), (10, "Blocked", "Not Scanned"));
    assert_eq!(verdict(&apart.client.scan(eicar(), &[]).await).1, "Blocked");
    apart.until("/readyz", |answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).await;
    let verbose = apart.client.get("/readyz?verbose=true").await;
    assert_eq!((verbose.json["engines"]["status"].as_bool(), verbose.json["database"]["status"].as_bool()), (Some(false), Some(true)));
    for engine in ALL {
        switch(&apart, engine, true).await;
    }
    apart.until_code(0, || unique("on")).await;
    apart.until("/readyz", |answer| answer.status == StatusCode::OK).await;
}

#[tokio::test]
async fn a_rule_that_requires_an_engine_that_is_off_blocks() {
    let apart = Apart::turn().await;
    let rules = apart.client.get("/admin/config/rules").await.json;
    let body = json!({ "version": rules["version"], "rules": [{ "name": "File process" }, { "name": "Needs PDF", "required_engines": ["PDF"] }] });
    assert_eq!(apart.put("/admin/config/rules", &body).await.status, StatusCode::OK);
    switch(&apart, "pdf_1_linux", false).await;
    apart.until_result(|| unique("required"), |result| !has_row(result, "PDF")).await;
    let blocked = apart.client.scan(unique("required"), &[("rule", "Needs PDF")]).await;
    assert_eq!(verdict(&blocked), (3, "Blocked", "Failed"));
    switch(&apart, "pdf_1_linux", true).await;
    apart.until_result(|| unique("required"), |result| has_row(result, "PDF")).await;
    assert_eq!(verdict(&apart.client.scan(unique("required"), &[("rule", "Needs PDF")]).await).0, 0);
    let rules = apart.client.get("/admin/config/rules").await.json;
    let body = json!({ "version": rules["version"], "rules": [{ "name": "File process" }] });
    assert_eq!(apart.put("/admin/config/rules", &body).await.status, StatusCode::OK);
}

async fn upload(apart: &Apart, key: &str, content: String) {
    let put = apart.clients().s3().put_object().bucket(apart.definitions()).key(key).body(content.into_bytes().into());
    put.send().await.unwrap();
}

async fn pin(apart: &Apart, engine: &str, verb: &str, part: Option<&str>) -> String {
    let request = apart.client.request(Method::POST, &format!("/admin/engine/{engine}/{verb}"));
    let answer = send(if let Some(part) = part { request.header("type", part) } else { request }).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json["result"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn pinned_definitions_stay_until_they_are_unpinned() {
    let apart = Apart::turn().await;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let rule = |name: &str| format!("rule {name}_{run} {{ strings: $a = \"pin-{name}-{run}\" condition: $a }}");
    let mark = |name: &str| unique(&format!("pin-{name}-{run}"));
    let listed = |name: &str| format!("listed {name} {run}").into_bytes();
    upload(&apart, "yara/pin-a.yar", rule("a")).await;
    assert_eq!(pin(&apart, "yarax_1_linux", "pin", Some("database")).await, "Database is pinned");
    apart.until_code(21, || mark("a")).await;
    // What comes now is not in force, although definitions are looked at again, for the other engine's sake.
    upload(&apart, "yara/pin-b.yar", rule("b")).await;
    upload(&apart, "hashes/block-pin.txt", format!("{}\n", sha256(&listed("c")))).await;
    assert_eq!(pin(&apart, "hashrep_1_linux", "pin", None).await, "Both engine and database are pinned");
    apart.until_code(8, || listed("c")).await;
    assert_eq!(verdict(&apart.client.scan(mark("b"), &[]).await).0, 0);
    assert_eq!(verdict(&apart.client.scan(mark("a"), &[]).await).0, 21);
    let engines = apart.client.get("/admin/engine").await.json;
    let of = |id: &str| engines.as_array().unwrap().iter().find(|engine| engine["eng_id"] == id).unwrap().clone();
    assert_eq!((&of("yarax_1_linux")["database_pinned"], &of("yarax_1_linux")["engine_pinned"]), (&json!(true), &json!(false)));
    assert_eq!((&of("hashrep_1_linux")["engine_pinned"], &of("pdf_1_linux")["database_pinned"]), (&json!(true), &json!(false)));

    upload(&apart, "hashes/block-pin-2.txt", format!("{}\n", sha256(&listed("d")))).await;
    assert_eq!(pin(&apart, "yarax_1_linux", "unpin", None).await, "Both engine and database are unpinned");
    apart.until_code(21, || mark("b")).await;
    assert_eq!(verdict(&apart.client.scan(listed("d"), &[]).await).0, 0, "the other one is still pinned");
    assert_eq!(pin(&apart, "hashrep_1_linux", "unpin", Some("database")).await, "Database is unpinned");
    assert_eq!(pin(&apart, "hashrep_1_linux", "unpin", Some("engine")).await, "Engine is unpinned");
    apart.until_code(8, || listed("d")).await;
    let left = apart.clients().s3().list_objects_v2().bucket(apart.definitions()).prefix("pinned/").send().await.unwrap();
    assert_eq!(left.key_count(), Some(0), "{left:?}");
    for key in ["yara/pin-a.yar", "yara/pin-b.yar", "hashes/block-pin.txt", "hashes/block-pin-2.txt"] {
        apart.clients().s3().delete_object().bucket(apart.definitions()).key(key).send().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_engine_or_can_not_be_switched_off_is_told() {
    let apart = Apart::turn().await;
    for (path, status) in [
        ("/admin/engine/clamav_7_linux/enable", 404),
        ("/admin/engine/clamav_1_linux/disable", 404),
        ("/admin/engine/archive_1_linux/disable", 400),
        ("/admin/engine/filetype_1_linux/disable", 400),
        ("/admin/engine/%20/pin", 404),
    ] {
        let answer = apart.post(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.err().contains('`'), "{answer:?}");
    }
    let wrong = send(apart.client.request(Method::POST, "/admin/engine/pdf_1_linux/pin").header("type", "both")).await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.err().contains("`both`"), "{wrong:?}");
    let open = apart.client.with_key(None);
    assert_eq!(send(open.request(Method::POST, "/admin/engine/pdf_1_linux/disable")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(apart.client.get("/admin/engine").await.json.as_array().unwrap().len(), 8);
}
