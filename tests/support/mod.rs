//! What the cross-function suites share: files to send, and a client that speaks Core's API.

#![allow(dead_code, reason = "every suite uses a part")]

pub mod client;
pub mod description;
pub mod files;
pub mod own_host;
