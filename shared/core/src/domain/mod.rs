//! The words of the product: verdicts, reports, rules, submissions. Plain data and pure functions.

pub mod batch;
pub mod engine;
pub mod event;
pub mod id;
pub mod name;
pub mod parts;
pub mod report;
pub mod rule;
pub mod skip;
pub mod submission;
pub mod types;
pub mod verdict;
pub mod yara;
