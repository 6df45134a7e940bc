//! The local host: the same template, hosted in one process.

pub mod aws;
pub mod template;
