//! Everything that brings files in (contract §1.2–1.4, §4).
//!
//! What always holds: the record is written before the object, and the object landing in S3 is what
//! starts the scan. There is no second write to lose.

mod cancel;
mod file;
mod headers;
mod presign;
mod submission;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use portcullis_core::announce::Announcer;
use portcullis_core::auth::{Authenticator, FirstAdmin};
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::{self, routes::Function};
use portcullis_core::store::{identity::Identity, objects::Objects, queue::Queue, scans::Scans, settings::Settings};

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    auth: Authenticator,
    settings: Arc<Settings>,
    scans: Scans,
    objects: Objects,
    announcer: Announcer,
    bucket: Arc<str>,
    signing: presign::Signing,
    /// Life of a presigned upload, seconds.
    presign_seconds: u64,
    /// Time to a terminal state, ms.
    deadline_ms: i64,
    /// Time results are kept, ms.
    retention_ms: i64,
}

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("upload");
    let table = reader.text("PORTCULLIS_TABLE");
    let bucket = reader.text("PORTCULLIS_UPLOAD_BUCKET");
    let notify_queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
    let first_admin = FirstAdmin::read(&mut reader);
    let presign_seconds = reader.number("PORTCULLIS_PRESIGN_SECONDS", 1..=900);
    let deadline_seconds = reader.number("PORTCULLIS_SCAN_DEADLINE_SECONDS", 60..=86_400);
    let retention_hours = reader.number("PORTCULLIS_RETENTION_HOURS", 1..=87_600);
    reader.finish(())?;
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let upload = Upload {
        auth: Authenticator::new(Identity::new(clients.dynamodb().clone(), &table), Arc::clone(&settings), first_admin),
        settings,
        scans: Scans::new(clients.dynamodb().clone(), &table),
        objects: Objects::new(clients.s3().clone()),
        announcer: Announcer::new(Queue::new(clients.sqs().clone(), notify_queue)),
        bucket: bucket.into(),
        signing: presign::Signing::new(clients.config()),
        presign_seconds,
        deadline_ms: i64::try_from(deadline_seconds * 1000).unwrap_or(i64::MAX),
        retention_ms: i64::try_from(retention_hours * 3_600_000).unwrap_or(i64::MAX),
    };
    let handlers = Router::new()
        .route("/file", post(file::submit))
        .route("/file/presign", post(presign::presign))
        .route("/file/{data_id}/cancel", post(cancel::cancel))
        .with_state(upload);
    Ok(http::service(Function::Upload, handlers))
}
