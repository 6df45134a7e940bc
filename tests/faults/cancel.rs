//! A cancelled scan stops working at once: its worker process ends, and the slot takes the next file.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::process::Process;
use crate::support::client::{send, verdict};
use crate::support::files::unique;

/// Issue 3, item 2.
const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_cancelled_scan_stops_within_two_seconds_and_its_slot_scans_the_next_file() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &[("PORTCULLIS_TEST_HOOKS", "1"), ("PORTCULLIS_WORKERS", "1")]);
    let client = &process.client;
    // The only worker is there and idle.
    assert_eq!(verdict(&client.scan(unique("before"), &[]).await).0, 0);
    let [worker] = process.workers()[..] else { panic!("{:?}", process.workers()) };

    let id = client.submit(b"PORTCULLIS-TEST-HOOK:loop".to_vec(), &[("filename", "endless.txt")]).await;
    while client.get(&format!("/file/{id}")).await.json["process_info"]["progress_percentage"] == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It waits for the one slot.
    let next = client.submit(unique("next"), &[]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(process.workers(), [worker], "it works on the endless file");
    assert_eq!(client.get(&format!("/file/{id}")).await.json["process_info"]["result"], "Processing");

    let started = Instant::now();
    let answer = send(client.request(Method::POST, &format!("/file/{id}/cancel")).header("Content-Length", "0")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(verdict(&client.result(&id).await), (19, "Blocked", "Canceled"), "the client knows at once");
    while process.workers().contains(&worker) {
        assert!(started.elapsed() < LIMIT, "it still works {:?} after its cancel", started.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(verdict(&client.result(&next).await).0, 0);
    assert_eq!(verdict(&client.result(&id).await).0, 19, "no other verdict follows");
}
