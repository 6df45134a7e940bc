//! The end-to-end suite: everything a client can see, over HTTP, from upload to verdict.
//!
//! It runs against a local host of its own (one per run, port 0), or against any deployment:
//! `PORTCULLIS_E2E_URL`, `PORTCULLIS_E2E_APIKEY`, `PORTCULLIS_E2E_AWS_ENDPOINT`, `PORTCULLIS_E2E_TABLE`
//! and the buckets and queues named in `target.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod apart;
mod audit;
mod auth;
mod bad_input;
mod batch;
mod cancel;
mod cli;
mod config;
mod console;
mod contract;
mod definitions;
mod description;
mod download;
mod enforcement;
mod engines;
mod fake;
mod form;
mod history;
mod matrix;
mod multipart;
mod polling;
mod quarantine;
mod rescan;
mod retention;
mod reuse;
mod roles;
mod rules;
mod sessions;
mod skip;
mod stats;
mod sweep;
mod sync;
mod target;
mod transfer;
mod users;
mod ways_in;
mod webhooks;
mod yara;
