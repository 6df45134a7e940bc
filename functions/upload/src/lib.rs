//! Everything that brings files in (contract §1.2–1.4, §4).
//!
//! What always holds: the record is written before the object, and the object landing in S3 is what
//! starts the scan. There is no second write to lose.

mod batch;
mod cancel;
mod download;
mod file;
mod form;
mod headers;
mod multipart;
mod presign;
mod submission;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::post;
use portcullis_core::announce::Announcer;
use portcullis_core::auth::Authenticator;
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::{self, routes::Function};
use portcullis_core::store::queue::{Gauge, Queue};
use portcullis_core::store::{batches::Batches, children::Children, objects::Objects, scans::Scans, settings::Settings};
use portcullis_outbound::{Client, Policy};

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    auth: Authenticator,
    settings: Arc<Settings>,
    scans: Scans,
    batches: Batches,
    objects: Objects,
    children: Children,
    announcer: Announcer,
    /// How full the scan queue is.
    queue: Arc<Gauge>,
    scan_queue: Queue,
    /// Judges the URLs that submissions name, and looks at what `downloadfrom` leads to.
    outbound: Client,
    bucket: Arc<str>,
    signing: presign::Signing,
    /// Life of a presigned upload, seconds.
    presign_seconds: u64,
    /// How long `POST /file/sync` waits.
    sync_wait: Duration,
    /// Time to a terminal state, ms.
    deadline_ms: i64,
}

impl FromRef<Upload> for Authenticator {
    fn from_ref(upload: &Upload) -> Self {
        upload.auth.clone()
    }
}

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("upload");
    let table = reader.text("PORTCULLIS_TABLE");
    let bucket = reader.text("PORTCULLIS_UPLOAD_BUCKET");
    let reports = reader.text("PORTCULLIS_REPORT_BUCKET");
    let scan_queue = reader.text("PORTCULLIS_SCAN_QUEUE_URL");
    let notify_queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
    let presign_seconds = reader.number("PORTCULLIS_PRESIGN_SECONDS", 1..=900);
    let sync_seconds = reader.number("PORTCULLIS_SYNC_SECONDS", 1..=28);
    let deadline_seconds = reader.number("PORTCULLIS_SCAN_DEADLINE_SECONDS", 60..=86_400);
    let policy = Policy::read(&mut reader);
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let auth = Authenticator::read(&mut reader, clients, Arc::clone(&settings));
    reader.finish(())?;
    let scan_queue = Queue::new(clients.sqs().clone(), scan_queue);
    let batches = Batches::new(clients.dynamodb().clone(), &table);
    let upload = Upload {
        auth,
        settings,
        scans: Scans::new(clients.dynamodb().clone(), &table),
        batches: batches.clone(),
        children: Children::new(Objects::new(clients.s3().clone()), reports),
        objects: Objects::new(clients.s3().clone()),
        queue: Arc::new(Gauge::new(scan_queue.clone())),
        scan_queue,
        outbound: Client::new(policy, download::LIMITS),
        announcer: Announcer::new(Queue::new(clients.sqs().clone(), notify_queue), batches),
        bucket: bucket.into(),
        signing: presign::Signing::new(clients.config()),
        presign_seconds,
        sync_wait: Duration::from_secs(sync_seconds),
        deadline_ms: i64::try_from(deadline_seconds * 1000).unwrap_or(i64::MAX),
    };
    let handlers = Router::new()
        .route("/file", post(file::submit))
        .route("/file/sync", post(sync::submit_and_wait))
        .route("/file/presign", post(presign::presign))
        .route("/file/multipart", post(multipart::begin))
        .route("/file/multipart/{data_id}", post(multipart::part).get(multipart::status).delete(multipart::abort))
        .route("/file/multipart/{data_id}/presign", post(multipart::presign_part))
        .route("/file/{data_id}/cancel", post(cancel::cancel))
        .route("/file/batch", post(batch::create))
        .route("/file/batch/{batch_id}/close", post(batch::close))
        .route("/file/batch/{batch_id}/close/callback", post(batch::close_with_callback))
        .route("/file/batch/{batch_id}/cancel", post(batch::cancel))
        .with_state(upload);
    Ok(http::service(Function::Upload, handlers))
}
