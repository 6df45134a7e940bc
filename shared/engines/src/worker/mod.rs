//! Analyses in child processes of the same binary.
//!
//! A parser may abort, overflow its stack or be refused memory; none of that can be caught. So parsers
//! run in workers: long-lived children that load the definitions once and take one job at a time. What
//! always holds: a worker's death is the death of its own job only, and a job whose time is over ends
//! as a verdict that blocks. What was done before is not lost with a worker, and what ended it is
//! found and left out ([`crate::Resume`]), so that it costs its own content's report only.
//!
//! The parent talks to a worker in [`frames`] over its standard input and output.

mod child;
mod frames;
mod pool;
mod rules;

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_core::domain::engine::EngineStatus;
use portcullis_core::domain::report::AnalysisReport;
use serde::{Deserialize, Serialize};

pub use self::pool::{Analysis, LOAD_TIME, WorkerConfig, WorkerDeath, WorkerPool};
use crate::job::Job;
use crate::pipeline::{Scanned, Spot};
use crate::resume::Resume;
use crate::vetting::{CheckedRules, UnpackedRules};

/// First argument of a worker.
pub const ARGUMENT: &str = "--portcullis-worker";

/// Whether this process was started as a worker. To be asked first thing in `main`.
pub fn is_worker_invocation() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// The whole life of a worker: until its standard input ends.
pub fn main() -> ExitCode {
    child::run()
}

/// What a worker is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    definitions_dir: Option<PathBuf>,
    cache_dir: PathBuf,
    clamd: Option<String>,
    memory_limit_bytes: u64,
}

/// What a worker is told then.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Analyse(Box<Job>, Box<Resume>),
    /// Is this rule file fit to be used?
    CheckRules(PathBuf),
    /// Rule files out of an archive, into a folder.
    UnpackRules {
        archive: PathBuf,
        into: PathBuf,
    },
}

/// The same, as the parent sends it: results so far may be large.
#[derive(Serialize)]
enum Asked<'a> {
    Analyse(&'a Job, &'a Resume),
}

/// What a worker answers. Of a job: as much of the second group as it likes, then one of the third.
#[derive(Debug, Serialize, Deserialize)]
enum Response {
    Ready(Vec<EngineStatus>, String),

    /// A part begins, in careful runs.
    Began(Spot),
    /// Contents that are done with.
    Finished(Vec<Scanned>),

    /// A part hangs: the worker is to be ended.
    Hangs(Spot),
    /// The time of the run is over; further contents that are done with.
    Paused(Vec<Scanned>),
    Report(Box<AnalysisReport>),
    Checked(CheckedRules),
    Unpacked(UnpackedRules),
}
