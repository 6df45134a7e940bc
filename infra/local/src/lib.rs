//! The local host: the same template, hosted in one process.

pub mod template;
