//! The index of what sweep looks at: submissions that are open, and ends that may not have been told.
//!
//! A verdict and what follows it ([`crate::announce`]) are not one write, and whoever makes them may die between the two:
//!
//! | ended by | what follows is repeated by |
//! |---|---|
//! | a scan | its message, which SQS delivers again; once that failed, by sweep too ([`Scans::untold`]) |
//! | a cancel, sweep, a task without object | sweep: the submission leaves the index only when it was told of ([`Scans::told`]) |
//!
//! So what ends by a scan, as nearly everything does, costs no write more. What always holds: a submission leaves the index
//! only as `Done`, so none is forgotten.

use super::StoreError;
use super::attributes::{Item, key, n, number, s, text};
use super::scans::{Scans, item_key, record};
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::submission::Record;

/// Time that whoever ended a submission has to tell of it before sweep does, in ms.
const TELLING_MS: i64 = 120_000;
/// When an item that can not be read is looked at again, in ms.
const UNREADABLE_MS: i64 = 3_600_000;
/// Partitions of the index: one would be a hot spot at thousands of submissions a second.
const SHARDS: u32 = 4;

/// A submission that is due for a look: an open one, or one whose end may not have been told.
#[derive(Clone, Debug)]
pub struct Due {
    /// The record.
    pub record: Record,
    /// When the running claim ends, ms since the epoch; 0 = none.
    pub claim_until: i64,
}

impl Scans {
    /// Submissions whose time to be looked at has come, oldest first, at most `limit` a shard.
    pub async fn due(&self, now: i64, limit: i32) -> Result<Vec<Due>, StoreError> {
        let mut due = Vec::new();
        for shard in 0..SHARDS {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("pending")
                .key_condition_expression("pending_shard = :shard AND check_at <= :now")
                .expression_attribute_values(":shard", s(shard_name(shard)))
                .expression_attribute_values(":now", n(now))
                .limit(limit)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("list open submissions", e))?;
            for listed in output.items.unwrap_or_default() {
                // The index holds keys and lags behind: the item itself is the truth.
                let (Some(pk), Some(sk)) = (text(&listed, "pk"), text(&listed, "sk")) else { continue };
                let output = self
                    .client
                    .get_item()
                    .table_name(&self.table)
                    .set_key(Some(key(&pk, &sk)))
                    .consistent_read(true)
                    .send()
                    .await
                    .map_err(|e| StoreError::from_sdk("read an open submission", e))?;
                let Some(item) = output.item.filter(|item| item.contains_key("pending_shard")) else { continue };
                match record(&item) {
                    Ok(record) => due.push(Due { record, claim_until: number(&item, "claim_until").unwrap_or_default() }),
                    // One that can not be read must not keep the others from being looked at, now or in the next runs.
                    Err(error) => {
                        tracing::error!(pk, error = %crate::error::chain(&error), "an open submission is unreadable");
                        self.look_at(key(pk, sk), now + UNREADABLE_MS).await?;
                    }
                }
            }
        }
        Ok(due)
    }

    /// When sweep looks at a submission next, ms since the epoch.
    ///
    /// # Errors
    /// `Conflict` when it is not in the index any more.
    pub async fn reschedule(&self, id: &DataId, check_at: i64) -> Result<(), StoreError> {
        self.look_at(item_key(id), check_at).await
    }

    async fn look_at(&self, item: Item, check_at: i64) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item))
            .update_expression("SET check_at = :at")
            .condition_expression("attribute_exists(pending_shard)")
            .expression_attribute_values(":at", n(check_at))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("reschedule a submission", e))?;
        Ok(())
    }

    /// Notes that an end was told of, with all that follows it: sweep does not look at it any more. What can not be noted
    /// is told once more, which is no fault of the caller's.
    pub async fn told(&self, id: &DataId) {
        let noted = self
            .update(id)
            .update_expression("REMOVE pending_shard, check_at")
            .condition_expression("#state = :done AND attribute_exists(pending_shard)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("note that an end was told", e));
        match noted {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(data_id = %id, error = %crate::error::chain(&error), "the end is told once more"),
        }
    }

    /// Has sweep look at an end that may not have been told of: soon, so that the message that told of it may come again first.
    /// Nothing for a submission that has not ended: it is in the index.
    pub async fn untold(&self, id: &DataId) {
        let noted = self
            .update(id)
            .update_expression("SET pending_shard = :shard, check_at = :at")
            .condition_expression("#state = :done")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":shard", s(shard(id)))
            .expression_attribute_values(":at", n(telling_ends()))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("note that an end was not told", e));
        match noted {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::error!(data_id = %id, error = %crate::error::chain(&error), "only its message tells of this end"),
        }
    }
}

/// When sweep looks at an end that is told of now, ms since the epoch.
pub(super) fn telling_ends() -> i64 {
    now_ms() + TELLING_MS
}

/// The partition of a submission.
pub(super) fn shard(id: &DataId) -> String {
    let number = id.group().bytes().fold(0_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    shard_name(number % SHARDS)
}

fn shard_name(number: u32) -> String {
    format!("p{number}")
}
