//! The API's own description, as it is served.

use reqwest::{Method, StatusCode};

use crate::support::client::send;
use crate::target::Target;

#[tokio::test]
async fn the_document_is_served_as_it_was_built_to_anyone() {
    let open = Target::client().with_key(None);
    for path in ["/openapi.json", "/metascan_rest/openapi.json"] {
        let answer = send(open.request(Method::GET, path)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text, portcullis_openapi::JSON);
    }
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let answer = Target::client().with_key(None).request(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/html"));
    assert_eq!(header("content-security-policy"), portcullis_openapi::policy());
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(answer.text().await.unwrap(), portcullis_openapi::page());
}

/// The suite's own check, held against what it must not let through.
#[test]
fn an_answer_that_is_not_as_described_is_noticed() {
    use serde_json::json;
    let check = |method: &'static str, path: &'static str, status: u16, answer: serde_json::Value| {
        std::panic::catch_unwind(move || crate::support::description::check(method, path, status, &answer)).is_ok()
    };
    let version = json!({ "product_id": "MSCL", "version": "5.10.0", "portcullis": "0.1.0" });
    assert!(check("GET", "/version", 200, version.clone()));
    assert!(check("GET", "/metascan_rest/version", 200, version.clone()));
    assert!(check("GET", "/file/no-id", 200, json!({ "no-id": "Not Found" })));
    assert!(check("GET", "/file/no-id", 400, json!({ "err": "Access denied" })));
    assert!(!check("GET", "/version", 418, json!({ "err": "Access denied" })), "an unknown status");
    assert!(!check("GET", "/version", 200, json!({ "product_id": "MSCL", "version": "5.10.0" })), "a missing field");
    let more = json!({ "product_id": "MSCL", "version": "5.10.0", "portcullis": "0.1.0", "build": 7 });
    assert!(!check("GET", "/version", 200, more), "an unknown field");
    assert!(!check("GET", "/file/no-id", 200, json!({ "data_id": "no-id", "file_info": {} })), "half a result");
    assert!(!check("GET", "/file/rules", 200, json!({ "file/rules": "Not Found" })), "a literal segment beats a parameter");
    assert!(!check("GET", "/nowhere", 200, json!({})), "a path that no route has");
    assert!(!check("GET", "/version", 403, json!({ "error": "Access denied" })), "an error without its text");
}
