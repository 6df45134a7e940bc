//! The broom, every minute: submissions that should have ended and did not.
//!
//! | found | done |
//! |---|---|
//! | past its deadline | ends as `Failed` |
//! | object there, no worker | its event was lost: a scan request is sent |
//! | no object, upload window open | looked at again when it closes |
//! | a multipart upload without object | its parts are looked at again |
//! | a download without object | it is asked for again |
//! | no object, upload window closed | ends as `Failed`: the file never arrived |
//! | a submission of a rescan, past its deadline | the same, and its file is counted as `failed` |
//! | a worker holds it | looked at again when the claim may have ended |
//!
//! Then it goes on with a rescan ([`rescan`]), has definitions renewed on schedule, and removes what is no longer kept
//! ([`quarantine`], [`retention`]).
//!
//! What always holds: a submission stays in the index of open ones until it is `Done`, so none is forgotten.

mod quarantine;
mod rescan;
mod retention;

use portcullis_core::announce::Announcer;
use portcullis_core::audit::AuditLog;
use portcullis_core::aws::Clients;
use portcullis_core::clock::now_ms;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::domain::event::{ScanRequest, Task};
use portcullis_core::domain::parts::WINDOW_MS;
use portcullis_core::domain::submission::{Outcome, Record, Source};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::metrics;
use portcullis_core::rescan::Change;
use portcullis_core::store::StoreError;
use portcullis_core::store::batches::Batches;
use portcullis_core::store::erase::Eraser;
use portcullis_core::store::history::History;
use portcullis_core::store::objects::Objects;
use portcullis_core::store::queue::Queue;
use portcullis_core::store::rescans::Rescans;
use portcullis_core::store::scans::{Due, Scans};
use portcullis_core::store::settings::Settings;
use portcullis_core::update;
use serde::Serialize;

/// Time in which an upload that was announced may arrive, in ms: the longest presigned life (15 min) and a minute.
const UPLOAD_WINDOW_MS: i64 = 16 * 60_000;
/// Time a scan request is given before it counts as lost, in ms.
const PATIENCE_MS: i64 = 5 * 60_000;
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
    /// Files handed out by a rescan.
    pub rescanned: u64,
    /// Submissions that are no longer kept, removed.
    pub erased: u64,
    /// Entries of the audit log that are no longer kept, removed.
    pub entries: u64,
    /// Could not be dealt with; they stay due.
    pub errors: u32,
}

enum Action {
    Fail(&'static str),
    Request,
    Ask(Task),
    Later(i64),
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
            match self.deal_with(&due).await {
                Ok(Action::Fail(_)) => swept.failed += 1,
                Ok(Action::Request | Action::Ask(_)) => swept.requested += 1,
                Ok(Action::Later(_)) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => {
                    swept.errors += 1;
                    tracing::error!(data_id = %due.record.submission.id, error = %portcullis_core::error::chain(&error), "can not be swept");
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

    async fn deal_with(&self, due: &Due) -> Result<Action, StoreError> {
        let submission = &due.record.submission;
        let now = now_ms();
        // What ends by the clock must end even where the object can not be looked at.
        let (action, object) = if let Some(by_clock) = by_clock(due, now) {
            (by_clock, None)
        } else {
            let object = match &due.record.object {
                Some(object) => Some(object.clone()),
                None => self.objects.head(&submission.bucket, &submission.key).await?,
            };
            (by_object(due, object.is_some(), now), object)
        };
        match (&action, object) {
            (Action::Fail(reason), _) => self.fail(&due.record, reason).await?,
            (Action::Request, Some(object)) => {
                // First the message, then the date: two messages do no harm, none would.
                let request = ScanRequest { scan_request: submission.id.clone(), object };
                let body = serde_json::to_string(&request).map_err(|e| StoreError::Permanent { what: "encode a scan request", source: e.into() })?;
                self.scan_queue.send(body).await?;
                self.scans.reschedule(&submission.id, now_ms() + PATIENCE_MS).await?;
                tracing::warn!(data_id = %submission.id, "a scan was requested again");
            }
            (Action::Ask(task), _) => {
                self.scan_queue.ask(task.clone()).await?;
                self.scans.reschedule(&submission.id, now_ms() + PATIENCE_MS).await?;
            }
            (Action::Later(at), _) => self.scans.reschedule(&submission.id, *at).await?,
            (Action::Request, None) => {}
        }
        Ok(action)
    }

    async fn fail(&self, record: &Record, reason: &str) -> Result<(), StoreError> {
        let submission = &record.submission;
        let outcome = Outcome::unscanned(record, Verdict::failed(reason), now_ms());
        // Before the end, as the scan function does it: what has ended is not looked at again.
        if let Some(of) = &submission.wishes.rescan_of {
            self.rescans.count(&of.job, &of.data_id, Change::Failed, None).await?;
        }
        self.scans.finish_unclaimed(submission, &outcome).await?;
        tracing::warn!(data_id = %submission.id, reason, "a submission ended without a scan");
        self.announcer.ended(&Record { outcome: Some(outcome), ..record.clone() }).await?;
        if submission.source == Source::Multipart
            && let Err(error) = self.scan_queue.ask(Task::Assemble { data_id: submission.id.clone() }).await
        {
            tracing::warn!(data_id = %submission.id, %error, "parts of an upload that ended stay for their lifecycle");
        }
        Ok(())
    }
}

/// What the claim and the deadline decide alone.
fn by_clock(due: &Due, now: i64) -> Option<Action> {
    if due.claim_until >= now {
        return Some(Action::Later(due.claim_until + 1000));
    }
    (now >= due.record.submission.deadline_at).then(|| Action::Fail(due.record.submission.overdue()))
}

/// What is left: is the file there?
fn by_object(due: &Due, object_exists: bool, now: i64) -> Action {
    if object_exists {
        return Action::Request;
    }
    let submission = &due.record.submission;
    let closes = submission.created_at + UPLOAD_WINDOW_MS;
    match submission.source {
        Source::Event => Action::Fail("The object was removed before it could be scanned."),
        // The event of the last part may have been lost, or its worker.
        Source::Multipart if now < submission.created_at + WINDOW_MS => Action::Ask(Task::Assemble { data_id: submission.id.clone() }),
        // Its task may have been lost, or its worker.
        Source::Download => Action::Ask(Task::Download { data_id: submission.id.clone() }),
        Source::Multipart => Action::Fail("Not all parts of the file arrived."),
        _ if now < closes => Action::Later(closes),
        _ => Action::Fail("The file never arrived."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::domain::id::DataId;
    use portcullis_core::domain::submission::{State, Submission, Wishes};

    fn due(source: Source, claim_until: i64) -> Due {
        let submission = Submission {
            id: DataId::random(),
            name: "a".into(),
            rule: "r".into(),
            user_agent: String::new(),
            owner: None,
            metadata: None,
            source,
            bucket: "b".into(),
            key: "k".into(),
            created_at: 0,
            deadline_at: 3_600_000,
            size: 1,
            wishes: Wishes::default(),
        };
        Due {
            record: Record { submission, state: State::Uploading, attempts: 0, started_at: None, object: None, fetched: None, outcome: None },
            claim_until,
        }
    }

    #[test]
    fn a_living_claim_is_left_alone_even_past_the_deadline() {
        assert!(matches!(by_clock(&due(Source::Api, 4_000_000), 3_700_000), Some(Action::Later(4_001_000))));
    }

    #[test]
    fn past_the_deadline_it_fails() {
        assert!(matches!(by_clock(&due(Source::Api, 0), 3_600_000), Some(Action::Fail(_))));
    }

    #[test]
    fn an_object_without_worker_is_requested_again() {
        assert!(matches!(by_object(&due(Source::Presigned, 0), true, 120_000), Action::Request));
    }

    #[test]
    fn a_multipart_upload_is_looked_at_again_until_its_day_is_over() {
        assert!(matches!(by_object(&due(Source::Multipart, 0), false, 120_000), Action::Ask(Task::Assemble { .. })));
        assert!(matches!(by_object(&due(Source::Multipart, 0), false, WINDOW_MS), Action::Fail(_)));
        assert!(matches!(by_object(&due(Source::Multipart, 0), true, 120_000), Action::Request));
    }

    #[test]
    fn a_presigned_upload_has_its_whole_window() {
        assert!(matches!(by_object(&due(Source::Presigned, 0), false, 120_000), Action::Later(at) if at == UPLOAD_WINDOW_MS));
        assert!(matches!(by_object(&due(Source::Presigned, 0), false, UPLOAD_WINDOW_MS), Action::Fail(_)));
    }
}
