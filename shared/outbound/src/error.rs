//! Why a request was not made, or did not come to a good end.

/// Why a URL is refused. The texts never name an address that a name led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No URL, or one that is written so that two readers may disagree about it.
    #[error("the URL is not written as `http://host/path` or `https://host/path`")]
    Syntax,
    /// Longer than [`crate::Guard::MAX_BYTES`].
    #[error("the URL has more than 2048 bytes")]
    TooLong,
    /// Neither http nor https.
    #[error("the scheme is neither `http` nor `https`")]
    Scheme,
    /// There is a user name or a password in it.
    #[error("the URL has a user name or password")]
    Userinfo,
    /// There is a fragment, which no request can carry.
    #[error("the URL has a fragment")]
    Fragment,
    /// A port that other protocols use.
    #[error("port `{0}` is not for web requests")]
    Port(u16),
    /// A host that means this machine, its cloud, or nothing.
    #[error("the host name is not allowed")]
    Host,
    /// A literal address, or one of the addresses of the name, is not allowed.
    #[error("the host is at an address that is not allowed")]
    Address,
}

/// What became of a request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not made: the guard refuses the URL or where it leads.
    #[error("refused: {0}")]
    Refused(#[from] Refused),
    /// Answered with a redirect, which is not followed.
    #[error("answered with redirect `{0}`")]
    Redirect(u16),
    /// Answered with another status that is no success.
    #[error("answered with status `{0}`")]
    Status(u16),
    /// The body has more bytes than the caller takes.
    #[error("the body has more than `{0}` bytes")]
    TooLarge(u64),
    /// No answer, or not all of it, in time.
    #[error("no whole answer in time")]
    Timeout,
    /// No connection: the name is unknown, nobody listens, or TLS failed. The source is for logs, not for clients.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection ended in the middle, or what came is no HTTP. The source is for logs, not for clients.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The status that was answered, if there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Redirect(status) | Self::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// Whether the same request may succeed later. A URL that is refused will be refused again.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout | Self::Connect(_) | Self::Broken(_) => true,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Refused(_) | Self::Redirect(_) | Self::TooLarge(_) => false,
        }
    }
}
