//! The one error of the object store's inside, turned into an S3 answer at the edge.

use s3s::{S3Error, S3ErrorCode};

use crate::aws::db::DbError;
use crate::aws::sqs::SqsError;

/// Either an answer for the client or a failed store; the latter is logged and answered as `InternalError`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Answer(#[from] S3Error),
    #[error(transparent)]
    Store(#[from] DbError),
    #[error("body file: {0}")]
    Body(#[from] std::io::Error),
    #[error("event queue: {0}")]
    Queue(#[from] SqsError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(error) => error,
            other => {
                tracing::error!(error = %other, "an S3 operation failed");
                Self::with_source(S3ErrorCode::InternalError, Box::new(other))
            }
        }
    }
}
