//! The local host: the same template, hosted in one process.

pub mod aws;
pub mod banner;
pub mod cli;
pub mod front;
pub mod host;
pub mod template;
pub mod yara;
