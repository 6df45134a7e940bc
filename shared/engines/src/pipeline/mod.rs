//! One job: digests, type, engines, children, verdict.
//!
//! ```text
//! map file ─► type ─┬─► digests ∥ engines ──────────────────────────────┐
//!                   └─► unpack (one thread, depth first) ─► queue ─► scanners ─► verdicts, deepest first
//! ```
//! What always holds: a child that blocks blocks its archive, whatever the archive's own engines say;
//! an allow-listed child allows only itself; a run that pauses decides nothing; a container that nobody can open is not clean; every content
//! that was seen has a report.

mod node;
mod queue;
mod scan;
mod unpack;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_core::domain::report::{AnalysisReport, FileReport, FileType, Timing};
use portcullis_core::domain::verdict::{Code, Verdict};

use self::node::Tree;
use self::queue::Queue;
pub(crate) use self::scan::Scanned;
use self::scan::Task;
use self::unpack::Unpacker;
pub(crate) use self::watch::{Part, Spot, Told, Watch};
use crate::archive::{self, Ledger, Opening};
use crate::clock;
use crate::content::Content;
use crate::definitions::Definitions;
use crate::engine::{Runner, guarded};
use crate::job::Job;
use crate::resume::{FINISH, Resume};

/// Stack of the thread that unpacks: nesting is limited by the rule (≤ 50), and every level has its frames.
const UNPACK_STACK_BYTES: usize = 16 * 1024 * 1024;

/// How a run ended.
pub(crate) enum Ended {
    /// There is a verdict.
    Report(Box<AnalysisReport>),
    /// Its time was over, and something is left to do. What was done was told.
    Paused,
}

/// Analyses one file. Blocks the calling thread; meant to run inside a worker process, see [`crate::WorkerPool`].
pub fn analyse(definitions: &Definitions, job: &Job) -> AnalysisReport {
    match analyse_part(definitions, job, &Resume::default(), &Watch::new(false, &[], None)) {
        Ended::Report(report) => *report,
        Ended::Paused => unreadable(job, "the analysis was not finished"),
    }
}

/// Analyses one file as far as the time of this run goes.
pub(crate) fn analyse_part(definitions: &Definitions, job: &Job, resume: &Resume, watch: &Watch<'_>) -> Ended {
    let start = Instant::now();
    let content = match Content::open(&job.path) {
        Ok(content) => Arc::new(content),
        Err(error) => return Ended::Report(Box::new(unreadable(job, &format!("the file could not be read: {error}")))),
    };
    let run = Run::new(definitions, job, resume, watch, start);
    guarded(|| run.whole(&content)).unwrap_or_else(|| Ended::Report(Box::new(unreadable(job, "the analysis panicked"))))
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

/// One run over a job: from its beginning to the verdict, or to the end of its time.
struct Run<'a> {
    definitions: &'a Definitions,
    job: &'a Job,
    resume: &'a Resume,
    watch: &'a Watch<'a>,
    start: Instant,
    /// When the time of the rule is over, that of earlier runs counted.
    deadline: Instant,
    /// The same for what comes out of archives.
    unpack_deadline: Instant,
    /// When nothing more is begun in this run.
    pause_at: Option<Instant>,
    /// When what is running must end in this run.
    stop_at: Instant,
    /// Whether this run finished a content that no earlier one had.
    got_further: AtomicBool,
    /// Whether something is left for another run.
    is_left: AtomicBool,
}

impl<'a> Run<'a> {
    fn new(definitions: &'a Definitions, job: &'a Job, resume: &'a Resume, watch: &'a Watch<'a>, start: Instant) -> Self {
        let deadline = start + resume.left(job);
        let unpack = Duration::from_secs(job.rule.extraction.timeout_seconds).saturating_sub(Duration::from_millis(resume.used_ms));
        // A pause after the end of the time would only delay the verdict.
        let pause_at = resume.pause_after_ms.map(|ms| start + Duration::from_millis(ms)).filter(|at| *at < deadline);
        Self {
            definitions,
            job,
            resume,
            watch,
            start,
            deadline,
            unpack_deadline: deadline.min(start + unpack),
            pause_at,
            stop_at: pause_at.map_or(deadline, |at| at + FINISH),
            got_further: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
        }
    }

    /// Whether nothing more is begun. To be asked only when there is more to do: the answer `true` means that it is left.
    /// A run that got no further may take a little longer to do so.
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let over = self.pause_at.is_some_and(|at| now >= at && (self.got_further.load(Ordering::Acquire) || now >= self.stop_at));
        if over {
            self.is_left.store(true, Ordering::Release);
        }
        over
    }

    fn runners(&self) -> Vec<Runner<'a>> {
        scan::runners(self.definitions, self.job)
    }

    fn whole(&self, content: &Arc<Content>) -> Ended {
        let job = self.job;
        let bytes = content.as_ref().as_ref();
        let size = bytes.len() as u64;
        let (found, filetype_ms) = scan::typed(self, 0, bytes);
        let is_typed = found.is_some();
        let file_type = found.unwrap_or_default();
        let mut tree = Tree::new(job.name.clone(), size, file_type.clone(), filetype_ms);
        let plan = self.plan(0, bytes, &file_type, job.rule.extraction.enabled);
        let is_plain = is_typed && matches!(plan, archive::Plan::Nothing);
        let skipped = tree.ruled(0, job.rule.types.rule_on(&file_type, &job.name, false), is_plain);
        let opening = tree.planned(0, plan, is_typed);
        let root = Task { index: 0, name: job.name.clone(), content: Arc::clone(content), file_type, deadline: self.deadline, skipped };

        let (mut tree, scanned) = match opening {
            None => (tree, self.content(&mut self.runners(), &root).into_iter().collect()),
            Some(opening) if self.resume.careful => self.one_by_one(&root, tree, &opening),
            Some(opening) => self.side_by_side(&root, tree, &opening),
        };
        if self.is_left.load(Ordering::Acquire) {
            return Ended::Paused;
        }
        if Instant::now() >= self.deadline {
            tree.fail(0, "the analysis took longer than permitted");
        }
        let missing = scan::missing(self.definitions, job);
        for mut result in scanned {
            if !missing.is_empty() {
                result.codes.push(Code::Failed);
                result.detail = format!("the rule asks for engines that do not exist or are switched off: {}", missing.join(", "));
            }
            tree.scanned(result);
        }
        let mut report = tree.decide(&job.rule);
        report.root.timing.total_ms = clock::since(self.start) + self.resume.used_ms;
        Ended::Report(Box::new(report))
    }

    /// What is to be done with a content.
    fn plan(&self, number: usize, bytes: &[u8], file_type: &FileType, enabled: bool) -> archive::Plan {
        let spot = Spot { number, part: Part::Plan };
        self.watch.part(spot, Some(self.resume.patience.silence()), || archive::plan(bytes, file_type, enabled)).unwrap_or(archive::Plan::Unknown)
    }

    /// Unpacks on one thread and scans on the others.
    fn side_by_side(&self, root: &Task, tree: Tree, opening: &Opening) -> (Tree, Vec<Scanned>) {
        let queue = Queue::new(self.unpack_deadline);
        std::thread::scope(|scope| {
            let unpacking = unpacking_thread().spawn_scoped(scope, || {
                let tree = self.unpack(root, tree, opening, &mut |task| queue.put(task));
                queue.close();
                tree
            });
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let scanners: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.drain(&queue))).collect();
            let mut scanned: Vec<Scanned> = self.content(&mut self.runners(), root).into_iter().collect();
            let tree = unpacking.map(|thread| thread.join().ok());
            // Whatever became of the unpacker: the scanners must end.
            queue.close();
            for scanner in scanners {
                scanned.extend(scanner.join().unwrap_or_default());
            }
            (tree.ok().flatten().unwrap_or_else(|| not_unpacked(root)), scanned)
        })
    }

    /// Everything on one thread, so that whatever ends the process is what was told last.
    fn one_by_one(&self, root: &Task, tree: Tree, opening: &Opening) -> (Tree, Vec<Scanned>) {
        std::thread::scope(|scope| {
            let work = unpacking_thread().spawn_scoped(scope, || {
                let mut runners = self.runners();
                let mut scanned: Vec<Scanned> = self.content(&mut runners, root).into_iter().collect();
                let tree = self.unpack(root, tree, opening, &mut |task| scanned.extend(self.content(&mut runners, &task)));
                (tree, scanned)
            });
            work.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| (not_unpacked(root), Vec::new()))
        })
    }

    fn unpack(&self, root: &Task, tree: Tree, opening: &Opening, hand: &mut dyn FnMut(Task)) -> Tree {
        let bytes = root.content.as_ref().as_ref();
        let ledger = Ledger::new(&self.job.rule.extraction, bytes.len() as u64, self.unpack_deadline);
        let mut unpacker = Unpacker::new(self, ledger, tree, hand);
        unpacker.open(opening, 0, bytes);
        unpacker.finish()
    }

    /// One scanner thread: takes children until there are no more, with one session per engine.
    fn drain(&self, queue: &Queue) -> Vec<Scanned> {
        let mut done = Vec::new();
        let mut runners = self.runners();
        while let Some(task) = queue.take() {
            let bytes = task.content.as_ref().as_ref().len();
            done.extend(self.content(&mut runners, &task));
            drop(task);
            queue.release(bytes);
        }
        done
    }

    /// Scans one content, or takes over what an earlier run found; `None`: another run must do it.
    fn content(&self, runners: &mut [Runner<'_>], task: &Task) -> Option<Scanned> {
        let earlier = self.resume.done.get(&task.index);
        if let Some(earlier) = earlier.filter(|earlier| earlier.is_of(task.content.as_ref().as_ref())) {
            return Some(earlier.clone());
        }
        if self.is_over() {
            return None;
        }
        if Instant::now() >= task.deadline {
            let why = "not scanned before the time for the archive was over";
            return Some(Scanned::not_scanned(task.index, Code::ExceededArchiveTimeout, why));
        }
        let scanned =
            guarded(|| scan::child(self, runners, task)).unwrap_or_else(|| Scanned::not_scanned(task.index, Code::Failed, "the scan panicked"));
        // The end of the run cut it short, not a limit of its own.
        if self.stop_at < task.deadline && Instant::now() >= self.stop_at && scanned.has_failed() && self.is_over() {
            return None;
        }
        self.got_further.store(true, Ordering::Release);
        self.watch.finished(&scanned);
        Some(scanned)
    }
}

fn unpacking_thread() -> std::thread::Builder {
    std::thread::Builder::new().name("unpack".into()).stack_size(UNPACK_STACK_BYTES)
}

fn not_unpacked(root: &Task) -> Tree {
    Tree::broken(root.name.clone(), root.content.as_ref().as_ref().len() as u64, "unpacking could not run")
}
