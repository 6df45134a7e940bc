//! What every function of Portcullis shares: domain, verdict table, errors, configuration, auth and the stores.
//!
//! Dependencies point one way: functions → `portcullis-engines` → this crate.

pub mod announce;
pub mod audit;
pub mod auth;
pub mod aws;
pub mod batch;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod intake;
pub mod metrics;
pub mod overrides;
pub mod rescan;
pub mod retention;
pub mod rules;
pub mod store;
pub mod telemetry;
pub mod update;
pub mod webhook;
pub mod wire;
