//! What every function of Portcullis shares: domain, verdict table, errors, configuration, auth and the stores.
//!
//! Dependencies point one way: functions → `portcullis-engines` → this crate.

pub mod domain;
