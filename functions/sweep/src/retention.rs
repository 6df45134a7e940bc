//! Removes what is no longer kept: ended submissions by the time of their end, entries of the audit log by their own.
//!
//! What always holds: the settings in force count for everything that is there, so one that is lowered takes effect within
//! the hour; a run does what it has time for and the next one goes on, oldest first; what can not be removed is told of and
//! holds up nothing else.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use portcullis_core::domain::id::DataId;
use portcullis_core::error::chain;
use portcullis_core::retention::Retention;
use portcullis_core::store::StoreError;
use portcullis_core::store::history::SHARDS;
use tokio::time::{Instant, timeout_at};

use crate::{Sweep, Swept};

/// Time from the begin of a run after which nothing more is removed: the function has 55 s for everything.
pub(crate) const TIME: Duration = Duration::from_secs(40);
/// Entries of a page.
const PAGE: usize = 200;
/// Submissions removed side by side.
const PARALLEL: usize = 8;
/// Months of the audit log that are looked at each minute, and once an hour: a lowered setting may leave more to do.
const MONTHS: (usize, usize) = (2, 132);
const MINUTE_MS: i64 = 60_000;

impl Sweep {
    /// Removes what is over, as of a time in ms, until `deadline`.
    pub(crate) async fn clean_up(&self, now: i64, deadline: Instant, swept: &mut Swept) -> Result<(), StoreError> {
        let kept = self.settings.versioned::<Retention>(Retention::NAME).await?.0.unwrap_or_default();
        // First, for it is little; what it fails with costs the submissions nothing.
        let audited = match Retention::hours_before(kept.auditlog, now) {
            Some(cutoff) => self.end_audit(cutoff, now, deadline, swept).await,
            None => Ok(()),
        };
        if let Some(cutoff) = Retention::hours_before(kept.scanhistory, now) {
            self.erase_before(cutoff, now, deadline, swept).await?;
        }
        audited
    }

    async fn end_audit(&self, cutoff: i64, now: i64, deadline: Instant, swept: &mut Swept) -> Result<(), StoreError> {
        let months = if (now / MINUTE_MS) % 60 == 0 { MONTHS.1 } else { MONTHS.0 };
        while Instant::now() < deadline {
            let removed = self.audit.remove_before(cutoff, months).await? as u64;
            swept.entries += removed;
            if removed == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn erase_before(&self, cutoff: i64, now: i64, deadline: Instant, swept: &mut Swept) -> Result<(), StoreError> {
        for shard in 0..SHARDS {
            let mut after = None;
            while Instant::now() < deadline {
                let page = self.history.oldest(shard, 0, cutoff, after.as_ref(), PAGE).await?;
                let is_last = page.len() < PAGE;
                after = page.last().map(|(place, _)| place.clone()).or(after);
                let ids = page.into_iter().filter_map(|(_, entry)| entry).map(|entry| entry.data_id);
                let all: Vec<_> = ids.map(|id| self.erase(id, now, deadline)).collect();
                let mut results = stream::iter(all).buffer_unordered(PARALLEL);
                while let Some(result) = results.next().await {
                    match result {
                        Ok(erased) => swept.erased += u64::from(erased),
                        Err(()) => swept.errors += 1,
                    }
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether it was removed; what was cut off by the deadline is not, and goes on in the next run.
    async fn erase(&self, id: DataId, now: i64, deadline: Instant) -> Result<bool, ()> {
        match timeout_at(deadline, self.eraser.erase(&id, now)).await {
            Ok(Ok(erased)) => Ok(erased),
            // Somebody changed it meanwhile.
            Ok(Err(StoreError::Conflict { .. })) | Err(_) => Ok(false),
            Ok(Err(error)) => {
                tracing::error!(data_id = %id, error = %chain(&error), "a submission that is no longer kept is still there");
                Err(())
            }
        }
    }
}
