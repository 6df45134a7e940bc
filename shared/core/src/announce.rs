//! What follows a verdict, whoever reached it: scan, a cancel, or sweep.
//!
//! What always holds: every part may happen twice (a message that is delivered again repeats it, and sweep does), and
//! none may be left out: a caller that gets an error calls again, and for one that dies sweep does (see
//! [`crate::store::pending`]). A batch counts its file as ended before anybody else is told.

use crate::domain::batch::FileEnd;
use crate::domain::event::{BatchEvent, Revised, VerdictEvent};
use crate::domain::id::DataId;
use crate::domain::submission::{Record, Source};
use crate::store::StoreError;
use crate::store::batches::Batches;
use crate::store::queue::Queue;

/// Tells of verdicts.
#[derive(Clone, Debug)]
pub struct Announcer {
    notify_queue: Queue,
    batches: Batches,
}

impl Announcer {
    /// Over the queue that verdict events go to, and the batches.
    pub fn new(notify_queue: Queue, batches: Batches) -> Self {
        Self { notify_queue, batches }
    }

    /// Tells that `record` ended; nothing while it has no outcome.
    pub async fn ended(&self, record: &Record) -> Result<(), StoreError> {
        let (Some(event), Some(outcome)) = (VerdictEvent::of(record), &record.outcome) else { return Ok(()) };
        // What came of a rescan is a matter of the original.
        if record.submission.source == Source::Rescan {
            return Ok(());
        }
        let seat = record.submission.wishes.batch.as_ref();
        if let Some(seat) = seat {
            self.batches.finish(seat, &FileEnd::of(outcome)).await?;
        }
        self.send(&event).await?;
        match seat {
            Some(seat) => self.settle(&seat.id, record.submission.id.as_str()).await,
            None => Ok(()),
        }
    }

    /// Tells that a rescan, the submission `by`, replaced the verdict of `record`: the batch, and who hears of verdicts.
    pub async fn revised(&self, record: &Record, by: &DataId) -> Result<(), StoreError> {
        let (Some(event), Some(outcome)) = (VerdictEvent::of(record), &record.outcome) else { return Ok(()) };
        let Some(revision) = &outcome.revision else { return Ok(()) };
        if let Some(seat) = &record.submission.wishes.batch {
            self.batches.revise(seat, revision, &FileEnd::of(outcome)).await?;
        }
        let revised = Some(Revised { by: by.clone(), before: revision.before });
        self.send(&VerdictEvent { source: Source::Rescan, revised, ..event }).await
    }

    /// Tells only the batch of `record` that it ended: of an end that others were told of, or will be.
    pub async fn seated(&self, record: &Record) -> Result<(), StoreError> {
        let (Some(seat), Some(outcome)) = (&record.submission.wishes.batch, &record.outcome) else { return Ok(()) };
        self.batches.finish(seat, &FileEnd::of(outcome)).await?;
        self.settle(&seat.id, record.submission.id.as_str()).await
    }

    /// Closes a batch that waits for its last file, and tells of it, if that file has ended: one of those who find it
    /// so does. `who` is the same when a caller calls again: then what it began is brought to its end.
    pub async fn settle(&self, batch: &DataId, who: &str) -> Result<(), StoreError> {
        loop {
            let Some(state) = self.batches.state(batch).await? else { return Ok(()) };
            if state.callback_url.is_none() || !state.is_finished() || state.told {
                return Ok(());
            }
            match &state.concluded_by {
                None => match self.batches.conclude(&state, who).await {
                    Ok(()) => {}
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error),
                },
                Some(by) if by == who => {}
                Some(_) => return Ok(()),
            }
            self.send(&BatchEvent { batch_id: batch.clone() }).await?;
            return self.batches.told(batch).await;
        }
    }

    async fn send(&self, event: &impl serde::Serialize) -> Result<(), StoreError> {
        let body = serde_json::to_string(event).map_err(|e| StoreError::Permanent { what: "encode an event", source: e.into() })?;
        self.notify_queue.send(body).await
    }
}
