//! `POST /file/sync`, the headers that shape a scan, and the settings of scanning.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::auth::user;
use crate::support::client::{Answer, Client, assert_minimum, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;

async fn post(client: &Client, path: &str, content: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(client.request(Method::POST, path), |request, (name, value)| request.header(*name, *value));
    send(request.body(content)).await
}

#[tokio::test]
async fn a_synchronous_scan_answers_with_the_whole_result() {
    let client = Target::client();
    let archive = zip(&[("eicar.com", &eicar()), ("b.txt", b"b")]);
    for path in ["/file/sync", "/metascan_rest/file/sync"] {
        let answer = post(&client, path, archive.clone(), &[("filename", "a.zip")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_minimum(&answer);
        assert_eq!(verdict(&answer.json), (1, "Blocked", "Infected"));
        assert_eq!(answer.json["extracted_files"]["files_in_archive"].as_array().unwrap().len(), 2);
        let [polled, answered] = [client.result(answer.json["data_id"].as_str().unwrap()).await, answer.json].map(|mut result| {
            // New definitions of another test may come between.
            result["process_info"].as_object_mut().unwrap().remove("outdated_data");
            result
        });
        assert_eq!(polled, answered, "it is the same as a poll's");
    }
    assert_eq!(verdict(&post(&client, "/file/sync", unique("clean"), &[]).await.json), (0, "Allowed", ""));
}

#[tokio::test]
async fn a_synchronous_scan_needs_what_a_submission_needs_and_calls_nobody_back() {
    let client = Target::client();
    let callback = ("callbackurl", "https://example.com/hook");
    let answer = post(&client, "/file/sync", unique("x"), &[callback]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    for wrong in [client.with_key(Some("wrong")), client.with_key(None)] {
        let answer = post(&wrong, "/file/sync", unique("x"), &[]).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Access denied"));
    }
    assert_eq!(post(&client.with_key(Some("wrong")), "/file/sync", unique("x"), &[callback]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(post(&client, "/file/sync", Vec::new(), &[]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(&client, "/file/sync", unique("x"), &[("rule", "Nope")]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn headers_that_shape_a_scan_are_checked() {
    let client = Target::client();
    let hints = ("engines-metadata", r#"{"extraction":{"charset":"SJIS"}}"#);
    assert_eq!(verdict(&client.scan(unique("hints"), &[hints, ("global-timeout", "600")]).await).0, 0);
    // Menlo sends it always, as Python prints it.
    assert_eq!(verdict(&client.scan(unique("hints"), &[("engines-metadata", "{'extraction': {}}")]).await).0, 0);
    for wrong in ["0", "-1", "1.5", "86401", "soon"] {
        let answer = client.post_file(unique("x"), &[("global-timeout", wrong)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.err().contains("`global-timeout`"));
    }
}

#[tokio::test]
async fn the_queues_bound_is_a_setting_of_those_who_may_change_it() {
    let path = "/admin/config/scan";
    let client = Target::client();
    let put = async |client: &Client, body: serde_json::Value| send(client.request(Method::PUT, path).body(body.to_string())).await;
    let (desk, nobody) = (user(&["help_desk"]).await, user(&[]).await);
    let default = desk.get(path).await;
    assert_eq!((default.status, &default.json), (StatusCode::OK, &json!({ "max_queue_per_agent": 20_000 })));
    assert_eq!(nobody.get(path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put(&desk, json!({ "max_queue_per_agent": 1 })).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put(&client.with_key(None), json!({ "max_queue_per_agent": 1 })).await.status, StatusCode::FORBIDDEN);
    for (body, names) in [(json!({ "max_queue_per_agent": 0 }), "`max_queue_per_agent`"), (json!({ "max_queue_per_agent": 5, "mode": 1 }), "`mode`")]
    {
        let answer = put(&client, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.err().contains(names), "{answer:?}");
    }
    let changed = put(&client, json!({ "max_queue_per_agent": 20_001 })).await;
    assert_eq!((changed.status, &changed.json), (StatusCode::OK, &json!({ "max_queue_per_agent": 20_001 })));
    assert_eq!(client.get("/stat/nodes").await.json["statuses"][0]["scan_queue_details"]["total_scan_queue"], 20_001);
    assert_eq!(put(&client, json!({ "max_queue_per_agent": 20_000 })).await.status, StatusCode::OK);
}
