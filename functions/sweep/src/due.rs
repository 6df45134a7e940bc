//! One submission that should have ended and did not, or of whose end nobody may have been told.
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
//! | it has ended, and may not have been told of | it is told of; with an object, the scan function is asked to |
//! | it can not be dealt with | looked at again later, so that others have their turn |
//!
//! What always holds: what ends is told of before the index lets go of it.

use portcullis_core::domain::event::{ScanRequest, Task};
use portcullis_core::domain::parts::WINDOW_MS;
use portcullis_core::domain::submission::{Outcome, Record, Source, State};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::rescan::Change;
use portcullis_core::store::StoreError;
use portcullis_core::store::pending::Due;

use crate::Sweep;

/// Time in which an upload that was announced may arrive, in ms: the longest presigned life (15 min) and a minute.
const UPLOAD_WINDOW_MS: i64 = 16 * 60_000;
/// Time a scan request is given before it counts as lost, and before what failed is tried again, in ms.
pub(crate) const PATIENCE_MS: i64 = 5 * 60_000;

/// What was done.
pub(crate) enum Action {
    Fail(&'static str),
    Request,
    Ask(Task),
    Tell,
    Later(i64),
}

impl Sweep {
    /// Does what is to be done as of a time, ms since the epoch.
    pub(crate) async fn deal_with(&self, due: &Due, now: i64) -> Result<Action, StoreError> {
        let submission = &due.record.submission;
        // What ends by the clock must end even where the object can not be looked at.
        let (action, object) = if let Some(again) = ended(due) {
            (again, due.record.object.clone())
        } else if let Some(by_clock) = by_clock(due, now) {
            (by_clock, None)
        } else {
            let object = match &due.record.object {
                Some(object) => Some(object.clone()),
                None => self.objects.head(&submission.bucket, &submission.key).await?,
            };
            (by_object(due, object.is_some(), now), object)
        };
        match (&action, object) {
            (Action::Fail(reason), _) => self.fail(&due.record, reason, now).await?,
            (Action::Request, Some(object)) => {
                // First the message, then the date: two messages do no harm, none would.
                let request = ScanRequest { scan_request: submission.id.clone(), object };
                let body = serde_json::to_string(&request).map_err(|e| StoreError::Permanent { what: "encode a scan request", source: e.into() })?;
                self.scan_queue.send(body).await?;
                self.scans.reschedule(&submission.id, now + PATIENCE_MS).await?;
                tracing::warn!(data_id = %submission.id, "a scan was requested again");
            }
            (Action::Ask(task), _) => {
                self.scan_queue.ask(task.clone()).await?;
                self.scans.reschedule(&submission.id, now + PATIENCE_MS).await?;
            }
            (Action::Tell, _) => self.tell(&due.record).await?,
            (Action::Later(at), _) => self.scans.reschedule(&submission.id, *at).await?,
            (Action::Request, None) => {}
        }
        Ok(action)
    }

    async fn fail(&self, record: &Record, reason: &str, now: i64) -> Result<(), StoreError> {
        let submission = &record.submission;
        let outcome = Outcome::unscanned(record, Verdict::failed(reason), now);
        // Before the end, as the scan function does it: what has ended is not looked at again.
        if let Some(of) = &submission.wishes.rescan_of {
            self.rescans.count(&of.job, &of.data_id, Change::Failed, None).await?;
        }
        self.scans.finish_unclaimed(submission, &outcome).await?;
        tracing::warn!(data_id = %submission.id, reason, "a submission ended without a scan");
        self.tell(&Record { outcome: Some(outcome), ..record.clone() }).await?;
        if submission.source == Source::Multipart
            && let Err(error) = self.scan_queue.ask(Task::Assemble { data_id: submission.id.clone() }).await
        {
            tracing::warn!(data_id = %submission.id, %error, "parts of an upload that ended stay for their lifecycle");
        }
        Ok(())
    }

    async fn tell(&self, record: &Record) -> Result<(), StoreError> {
        self.announcer.ended(record).await?;
        self.scans.told(&record.submission.id).await;
        Ok(())
    }
}

/// What is left to do for a submission that has ended: whoever ended it may not have lived to tell.
fn ended(due: &Due) -> Option<Action> {
    let is_done = due.record.state == State::Done;
    // The scan function repeats all that follows a verdict: tags and quarantine are not sweep's.
    is_done.then(|| if due.record.object.is_some() { Action::Request } else { Action::Tell })
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
