//! Cancelling files (contract F8, §5.7).

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;
use crate::ways_in::{presign, upload};

async fn cancel(client: &Client, id: &str) -> Answer {
    send(client.request(Method::POST, &format!("/file/{id}/cancel")).header("Content-Length", "0")).await
}

/// A submission that has no verdict yet, for as long as the test wants.
async fn waiting() -> (serde_json::Value, String) {
    let presigned = presign(&[("filename", "cancelled.com")]).await;
    let id = presigned["data_id"].as_str().unwrap().to_owned();
    (presigned, id)
}

#[tokio::test]
async fn a_cancelled_file_is_blocked_as_canceled_for_ever() {
    let client = Target::client();
    let (presigned, id) = waiting().await;
    for path in [id.clone(), format!("../metascan_rest/file/{id}")] {
        let answer = cancel(&client, &path).await;
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ &*id: "cancelled" })), "cancelled already is cancelled");
    }
    let result = client.result(&id).await;
    assert_eq!(verdict(&result), (19, "Blocked", "Canceled"));
    assert!(result.get("extracted_files").is_none());
    // The file arrives all the same, and is a threat: the verdict stays.
    assert_eq!(upload(&presigned, eicar(), &[]).await, StatusCode::CREATED);
    assert_eq!(verdict(&client.scan(unique("after"), &[]).await).0, 0);
    assert_eq!(verdict(&client.result(&id).await).0, 19);
}

#[tokio::test]
async fn the_id_of_a_child_cancels_its_submission() {
    let client = Target::client();
    let (_, id) = waiting().await;
    let child = portcullis_core::domain::id::DataId::parse(&id).unwrap().child(3).to_string();
    let answer = cancel(&client, &child).await;
    assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ &*child: "cancelled" })));
    assert_eq!(verdict(&client.result(&id).await).0, 19);
    assert_eq!(client.get(&format!("/file/{child}")).await.json, json!({ &*child: "Not Found" }), "no child is invented");
}

#[tokio::test]
async fn a_verdict_can_not_be_cancelled_and_what_is_unknown_is_not_found() {
    let client = Target::client();
    let result = client.scan(zip(&[("eicar.com", &eicar())]), &[]).await;
    let id = result["data_id"].as_str().unwrap();
    let answer = cancel(&client, id).await;
    assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "The scan has already ended."));
    assert_eq!(verdict(&client.result(id).await).0, 1);
    for unknown in ["0123456789abcdef0123456789abcdef", "nonsense", "%ff"] {
        let answer = cancel(&client, unknown).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::NOT_FOUND, "Not found"), "{unknown}");
    }
}

#[tokio::test]
async fn only_the_owner_and_roles_that_may_change_scans_cancel() {
    let (_, id) = waiting().await;
    let client = Target::client();
    for (who, status) in [
        (client.with_key(None), StatusCode::FORBIDDEN),
        (client.with_key(Some("wrong")), StatusCode::BAD_REQUEST),
        (user(&[]).await, StatusCode::FORBIDDEN),
        (user(&["help_desk"]).await, StatusCode::FORBIDDEN),
        (user(&["security_admin"]).await, StatusCode::OK),
    ] {
        let answer = cancel(&who, &id).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    // What was submitted without a key is anyone's who has the id.
    let open = client.with_key(None);
    let request = open.request(Method::POST, "/file/presign").header("rule", "Open").header("Content-Length", "0");
    let answer = send(request).await;
    assert_eq!(cancel(&open, answer.json["data_id"].as_str().unwrap()).await.status, StatusCode::OK);
}
