//! Failed logins of a user and the lock that follows them.
//!
//! What always holds, however many log in side by side: what counts is the order in which attempts are written. A failure is
//! written against the count that was read, so none is lost; a login is written only if no lock is in force at that moment, so no
//! guess gets in behind the failure that locked.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};

use super::super::attributes::{Item, n, number};
use super::{Identity, StoreError, login_key};
use crate::audit::{AuditLog, Change};

/// After this time without another one failures are forgotten, ms.
const FORGOTTEN: i64 = 24 * 3_600_000;
/// When a lock is in force, or is not: for `:now`.
const NO_LOCK: &str = "(attribute_not_exists(locked_until) OR locked_until <= :now)";

/// Failed logins in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many, since the last login, release or end of a lock.
    pub count: u64,
    /// Until when nobody gets in, ms since the epoch.
    pub locked_until: i64,
    /// The count as it is stored: what a write is based on.
    stored: Option<i64>,
}

impl Failures {
    /// Whether a lock is in force.
    pub const fn is_locked(&self, now: i64) -> bool {
        self.locked_until > now
    }

    fn of(item: &Item, now: i64) -> Self {
        let stored = number(item, "failures");
        let recent = number(item, "failed_at").is_some_and(|at| now - at < FORGOTTEN);
        let count = stored.filter(|_| recent).and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        Self { count, locked_until: number(item, "locked_until").unwrap_or_default(), stored }
    }
}

impl Identity {
    /// Failed logins of a user. Of nobody (id 0) as well: it costs the same time.
    pub async fn failures(&self, user_id: u64, now: i64) -> Result<Failures, StoreError> {
        Ok(self.get(login_key(user_id)).await?.map(|item| Failures::of(&item, now)).unwrap_or_default())
    }

    /// Counts a failure; with it the user is locked until `lock_until`, if that is given.
    ///
    /// # Errors
    /// `Conflict` when somebody else's attempt was written meanwhile: read again.
    pub async fn count_failure(
        &self,
        audit: &AuditLog,
        change: &Change,
        user_id: u64,
        seen: &Failures,
        lock_until: Option<i64>,
        now: i64,
    ) -> Result<(), StoreError> {
        let update = Update::builder().table_name(&self.table).set_key(Some(login_key(user_id))).expression_attribute_values(":now", n(now));
        let update = match lock_until {
            // The lock's end begins a new count.
            Some(until) => update
                .update_expression("SET failures = :count, failed_at = :now, locked_until = :until")
                .expression_attribute_values(":count", n(0))
                .expression_attribute_values(":until", n(until)),
            None => update.update_expression("SET failures = :count, failed_at = :now").expression_attribute_values(":count", n(seen.count + 1)),
        };
        let update = match seen.stored {
            None => update.condition_expression(format!("attribute_not_exists(failures) AND {NO_LOCK}")),
            Some(stored) => update.condition_expression(format!("failures = :seen AND {NO_LOCK}")).expression_attribute_values(":seen", n(stored)),
        };
        let update = update.build().map_err(|e| StoreError::corrupt("count a failed login", e))?;
        audit.with(change, "count a failed login", vec![TransactWriteItem::builder().update(update).build()]).await
    }

    /// Forgets failures, and lets in who is locked out.
    pub async fn release(&self, audit: &AuditLog, change: &Change, user_id: u64) -> Result<(), StoreError> {
        let update = Update::builder().table_name(&self.table).set_key(Some(login_key(user_id)));
        let update = update.update_expression("REMOVE failures, failed_at, locked_until").build();
        let update = update.map_err(|e| StoreError::corrupt("release a user", e))?;
        audit.with(change, "release a user", vec![TransactWriteItem::builder().update(update).build()]).await
    }

    /// The condition that no lock is in force, for a transaction.
    pub fn unlocked(&self, user_id: u64, now: i64) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(login_key(user_id)));
        let check = check.condition_expression(NO_LOCK).expression_attribute_values(":now", n(now)).build();
        Ok(TransactWriteItem::builder().condition_check(check.map_err(|e| StoreError::corrupt("check for a lock", e))?).build())
    }

    /// The write of a login: failures are forgotten, the session is the user's newest; only without a lock.
    pub(super) fn login_write(&self, user_id: u64, digest: &str, now: i64) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(login_key(user_id)))
            .update_expression("SET newest = :newest REMOVE failures, failed_at, locked_until")
            .condition_expression(NO_LOCK)
            .expression_attribute_values(":newest", super::super::attributes::s(digest))
            .expression_attribute_values(":now", n(now))
            .build();
        Ok(TransactWriteItem::builder().update(update.map_err(|e| StoreError::corrupt("log in", e))?).build())
    }
}
