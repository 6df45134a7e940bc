//! The skip lists of the administration (contract §6.4).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::support::client::{send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::sha256;

const PATH: &str = "/admin/config/skip";

async fn put(apart: &Apart, body: &Value) {
    let answer = apart.put(PATH, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(apart.client.get(PATH).await.json, answer.json);
}

fn none() -> Value {
    json!({ "whitelist": {}, "blacklist": {}, "skip": {} })
}

#[tokio::test]
async fn lists_let_in_keep_out_and_leave_engines_out_until_they_are_replaced() {
    let apart = Apart::turn().await;
    let (bad, quiet) = (unique("on the blacklist"), unique("skipped"));
    let clean = apart.client.scan(bad.clone(), &[("filename", "a.txt")]).await;
    assert_eq!(verdict(&clean).0, 0);
    let all = ["YARA-X", "Hash Reputation", "Documents", "PDF", "Scripts", "executables_1_linux"];
    let mut lists = none();
    lists["whitelist"][sha256(&eicar()).to_uppercase()] = json!({ "comment": "a test file" });
    lists["blacklist"][clean["file_info"]["md5"].as_str().unwrap()] = json!({ "comment": "ticket 12" });
    lists["skip"][sha256(&quiet)] = json!({ "comment": "", "engines": ["yara-x"] });
    put(&apart, &lists).await;

    // Judged clean a moment ago, and not any more.
    let blocked = apart.until_code(8, || bad.clone()).await;
    assert_eq!(verdict(&blocked), (8, "Blocked", "Blocklisted"));
    assert_eq!(verdict(&apart.client.scan(eicar(), &[("filename", "e.com")]).await), (7, "Allowed", ""));
    let archive = zip(&[("e.com", &eicar()), ("bad.txt", &bad), ("fine.txt", &unique("fine"))]);
    assert_eq!(verdict(&apart.client.scan(archive, &[("filename", "a.zip")]).await).0, 8);
    let archive = zip(&[("e.com", &eicar()), ("fine.txt", &unique("fine"))]);
    assert_eq!(verdict(&apart.client.scan(archive, &[("filename", "a.zip")]).await).0, 0);
    let one_left_out = apart.client.scan(quiet.clone(), &[("filename", "a.txt")]).await;
    assert_eq!((verdict(&one_left_out).0, &one_left_out["scan_results"]["scan_details"]["YARA-X"]["scan_result_i"]), (0, &json!(10)));

    // Not shown to any engine: nobody knows whether it is clean.
    lists["skip"][sha256(&quiet)] = json!({ "engines": all });
    put(&apart, &lists).await;
    let unseen = apart.until_code(10, || quiet.clone()).await;
    assert_eq!(verdict(&unseen).1, "Blocked");

    put(&apart, &none()).await;
    apart.until_code(0, || quiet.clone()).await;
    assert_eq!(verdict(&apart.client.scan(bad, &[("filename", "a.txt")]).await).0, 0);
    assert_eq!(verdict(&apart.client.scan(eicar(), &[("filename", "e.com")]).await).0, 1);
}

#[tokio::test]
async fn a_list_that_could_let_in_the_wrong_file_is_refused_and_the_one_in_force_stays() {
    let apart = Apart::turn().await;
    let before = apart.client.get(PATH).await.json;
    let sha = "a".repeat(64);
    for (body, names) in [
        (
            json!({ "whitelist": { "d41d8cd98f00b204e9800998ecf8427e": {} }, "blacklist": {}, "skip": {} }),
            "`whitelist.d41d8cd98f00b204e9800998ecf8427e`",
        ),
        (json!({ "whitelist": {}, "blacklist": { "nonsense": {} }, "skip": {} }), "`blacklist.nonsense`"),
        (json!({ "whitelist": {}, "blacklist": {}, "skip": { sha.clone(): { "engines": ["Nobody"] } } }), "Nobody"),
        (json!({ "whitelist": {}, "skip": {} }), "`blacklist` is missing"),
        (json!({}), "is missing"),
        (json!([]), "object"),
        (json!({ "whitelist": {}, "blacklist": {}, "skip": {}, "grey": {} }), "`grey`"),
    ] {
        let answer = apart.put(PATH, &body).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    let twice = format!(r#"{{"whitelist":{{}},"blacklist":{{"{sha}":{{}},"{sha}":{{}}}},"skip":{{}}}}"#);
    let many: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("{n:064x}"), json!({}))).collect();
    let long = json!({ "whitelist": {}, "blacklist": many, "skip": {} }).to_string();
    let huge = "x".repeat(1_100_000);
    for (body, names) in [(twice, "twice"), (long, "definitions bucket"), (huge, "1 MiB"), ("{".into(), "JSON"), (String::new(), "JSON")] {
        let answer = send(apart.client.request(Method::PUT, PATH).body(body)).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(names), "{answer:?}");
    }
    assert_eq!(apart.client.get(PATH).await.json, before);
}
