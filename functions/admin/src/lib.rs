//! Settings, engines, YARA, licence, health, statistics (contract §1.6–1.10).

mod auditlog;
mod config;
mod engines;
mod health;
mod history;
mod license;
mod quarantine;
mod rescan;
mod rules;
mod stats;
mod summary;
mod transfer;
mod yara;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post, put};
use portcullis_core::audit::Change;
use portcullis_core::auth::Authenticator;
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::{self, routes::Function};
use portcullis_core::store::{
    StoreError, history::History, objects::Objects, quarantine::Quarantine, queue::Queue, rescans::Rescans, settings::Settings, stats::Stats,
};
use serde::Serialize;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    auth: Authenticator,
    settings: Arc<Settings>,
    scan_queue: Queue,
    definitions_bucket: Arc<str>,
    history: History,
    rescans: Rescans,
    stats: Stats,
    /// Definitions, of which those that are pinned are copied; quarantine.
    objects: Objects,
    /// Name of the table: the deployment's own.
    table: Arc<str>,
    quarantine: Quarantine,
    upload_bucket: Arc<str>,
    report_bucket: Arc<str>,
}

impl FromRef<Admin> for Authenticator {
    fn from_ref(admin: &Admin) -> Self {
        admin.auth.clone()
    }
}

impl Admin {
    /// Puts a setting in force that was made of the one of `revision`; 409 when somebody else was first.
    async fn change<T: Serialize + Sync>(&self, change: Change, name: &'static str, value: &T, revision: u64) -> Result<u64, ApiError> {
        match self.settings.change(self.auth.audit(), change, name, value, Some(revision)).await {
            Err(StoreError::Conflict { .. }) => {
                Err(ApiError::with_text(ErrorCode::Conflict, "Somebody else changed this at the same moment: read it again."))
            }
            result => Ok(result?),
        }
    }
}

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("admin");
    let table = reader.text("PORTCULLIS_TABLE");
    let queue = reader.text("PORTCULLIS_SCAN_QUEUE_URL");
    let definitions_bucket = reader.text("PORTCULLIS_DEFINITIONS_BUCKET");
    let upload_bucket = reader.text("PORTCULLIS_UPLOAD_BUCKET");
    let report_bucket = reader.text("PORTCULLIS_REPORT_BUCKET");
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let auth = Authenticator::read(&mut reader, clients, Arc::clone(&settings));
    reader.finish(())?;
    let admin = Admin {
        auth,
        settings,
        scan_queue: Queue::new(clients.sqs().clone(), queue),
        definitions_bucket: definitions_bucket.into(),
        history: History::new(clients.dynamodb().clone(), &table),
        rescans: Rescans::new(clients.dynamodb().clone(), &table),
        stats: Stats::new(clients.dynamodb().clone(), &table),
        objects: Objects::new(clients.s3().clone()),
        quarantine: Quarantine::new(clients.dynamodb().clone(), &table),
        upload_bucket: upload_bucket.into(),
        report_bucket: report_bucket.into(),
        table: table.into(),
    };
    let handlers = config::mount(Router::new())
        .route("/version", get(stats::version))
        .route("/readyz", get(health::ready))
        .route("/stat/engines", get(stats::engines))
        .route("/stat/nodes", get(stats::nodes))
        .route("/stat/summary", get(summary::read))
        .route("/admin/engine", get(engines::list))
        .route("/admin/engine/{engine_id}/enable", post(engines::enable))
        .route("/admin/engine/{engine_id}/disable", post(engines::disable))
        .route("/admin/engine/{engine_id}/pin", post(engines::pin))
        .route("/admin/engine/{engine_id}/unpin", post(engines::unpin))
        .route("/admin/export", get(transfer::export))
        .route("/admin/import", post(transfer::import))
        .route("/admin/license", get(license::read).post(license::upload))
        .route("/admin/license/activation", post(license::activate))
        .route("/admin/config/yara/sources", get(yara::sources).put(yara::put_sources))
        .route("/admin/rescan", post(rescan::start).get(rescan::read).delete(rescan::stop))
        .route("/admin/history", get(history::read))
        .route("/admin/auditlog", get(auditlog::read))
        .route("/admin/quarantine", get(quarantine::list))
        .route("/admin/quarantine/{data_id}", get(quarantine::read).delete(quarantine::delete))
        .route("/admin/quarantine/{data_id}/download", get(quarantine::download))
        .route("/admin/quarantine/{data_id}/restore", post(quarantine::restore))
        .route("/admin/config/rules", get(rules::read).put(rules::write))
        .route("/yara/package", get(yara::package))
        .route("/yara/generate", put(yara::generate).post(yara::generate))
        .route("/yara/rollback", post(yara::rollback))
        .with_state(admin);
    Ok(http::service(Function::Admin, handlers))
}
