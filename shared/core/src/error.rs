//! Errors, for logs.

use std::error::Error;
use std::fmt::Write;

/// An error and its causes in one line, outermost first: SDK errors say nothing without their source.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
