//! Webhooks a second: resends of finished files to a receiver on this machine.
//!
//! `cargo bench --workspace --bench webhooks` scans 200 files with a callback, asks for 2 000 resends with 16 clients
//! (`PORTCULLIS_BENCH_WEBHOOKS=500` asks for fewer) and prints the rate from the first request to the last webhook. Each
//! one is an API call, two queue messages' worth of work, four writes of the table, a signature and a POST; clients, host
//! and receiver share this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking and prints its table"
)]

#[path = "../../../tests/support/own_host.rs"]
#[allow(dead_code, unreachable_pub, reason = "every benchmark uses a part")]
mod own_host;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

const KEY: &str = "benchmark-key";
const FILES: usize = 200;
const CLIENTS: usize = 16;

fn main() {
    let webhooks = std::env::var("PORTCULLIS_BENCH_WEBHOOKS").map_or(2000, |n| n.parse().expect("PORTCULLIS_BENCH_WEBHOOKS is a number"));
    portcullis_core::telemetry::start("error,dynoxide=off", false);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run(webhooks));
}

async fn run(webhooks: usize) {
    let folder = tempfile::tempdir().unwrap();
    let host = own_host::start(folder.path(), KEY, &[("PORTCULLIS_OUTBOUND_ALLOW", "127.0.0.0/8")]).await;
    let received = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind(own_host::loopback()).await.unwrap();
    let callback = format!("http://{}/", listener.local_addr().unwrap());
    let count = Arc::clone(&received);
    let hooks = Router::new().route(
        "/",
        post(move || async move {
            count.fetch_add(1, Ordering::Relaxed);
        }),
    );
    tokio::spawn(async move { axum::serve(listener, hooks).await });

    let (api, http) = (format!("http://{}", host.addr), reqwest::Client::new());
    let mut ids = Vec::new();
    for n in 0..FILES {
        let request = http.post(format!("{api}/file")).header("apikey", KEY).header("callbackurl", &callback).body(format!("webhook bench {n}"));
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        ids.push(answer["data_id"].as_str().unwrap().to_owned());
    }
    until(&received, FILES).await;
    // The last ones are written down as delivered a moment after they were received.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (ids, next, started) = (Arc::new(ids), Arc::new(AtomicUsize::new(0)), Instant::now());
    let clients = (0..CLIENTS).map(|_| {
        let (api, http, ids, next) = (api.clone(), http.clone(), Arc::clone(&ids), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= webhooks {
                    return;
                }
                let resend =
                    || http.post(format!("{api}/file/webhook/{}/resend", ids[n % FILES])).header("apikey", KEY).header("content-length", "0");
                // 409: the one before is still under way.
                while resend().send().await.unwrap().status() == reqwest::StatusCode::CONFLICT {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        })
    });
    futures::future::join_all(clients.collect::<Vec<_>>()).await;
    until(&received, FILES + webhooks).await;
    let took = started.elapsed();
    println!(
        "| webhooks | seconds | webhooks/s |\n|---|---|---|\n| {webhooks} | {:.2} | {:.0} |",
        took.as_secs_f64(),
        webhooks as f64 / took.as_secs_f64()
    );
    host.stop().await;
}

async fn until(received: &AtomicUsize, count: usize) {
    let end = Instant::now() + Duration::from_mins(5);
    while received.load(Ordering::Relaxed) < count {
        assert!(Instant::now() < end, "{} of {count} came", received.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
