//! The stores: one DynamoDB table, S3 objects, SQS queues. All persistence of Portcullis is here.
//!
//! # Access patterns of the table (`pk`, `sk`)
//! | what | pk | sk | read by |
//! |---|---|---|---|
//! | submission by id | `SCAN#<first 24 of data_id>` | `META` | GetItem, one per poll; a child's id leads to the same item |
//! | children of an archive | – | – | in that item while small, else objects in the report bucket ([`children`]) |
//! | newest result by SHA-256 | `HASH#<sha256>` | `ANY`, or `RULE#<rule>` | GetItem |
//! | verdict to take over, by SHA-256 | `HASH#<sha256>` | `CACHE#<digest of rule, definitions and judged name>` | GetItem by scan |
//! | by MD5, SHA-1, SHA-512 | `HASH#<digest>` | `ALIAS` | GetItem → SHA-256 |
//! | batch and its counts | `BATCH#<id>` | `META`, `META#…` | one Query ([`batches`]) |
//! | files of a batch | `BATCH#<id>` | `FILE#<position>` | Query of one page |
//! | open submissions, and untold ends, by due time ([`pending`]) | GSI `pending`: `pending_shard` | `check_at` | Query by sweep |
//! | ended submissions by time of their end | GSI `history`: `history_shard` | `history_at` | one Query a part and page ([`history`]) |
//! | what became of a rescan's files | `RESCAN#<job>` | `COUNTS`, `FILE#<first 24 of data_id>`, `NEWS#…` | GetItem; Query of the news |
//! | blocked original in quarantine | `QUARANTINE#<data_id>` | `ITEM` | GetItem; by time in a part of the GSI `history` ([`quarantine`]) |
//! | user | `USER#<id>` | `USER` | GetItem |
//! | user by name | `USERNAME#<directory>/<name>` | `USER` | GetItem |
//! | static API key | `APIKEY#<sha256 of the key>` | `KEY` | BatchGetItem with the next |
//! | session | `SESSION#<sha256 of the key>` | `SESSION` | BatchGetItem |
//! | delivery of a webhook | `WEBHOOK#<data_id or batch_id>` | `DELIVERY` | GetItem |
//! | configuration | `CONFIG` | name | GetItem, cached 5 s |
//! | counts of an hour | `STATS#<shard>` | hours since the epoch | Query by time ([`stats`]) |
//!
//! Items stay far below 400 KB. `expires_at` (seconds) is the TTL attribute; DynamoDB deletes late, so
//! reads filter on it. What always holds: a fault says by type whether a retry can help.

pub mod arrival;
pub(crate) mod attributes;
pub mod batches;
pub mod children;
pub mod copies;
pub mod deliveries;
pub mod erase;
pub mod hashes;
pub mod history;
pub mod identity;
pub mod multipart;
pub mod objects;
pub mod partial;
pub mod pending;
pub mod quarantine;
pub mod queue;
pub mod rescans;
pub mod scans;
pub mod secrets;
pub mod settings;
pub mod stats;
pub(crate) mod transact;

use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A fault of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Throttled, timed out, unreachable, 5xx: the same call may work later.
    #[error("{what} (may work later)")]
    Retry {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Source,
    },
    /// Refused: the same call will fail again.
    #[error("{what}")]
    Permanent {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Source,
    },
    /// A condition did not hold: somebody else was first.
    #[error("{what}: a condition did not hold")]
    Conflict {
        /// What was being done.
        what: &'static str,
    },
    /// Not there.
    #[error("{what}: not found")]
    Missing {
        /// What was being done.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may work later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }

    /// Something stored can not be read back.
    pub(crate) fn corrupt(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Permanent { what, source: source.into() }
    }

    /// Decides, once for all SDK calls, what can be retried.
    pub(crate) fn from_sdk<E, R>(what: &'static str, error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
        SdkError<E, R>: Into<Source>,
    {
        let retry = match &error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some("ConditionalCheckFailedException") => return Self::Conflict { what },
                Some("NoSuchKey" | "NotFound" | "NoSuchVersion" | "NoSuchBucket" | "ResourceNotFoundException") => return Self::Missing { what },
                Some(code) => is_transient(code),
                // S3 answers HEAD without a body, so without a code.
                None => true,
            },
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        let source = error.into();
        if retry { Self::Retry { what, source } } else { Self::Permanent { what, source } }
    }
}

fn is_transient(code: &str) -> bool {
    ["Throttl", "Exceeded", "SlowDown", "Unavailable", "Internal", "Timeout", "TooManyRequests", "TransactionConflict", "TransactionInProgress"]
        .iter()
        .any(|part| code.contains(part))
}

#[cfg(test)]
mod tests {
    #[test]
    fn throttles_are_transient_and_refusals_are_not() {
        for code in [
            "ThrottlingException",
            "ProvisionedThroughputExceededException",
            "SlowDown",
            "ServiceUnavailable",
            "InternalServerError",
            "RequestTimeout",
        ] {
            assert!(super::is_transient(code), "{code}");
        }
        for code in ["AccessDenied", "ValidationException", "InvalidRange"] {
            assert!(!super::is_transient(code), "{code}");
        }
    }
}
