//! Time and room that run out: a scan that takes too long for its client, and a queue that is full.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::process::{KEY, Process};
use crate::support::client::{send, verdict};
use crate::support::files::unique;

const ENDLESS: &[u8] = b"PORTCULLIS-TEST-HOOK:loop";
const ONE_WORKER: [(&str, &str); 3] = [("PORTCULLIS_TEST_HOOKS", "1"), ("PORTCULLIS_WORKERS", "1"), ("PORTCULLIS_SYNC_SECONDS", "2")];

#[tokio::test]
async fn a_scan_past_its_time_is_told_by_408_and_ends_by_the_clients_own_timeout() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &ONE_WORKER);
    let client = &process.client;
    assert_eq!(verdict(&client.scan(unique("before"), &[]).await).0, 0);
    let started = Instant::now();
    let answer = send(client.request(Method::POST, "/file/sync").header("global-timeout", "6").body(ENDLESS)).await;
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!((Duration::from_millis(1400)..Duration::from_secs(6)).contains(&started.elapsed()), "{:?}", started.elapsed());
    let id = answer.err().split('`').nth(1).expect("the text names the id").to_owned();
    assert_eq!(client.get(&format!("/file/{id}")).await.json["process_info"]["result"], "Processing", "the scan goes on");

    let result = client.result(&id).await;
    assert_eq!(verdict(&result), (3, "Blocked", "Failed"));
    assert_eq!(result["process_info"]["blocked_reasons"], json!(["Failed", "Global scan timeout exceeded"]));
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    assert_eq!(verdict(&client.scan(unique("after"), &[]).await).0, 0, "the slot is free");
}

#[tokio::test]
async fn a_full_queue_is_503_and_nothing_is_stored() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &ONE_WORKER);
    let client = &process.client;
    let endless = client.submit(ENDLESS.to_vec(), &[]).await;
    let put = client.request(Method::PUT, "/admin/config/scan").body(json!({ "max_queue_per_agent": 1 }).to_string());
    assert_eq!(send(put).await.status, 200);
    // Settings are believed for five seconds, the depth for two.
    let end = Instant::now() + Duration::from_secs(15);
    while client.post_file(unique("early"), &[]).await.status == 200 {
        assert!(Instant::now() < end, "the queue is never full");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for path in ["/file", "/file/sync", "/file/presign"] {
        let response = reqwest::Client::new().post(format!("{}{path}", client.url)).header("apikey", KEY).body("more").send().await.unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(response.text().await.unwrap(), r#"{"err":"Server is too busy. Try again later."}"#);
    }
    // Polls go on, and when there is room again files come in.
    assert_eq!(client.get(&format!("/file/{endless}")).await.status, 200);
    send(client.request(Method::POST, &format!("/file/{endless}/cancel")).header("Content-Length", "0")).await;
    let end = Instant::now() + Duration::from_secs(20);
    while client.post_file(unique("late"), &[]).await.status != 200 {
        assert!(Instant::now() < end, "there is room again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
