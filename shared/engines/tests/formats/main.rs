//! Every format that is opened, whole, nested, encrypted, cut off and damaged; and tricks of each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, reason = "tests fail by panicking")]
#![allow(clippy::type_complexity, clippy::maybe_infinite_iter, clippy::needless_for_each, reason = "tables of makers")]

#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod discs;
mod gaps;
mod hidden;
mod make;
mod sound;
mod tricks;
