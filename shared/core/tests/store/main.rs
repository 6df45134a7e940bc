//! The data layer against a real DynamoDB protocol server.
//!
//! Without further ado: against an embedded server in this process. With `PORTCULLIS_DYNAMODB_ENDPOINT`: against
//! that endpoint (Amazon's DynamoDB Local in the fidelity lane; credentials `test`/`test`, region `us-east-1`).
//! What always holds: every test has a table of its own, so tests run side by side and leave each other alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod audit;
mod batches;
mod claims;
mod deliveries;
mod hashes;
mod history;
mod identity;
mod interleavings;
mod pending;
mod settings;
mod submissions;
mod table;
