//! The broom, every minute: submissions that should have ended and did not, and ends that nobody may have been told of ([`due`]).
//!
//! Then it goes on with a rescan ([`rescan`]), has definitions renewed on schedule, and removes what is no longer kept
//! ([`quarantine`], [`retention`]).
//!
//! What always holds: a submission stays in the index until it is `Done` and, where nobody else repeats that, told of: none is
//! forgotten.

mod due;
mod quarantine;
mod rescan;
mod retention;

use portcullis_core::announce::Announcer;
use portcullis_core::audit::AuditLog;
use portcullis_core::aws::Clients;
use portcullis_core::clock::now_ms;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::metrics;
use portcullis_core::store::StoreError;
use portcullis_core::store::batches::Batches;
use portcullis_core::store::erase::Eraser;
use portcullis_core::store::history::History;
use portcullis_core::store::objects::Objects;
use portcullis_core::store::queue::Queue;
use portcullis_core::store::rescans::Rescans;
use portcullis_core::store::scans::Scans;
use portcullis_core::store::settings::Settings;
use portcullis_core::update;
use serde::Serialize;

use due::{Action, PATIENCE_MS};

/// Submissions of one shard looked at in one run.
const BATCH: i32 = 100;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Looked at.
    pub due: u32,
    /// Ended as `Failed`.
    pub failed: u32,
    /// Sent to the scan queue again.
    pub requested: u32,
    /// Ends without an object that were told of now.
    pub told: u32,
    /// Files handed out by a rescan.
    pub rescanned: u64,
    /// Submissions that are no longer kept, removed.
    pub erased: u64,
    /// Entries of the audit log that are no longer kept, removed.
    pub entries: u64,
    /// Could not be dealt with; they are tried again.
    pub errors: u32,
}

/// The function's state.
#[derive(Debug)]
pub struct Sweep {
    scans: Scans,
    objects: Objects,
    scan_queue: Queue,
    history: History,
    rescans: Rescans,
    settings: Settings,
    audit: AuditLog,
    eraser: Eraser,
    announcer: Announcer,
    quarantine: quarantine::Cleaner,
}

impl Sweep {
    /// From the environment.
    ///
    /// # Errors
    /// All problems of the configuration, together.
    pub fn new(env: &Env, clients: &Clients) -> Result<Self, ConfigError> {
        let mut reader = env.reader("sweep");
        let table = reader.text("PORTCULLIS_TABLE");
        let scan_queue = reader.text("PORTCULLIS_SCAN_QUEUE_URL");
        let notify_queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
        let audit_table = reader.text("PORTCULLIS_AUDIT_TABLE");
        let (uploads, reports) = (reader.text("PORTCULLIS_UPLOAD_BUCKET"), reader.text("PORTCULLIS_REPORT_BUCKET"));
        let objects = Objects::new(clients.s3().clone());
        reader.finish(Self {
            audit: AuditLog::new(clients.dynamodb().clone(), audit_table),
            eraser: Eraser::new(clients.dynamodb().clone(), &table, objects.clone(), uploads, reports),
            scans: Scans::new(clients.dynamodb().clone(), &table),
            objects,
            history: History::new(clients.dynamodb().clone(), &table),
            rescans: Rescans::new(clients.dynamodb().clone(), &table),
            settings: Settings::new(clients.dynamodb().clone(), &table),
            scan_queue: Queue::new(clients.sqs().clone(), scan_queue),
            quarantine: quarantine::Cleaner::new(clients, &table),
            announcer: Announcer::new(Queue::new(clients.sqs().clone(), notify_queue), Batches::new(clients.dynamodb().clone(), table)),
        })
    }

    /// One run. A submission that can not be dealt with costs the others nothing.
    pub async fn run(&self) -> Result<Swept, StoreError> {
        self.run_at(now_ms()).await
    }

    /// One run as of a time, ms since the epoch: what is due, and what is no longer kept, is so then.
    pub async fn run_at(&self, now: i64) -> Result<Swept, StoreError> {
        let (mut swept, begun) = (Swept::default(), tokio::time::Instant::now());
        for due in self.scans.due(now, BATCH).await? {
            swept.due += 1;
            match self.deal_with(&due, now).await {
                Ok(Action::Fail(_)) => swept.failed += 1,
                Ok(Action::Request | Action::Ask(_)) => swept.requested += 1,
                Ok(Action::Tell) => swept.told += 1,
                Ok(Action::Later(_)) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => {
                    swept.errors += 1;
                    let id = &due.record.submission.id;
                    tracing::error!(data_id = %id, error = %portcullis_core::error::chain(&error), "can not be swept");
                    // A run looks at so many: those that fail every time must not be the first of every run.
                    if let Err(error) = self.scans.reschedule(id, now + PATIENCE_MS).await {
                        tracing::warn!(data_id = %id, %error, "stays due");
                    }
                }
            }
        }
        match self.rescan(now).await {
            Ok(files) => swept.rescanned = files,
            Err(error) => {
                swept.errors += 1;
                tracing::error!(error = %portcullis_core::error::chain(&error), "the rescan does not get on");
            }
        }
        match update::renew(&self.settings, &self.scan_queue, now_ms()).await {
            Ok(true) => tracing::info!("definitions are renewed on schedule"),
            Ok(false) => {}
            Err(error) => {
                swept.errors += 1;
                tracing::error!(error = %portcullis_core::error::chain(&error), "definitions can not be renewed");
            }
        }
        metrics::count("StuckScans", u64::from(swept.failed));
        // Least urgent, so last; a fault of it costs the sweep nothing.
        let before = swept.errors;
        if let Err(error) = self.quarantine.run(now).await {
            swept.errors += 1;
            tracing::error!(error = %portcullis_core::error::chain(&error), "the quarantine can not be cleaned up");
        }
        if let Err(error) = self.clean_up(now, begun + retention::TIME, &mut swept).await {
            swept.errors += 1;
            tracing::error!(error = %portcullis_core::error::chain(&error), "what is no longer kept is still there");
        }
        metrics::count("RetentionFailures", u64::from(swept.errors - before));
        if swept != Swept::default() {
            tracing::info!(?swept, "swept");
        }
        Ok(swept)
    }
}
