//! A server of the contract's oldest shape, written by hand: no presigned uploads, no `blocked_reasons`, no `sha512`. What it
//! shall answer wrongly can be said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

/// What it does, and what it saw.
#[derive(Default)]
pub struct Fake {
    /// Scans never end.
    pub stuck: bool,
    /// So many uploads are answered 503 with `Retry-After: 1` first.
    pub busy: u32,
    /// Presigned forms are offered (so it is not the oldest shape), for this address.
    pub store: Option<String>,
    /// Every content is allowed, under this digest.
    pub claims: Option<String>,
    pub uploads: Vec<(HeaderMap, Bytes)>,
    pub cancelled: Vec<String>,
    /// How often each scan was asked about.
    pub polls: BTreeMap<String, u32>,
}

pub type Shared = Arc<Mutex<Fake>>;

/// Starts it; port 0 takes a free one.
pub async fn start(fake: Fake, port: u16) -> (SocketAddr, Shared) {
    let fake = Arc::new(Mutex::new(fake));
    let routes = Router::new()
        .route("/file", post(upload))
        .route("/file/presign", post(presign))
        .route("/file/rules", get(|| async { Json(json!([{ "name": "File scan", "max_file_size": 200_000_000 }])) }))
        .route("/file/{id}", get(result))
        .route("/file/{id}/cancel", post(cancel))
        .layer(DefaultBodyLimit::disable())
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    // Deployed below a prefix, as many are.
    let app = Router::new().nest("/metascan_rest", routes);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, fake)
}

async fn upload(State(fake): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut fake = fake.lock().unwrap();
    if headers.get("content-length").is_none() {
        return (StatusCode::LENGTH_REQUIRED, Json(json!({ "err": "Missing Content-Length header." }))).into_response();
    }
    if fake.busy > 0 {
        fake.busy -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [("Retry-After", "1")], Json(json!({ "err": "Server is too busy. Try again later." })))
            .into_response();
    }
    fake.uploads.push((headers, body));
    Json(json!({ "data_id": format!("{:032x}", fake.uploads.len()) })).into_response()
}

async fn presign(State(fake): State<Shared>) -> Response {
    match &fake.lock().unwrap().store {
        Some(url) => Json(json!({ "data_id": "form", "url": url, "fields": { "key": "in/form" }, "file_field": "file" })).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "err": "Not found" }))).into_response(),
    }
}

async fn cancel(State(fake): State<Shared>, Path(id): Path<String>) -> Json<Value> {
    fake.lock().unwrap().cancelled.push(id.clone());
    Json(json!({ id: "cancelled" }))
}

async fn result(State(fake): State<Shared>, Path(id): Path<String>) -> Json<Value> {
    let mut fake = fake.lock().unwrap();
    let Some((headers, body)) = usize::from_str_radix(&id, 16).ok().and_then(|n| fake.uploads.get(n.checked_sub(1)?)).cloned() else {
        return Json(json!({ id: "Not Found" }));
    };
    let polls = fake.polls.entry(id.clone()).or_default();
    *polls += 1;
    let ended = *polls > 2 && !fake.stuck;
    let infected = body.windows(5).any(|window| window == b"EICAR") && fake.claims.is_none();
    let (progress, said, code, text) = match (ended, infected) {
        (false, _) => (20, "Processing", 255, "In Progress"),
        (true, false) => (100, "Allowed", 0, "No Threat Detected"),
        (true, true) => (100, "Blocked", 1, "Infected"),
    };
    let sha256 = fake.claims.clone().unwrap_or_else(|| crate::target::sha256(&body));
    let found = if infected && ended { "Eicar-Test" } else { "" };
    Json(json!({
        "data_id": id,
        "file_info": {
            "display_name": headers.get("filename").and_then(|name| name.to_str().ok()).unwrap_or_default(), "file_size": body.len(),
            "file_type": "text/plain", "file_type_description": "ASCII text", "md5": "", "sha1": "", "sha256": sha256,
            "upload_timestamp": "2020-03-12T08:37:05.412Z",
        },
        "process_info": {
            "progress_percentage": progress, "result": said, "blocked_reason": if infected && ended { text } else { "" },
            "file_type_skipped_scan": false, "profile": "File scan", "user_agent": "",
        },
        "scan_results": {
            "data_id": id, "progress_percentage": progress, "scan_all_result_i": code, "scan_all_result_a": text,
            "start_time": "2020-03-12T08:37:05.500Z", "total_avs": 1, "total_time": 10,
            "scan_details": { "ClamAV": { "scan_result_i": code, "threat_found": found, "def_time": "2020-03-12T00:00:00.000Z", "scan_time": 1 } },
        },
    }))
}
