//! Hot polling (ICAP servers ask every 20 ms): never anything but 200, and one cheap read each.

use std::time::Duration;

use reqwest::StatusCode;

use crate::support::client::{Client, assert_minimum};
use crate::support::files::{unique, zip};
use crate::support::own_host;
use crate::target::Target;

const CLIENTS: usize = 4;
const INTERVAL: Duration = Duration::from_millis(20);
/// Contract §9.2: a client gives up on a poll that takes longer.
const SLOWEST: Duration = Duration::from_secs(2);

/// An archive that takes a while.
fn archive() -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = (0..400).map(|n| (format!("{n}.txt"), unique(&format!("polled {n}")))).collect();
    let entries: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    zip(&entries)
}

/// Polls until the verdict, and `more` times after it. Answers how often.
async fn poll(client: Client, id: String, more: usize) -> usize {
    let (mut polls, mut after) = (0, 0);
    let mut ticks = tokio::time::interval(INTERVAL);
    while after < more {
        ticks.tick().await;
        let answer = tokio::time::timeout(SLOWEST, client.get(&format!("/file/{id}"))).await.expect("a poll takes too long");
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_minimum(&answer);
        polls += 1;
        after += usize::from(answer.json["process_info"]["progress_percentage"] == 100);
        assert!(polls < 10_000, "no verdict: {answer:?}");
    }
    polls
}

async fn poll_from_several(client: &Client, id: &str, more: usize) -> usize {
    let polling = (0..CLIENTS).map(|_| tokio::spawn(poll(client.clone(), id.to_owned(), more)));
    let mut polls = 0;
    for ended in polling.collect::<Vec<_>>() {
        polls += ended.await.unwrap();
    }
    polls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_polled_hard_answers_200_every_time() {
    let client = Target::client();
    let id = client.submit(archive(), &[("filename", "polled.zip")]).await;
    let polls = poll_from_several(&client, &id, 5).await;
    assert!(polls >= CLIENTS * 5, "{polls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_one_read() {
    let host = own_host::start(&own_host::folder("polling"), "polling-key", &[("PORTCULLIS_WORKERS", "1")]).await;
    let client = Client::new(format!("http://{}", host.addr), Some("polling-key"));
    // Running (an upload that never comes) and finished.
    let waiting = crate::support::client::send(client.request(reqwest::Method::POST, "/file/presign").header("Content-Length", "0")).await;
    let finished = client.scan(unique("one read"), &[]).await;
    for id in [&waiting.json["data_id"], &finished["data_id"]] {
        let path = format!("/file/{}", id.as_str().unwrap());
        client.get(&path).await;
        let reads = || ["GetItem", "BatchGetItem", "Query", "Scan"].map(|name| host.calls(&format!("DynamoDB_20120810.{name}"))).iter().sum::<u64>();
        let (before, polls) = (reads(), 200);
        for _ in 0..polls {
            assert_eq!(client.get(&path).await.status, StatusCode::OK);
        }
        let made = reads() - before;
        // Beside them, what others of this host read meanwhile: keys and settings, whose cache lasts seconds, and sweep's rounds.
        assert!((polls..polls + 60).contains(&made), "{made} reads for {polls} polls");
    }
    host.stop().await;
}
