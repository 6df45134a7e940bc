//! What can go wrong between here and a verdict. Every text is one sentence for people.

use std::time::Duration;

/// A failure. Retryable is decided where it is made.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing that another attempt would change.
    #[error("{0}")]
    Said(String),
    /// The server did not answer; it may later.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered with an error.
    #[error("{text}")]
    Answered {
        /// Status of the answer.
        status: u16,
        /// The contract's `err`, or what stands for it.
        err: String,
        /// The sentence.
        text: String,
        /// `Retry-After`.
        after: Option<Duration>,
    },
}

impl Error {
    /// A sentence about a file or folder.
    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Said(format!("`{}`: {error}.", crate::printable(&path.to_string_lossy())))
    }

    /// Whether another attempt may go better. 500 is the contract's answer to broken requests too, so it is not one of them.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Said(_) => false,
            Self::Unreachable(_) => true,
            Self::Answered { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        }
    }

    /// How long the server wants to be left alone.
    pub(crate) fn after(&self) -> Option<Duration> {
        if let Self::Answered { after, .. } = self { *after } else { None }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> Option<u16> {
        if let Self::Answered { status, .. } = self { Some(*status) } else { None }
    }
}
