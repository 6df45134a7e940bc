//! Pipeline and engines: the only crate that knows yara-x and archives.
//!
//! [`analyse`] turns one file on disk into one [`AnalysisReport`]; [`WorkerPool`] runs it in child
//! processes, because a parser may abort, overflow its stack or exhaust memory. What always holds:
//! whatever goes wrong (a panic, a limit, a missing engine, a death) ends as a code that blocks.
//!
//! | module | what it is for |
//! |---|---|
//! | [`definitions`] | rules and lists, loaded once per process |
//! | [`engine`] | the trait, and the engines behind it |
//! | [`filetype`] | what a content is, and whether its name says so |
//! | `archive` | extractors and the limits they are counted against |
//! | `pipeline` | one job: digests, type, engines, children, verdict |
//! | [`reuse`] | whether, and for which names, a verdict holds for the same content again |
//! | [`vetting`] | whether a rule file is fit to be used |
//! | [`worker`] | the child process, its frames, and the pool |
//!
//! A binary that wants a pool calls [`worker::is_worker_invocation`] first thing in `main` and
//! returns [`worker::main`] if it is one.

mod archive;
mod clock;
mod content;
pub mod definitions;
mod digests;
pub mod engine;
pub mod filetype;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hooks;
mod job;
mod names;
mod pipeline;
mod resume;
pub mod reuse;
pub mod vetting;
pub mod worker;

pub use definitions::Definitions;
pub use engine::clamav::clamd_version;
pub use job::Job;
pub use pipeline::analyse;
pub use portcullis_core::domain::report::AnalysisReport;
pub use resume::{MAX_CULPRITS, Patience, Resume};
pub use worker::{Analysis, LOAD_TIME, WorkerConfig, WorkerDeath, WorkerPool};
