//! Everything that reads results (contract F4–F6, F9, F12, B3, B7).
//!
//! What always holds: a poll is one read of the table (a second only for children, finished archives and the files of a batch),
//! and an id that was issued answers 200.

mod analysis;
mod asked;
mod batch;
mod certificate;
mod console;
mod description;
mod hash;
mod listing;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::HeaderValue;
use axum::routing::{get, post};
use portcullis_core::auth::Authenticator;
use portcullis_core::aws::{Clients, form_url};
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::{
    self,
    routes::{Function, LEGACY_PREFIX},
};
use portcullis_core::store::secrets::Secrets;
use portcullis_core::store::{
    batches::Batches, children::Children, deliveries::Deliveries, hashes::Hashes, objects::Objects, queue::Queue, scans::Scans, settings::Settings,
};

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    auth: Authenticator,
    settings: Arc<Settings>,
    scans: Scans,
    hashes: Hashes,
    children: Children,
    batches: Batches,
    deliveries: Deliveries,
    notify_queue: Queue,
    secrets: Secrets,
    /// Name of the secret that batch reports are signed with.
    signing_secret: Arc<str>,
    /// Content-Security-Policy of the console.
    console_policy: HeaderValue,
}

impl FromRef<Results> for Authenticator {
    fn from_ref(results: &Results) -> Self {
        results.auth.clone()
    }
}

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("results");
    let table = reader.text("PORTCULLIS_TABLE");
    let uploads = reader.text("PORTCULLIS_UPLOAD_BUCKET");
    let reports = reader.text("PORTCULLIS_REPORT_BUCKET");
    let notify_queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
    let signing_secret = reader.text("PORTCULLIS_SIGNING_SECRET_ID");
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let auth = Authenticator::read(&mut reader, clients, Arc::clone(&settings));
    reader.finish(())?;
    let results = Results {
        auth,
        settings,
        scans: Scans::new(clients.dynamodb().clone(), &table),
        deliveries: Deliveries::new(clients.dynamodb().clone(), &table),
        notify_queue: Queue::new(clients.sqs().clone(), notify_queue),
        hashes: Hashes::new(clients.dynamodb().clone(), &table),
        batches: Batches::new(clients.dynamodb().clone(), &table),
        secrets: Secrets::new(clients.secrets().clone()),
        signing_secret: signing_secret.into(),
        console_policy: console::policy(&form_url(clients.config(), &uploads)),
        children: Children::new(Objects::new(clients.s3().clone()), reports),
    };
    let handlers = Router::new()
        .route("/", get(console::home))
        // What people type who know the prefix; relative links lead the right way from there only.
        .route(&format!("{LEGACY_PREFIX}/"), get(console::home))
        .route("/console/{file}", get(console::file))
        .route("/openapi.json", get(description::document))
        .route("/docs", get(description::page))
        .route("/limits", get(listing::limits))
        .route("/file/rules", get(listing::rules))
        .route("/file/{data_id}", get(analysis::by_id))
        .route("/process/{data_id}", get(analysis::by_id))
        .route("/archive/{data_id}", get(analysis::archive))
        .route("/file/batch/{batch_id}", get(batch::status))
        .route("/file/webhook/{data_id}", get(webhook::state))
        .route("/file/webhook/{data_id}/resend", post(webhook::resend))
        .route("/file/batch/{batch_id}/certificate", get(certificate::certificate))
        .route("/hash/{hash}", get(hash::by_hash))
        .route("/hash", post(hash::by_hashes))
        .with_state(results);
    Ok(http::service(Function::Results, handlers))
}
