//! Documents and mails: whatever is embedded in one is found, and what can not be read is never clean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod mail;
mod make;
mod ole;
mod package;
mod pdf;
mod rtf;

use common::{Case, lines};
use portcullis_core::domain::report::AnalysisReport;
use portcullis_core::domain::verdict::Code;

/// The verdict, and the files listed with theirs.
fn found(name: &str, content: &[u8]) -> Vec<String> {
    lines(&Case::new(name, content).run())
}

fn report(name: &str, content: &[u8]) -> AnalysisReport {
    Case::new(name, content).run()
}

fn code(name: &str, content: &[u8]) -> Code {
    report(name, content).root.verdict.code
}
