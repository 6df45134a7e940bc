//! One job: digests, type, engines, children, verdict.
//!
//! ```text
//! map file ─► type ─┬─► digests ∥ engines ──────────────────────────────┐
//!                   └─► unpack (one thread, depth first) ─► queue ─► scanners ─► verdicts, deepest first
//! ```
//! What always holds: a child that blocks blocks its archive, whatever the archive's own engines say;
//! an allow-listed child allows only itself; a container that nobody can open is not clean; every content
//! that was seen has a report.

mod node;
mod queue;
mod scan;
mod unpack;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::domain::report::{AnalysisReport, FileReport, FileType, Timing};
use portcullis_core::domain::verdict::{Code, Verdict};

use self::node::Tree;
use self::queue::Queue;
use self::scan::{Scanned, Task};
use self::unpack::Unpacker;
use crate::archive::{self, Ledger};
use crate::clock;
use crate::content::Content;
use crate::definitions::Definitions;
use crate::engine::guarded;
use crate::job::Job;

/// Stack of the thread that unpacks: nesting is limited by the rule (≤ 50), and every level has its frames.
const UNPACK_STACK_BYTES: usize = 16 * 1024 * 1024;

/// Analyses one file. Blocks the calling thread; meant to run inside a worker process, see [`crate::WorkerPool`].
pub fn analyse(definitions: &Definitions, job: &Job) -> AnalysisReport {
    let start = Instant::now();
    let content = match Content::open(&job.path) {
        Ok(content) => Arc::new(content),
        Err(error) => return unreadable(job, &format!("the file could not be read: {error}")),
    };
    guarded(|| run(definitions, job, &content, start)).unwrap_or_else(|| unreadable(job, "the analysis panicked"))
}

/// The report about a file that nothing is known of.
pub(crate) fn unreadable(job: &Job, why: &str) -> AnalysisReport {
    let root = FileReport {
        name: job.name.clone(),
        size: std::fs::metadata(&job.path).map_or(0, |meta| meta.len()),
        digests: portcullis_core::domain::report::Digests::default(),
        file_type: FileType::default(),
        engines: Vec::new(),
        yara: Vec::new(),
        verdict: Verdict::failed(why),
        timing: Timing::default(),
        depth: 0,
        is_archive: false,
        type_skipped: false,
    };
    AnalysisReport { root, children: Vec::new() }
}

fn run(definitions: &Definitions, job: &Job, content: &Arc<Content>, start: Instant) -> AnalysisReport {
    let deadline = start + job.budget();
    let limits = &job.rule.extraction;
    let unpack_deadline = deadline.min(start + Duration::from_secs(limits.timeout_seconds));
    let bytes = content.as_ref().as_ref();
    let size = bytes.len() as u64;

    let (found, filetype_ms) = scan::typed(bytes);
    let is_typed = found.is_some();
    let file_type = found.unwrap_or_default();
    let mut tree = Tree::new(job.name.clone(), size, file_type.clone(), filetype_ms);
    let opening = tree.planned(0, archive::plan(bytes, &file_type, limits.enabled), is_typed);
    let root = Task { index: 0, name: job.name.clone(), content: Arc::clone(content), file_type, deadline };

    let (mut tree, mut scanned) = if let Some(opening) = opening {
        let queue = Queue::new(unpack_deadline);
        std::thread::scope(|scope| {
            let unpacking = std::thread::Builder::new().name("unpack".into()).stack_size(UNPACK_STACK_BYTES).spawn_scoped(scope, || {
                let ledger = Ledger::new(limits, size, unpack_deadline);
                let mut unpacker = Unpacker::new(job, ledger, tree, &queue);
                unpacker.open(&opening, 0, bytes);
                queue.close();
                unpacker.finish()
            });
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let scanners: Vec<_> = (0..threads).map(|_| scope.spawn(|| drain(definitions, job, &queue))).collect();
            let mut scanned = vec![scan::file(definitions, job, &root)];
            let tree = unpacking.map(|thread| thread.join().ok());
            // Whatever became of the unpacker: the scanners must end.
            queue.close();
            for scanner in scanners {
                scanned.extend(scanner.join().unwrap_or_default());
            }
            let tree = tree.ok().flatten().unwrap_or_else(|| Tree::broken(job.name.clone(), size, "unpacking could not run"));
            (tree, scanned)
        })
    } else {
        (tree, vec![scan::file(definitions, job, &root)])
    };
    if Instant::now() >= deadline {
        tree.fail(0, "the analysis took longer than permitted");
    }
    let missing = scan::missing(definitions, job);
    for mut result in scanned.drain(..) {
        if !missing.is_empty() {
            result.codes.push(Code::Failed);
            result.detail = format!("the rule names engines that do not exist: {}", missing.join(", "));
        }
        tree.scanned(result);
    }
    let mut report = tree.decide(&job.rule);
    report.root.timing.total_ms = clock::since(start);
    report
}

/// One scanner thread: takes children until there are no more, with one session per engine.
fn drain(definitions: &Definitions, job: &Job, queue: &Queue) -> Vec<Scanned> {
    let mut done = Vec::new();
    let mut runners = scan::runners(definitions, job);
    while let Some(task) = queue.take() {
        let index = task.index;
        let bytes = task.content.as_ref().as_ref().len();
        done.push(if Instant::now() >= task.deadline {
            Scanned::not_scanned(index, Code::ExceededArchiveTimeout, "not scanned before the time for the archive was over")
        } else {
            guarded(|| scan::child(&mut runners, &task)).unwrap_or_else(|| Scanned::not_scanned(index, Code::Failed, "the scan panicked"))
        });
        drop(task);
        queue.release(bytes);
    }
    done
}
