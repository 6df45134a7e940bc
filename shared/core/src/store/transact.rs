//! Transactions, and patience with those of others.
//!
//! Two transactions that touch one item at the same moment do not wait for each other: DynamoDB cancels one of
//! them, and nothing of it has happened. What always holds: only calls of which that is certain, or that may
//! happen twice, are made again here.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{StoreError, is_transient};

/// Times a call is made, at most: some 4 s of waiting in all.
const ATTEMPTS: u32 = 14;

/// Does all of it or nothing. A transaction that met another one is made again.
///
/// # Errors
/// `Conflict` when a condition did not hold.
pub(crate) async fn transact(client: &aws_sdk_dynamodb::Client, what: &'static str, writes: Vec<TransactWriteItem>) -> Result<(), StoreError> {
    match transact_or_reason(client, what, writes).await? {
        None => Ok(()),
        Some(_) => Err(StoreError::Conflict { what }),
    }
}

/// As [`transact`]; a condition that did not hold is told by the position of its write (the first of them).
pub(crate) async fn transact_or_reason(
    client: &aws_sdk_dynamodb::Client,
    what: &'static str,
    writes: Vec<TransactWriteItem>,
) -> Result<Option<usize>, StoreError> {
    for attempt in 0.. {
        let Err(error) = client.transact_write_items().set_transact_items(Some(writes.clone())).send().await else { return Ok(None) };
        let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
            return Err(StoreError::from_sdk(what, error));
        };
        let codes = || canceled.cancellation_reasons().iter().filter_map(|reason| reason.code());
        if let Some(position) = canceled.cancellation_reasons().iter().position(|reason| reason.code() == Some("ConditionalCheckFailed")) {
            return Ok(Some(position));
        }
        if !codes().any(is_transient) {
            return Err(StoreError::from_sdk(what, error));
        }
        if attempt + 1 >= ATTEMPTS {
            return Err(StoreError::Retry { what, source: error.into() });
        }
        tokio::time::sleep(pause(attempt)).await;
    }
    Ok(None)
}

/// Makes a call that may happen twice again while it meets transactions or throttles.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(mut call: impl FnMut() -> F) -> Result<T, StoreError> {
    let mut attempt = 0;
    loop {
        match call().await {
            Err(error) if error.is_retryable() && attempt + 1 < ATTEMPTS => tokio::time::sleep(pause(attempt)).await,
            result => return result,
        }
        attempt += 1;
    }
}

/// Longer from time to time, up to half a second, and never the same for two callers.
fn pause(attempt: u32) -> Duration {
    let longest = (10_u64 << attempt.min(6)).min(500);
    let chance = u64::from(uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default());
    Duration::from_millis(longest / 2 + longest * chance / 256)
}
