//! Health, version, engines, nodes, YARA; later the rest of the configuration and the licence (contract §1.6–1.10).

mod history;
mod rescan;
mod rules;
mod scan;
mod stats;
mod webhook;
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
use portcullis_core::store::{StoreError, history::History, queue::Queue, rescans::Rescans, settings::Settings};
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
    };
    let handlers = Router::new()
        .route("/admin/config/scan", get(scan::read).put(scan::write))
        .route("/version", get(stats::version))
        .route("/readyz", get(stats::ready))
        .route("/stat/engines", get(stats::engines))
        .route("/stat/nodes", get(stats::nodes))
        .route("/admin/config/yara/sources", get(yara::sources).put(yara::put_sources))
        .route("/admin/rescan", post(rescan::start).get(rescan::read).delete(rescan::stop))
        .route("/admin/config/rescan", get(rescan::settings).put(rescan::put_settings))
        .route("/admin/history", get(history::read))
        .route("/admin/config/rules", get(rules::read).put(rules::write))
        .route("/yara/package", get(yara::package))
        .route("/yara/generate", put(yara::generate).post(yara::generate))
        .route("/yara/rollback", post(yara::rollback))
        .route("/admin/config/webhook", get(webhook::read).put(webhook::write))
        .with_state(admin);
    Ok(http::service(Function::Admin, handlers))
}
