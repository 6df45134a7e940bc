//! Documents and mails that hold other contents.

use super::Format;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[];
