//! Faults: the process is killed in the middle of a scan, workers die on files. Nothing is lost, nothing loops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod continuation;
mod deaths;
mod front;
mod limits;
mod process;
mod restart;
