//! The parent's side: starts workers, gives each one job at a time, replaces those that die or are out of date.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_core::domain::engine::EngineStatus;
use portcullis_core::domain::report::AnalysisReport;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{ARGUMENT, Asked, Request, Response, Setup, frames};
use crate::job::Job;
use crate::pipeline::Spot;
use crate::resume::Resume;
use crate::{hooks, pipeline};

/// Time a worker has beyond its job's budget to end by itself: it knows better what to report.
const GRACE: Duration = Duration::from_secs(5);
/// Time a worker has to load its definitions (a large rule set compiles in about 12 s).
pub const LOAD_TIME: Duration = Duration::from_mins(2);
/// Variables of the parent's environment that a worker gets; credentials are not among them.
const ENVIRONMENT: &[&str] = &["PATH", "TZ", "LANG", "TMPDIR", "LD_LIBRARY_PATH"];

/// How workers are started.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// A binary whose `main` begins with `worker::is_worker_invocation`.
    pub executable: PathBuf,
    /// Most workers at a time, at least 1.
    pub workers: usize,
    /// Rules and lists, see [`crate::definitions`].
    pub definitions_dir: Option<PathBuf>,
    /// Compiled rules are kept here. Must be private to this user: a compiled pack is executable code.
    pub cache_dir: PathBuf,
    /// Large children of archives are kept here, without names.
    pub scratch_dir: PathBuf,
    /// Where clamd listens (`/path` or `host:port`); `None` leaves the engine out.
    pub clamd: Option<String>,
    /// Most memory a worker may allocate, in bytes (`RLIMIT_DATA`; mapped files do not count). At least 256 MiB are needed.
    pub memory_limit_bytes: u64,
    /// Whether contents may ask a worker to die (see the module `hooks`); has no effect in release builds.
    pub test_hooks: bool,
}

/// A worker died or did not start. The job may be tried again; the third death on it should end it as `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker died: {reason}")]
pub struct WorkerDeath {
    /// What is known: a signal, an exit code, or what broke.
    pub reason: String,
    /// Whether it worked on a job. If not (it did not start, or did not load its definitions), the file is not to blame.
    pub on_job: bool,
    /// Whether it is known which part of the work ended it. That part is left out from now on: the next try gets further.
    pub blamed: bool,
}

/// How a run ended.
#[derive(Debug)]
pub enum Analysis {
    /// There is a verdict.
    Report(Box<AnalysisReport>),
    /// The run's time was over. What was done is known.
    Paused,
}

impl WorkerDeath {
    pub(super) fn out_of_turn() -> Self {
        Self::on_job("it answered out of turn")
    }

    fn before_job(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), on_job: false, blamed: false }
    }

    fn on_job(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), on_job: true, blamed: false }
    }
}

struct Worker {
    process: Child,
    to: ChildStdin,
    from: ChildStdout,
    generation: u64,
    version: String,
}

/// What a worker said when it had loaded its definitions.
#[derive(Clone)]
struct Known {
    generation: u64,
    status: Vec<EngineStatus>,
    version: String,
}

struct Shared {
    config: WorkerConfig,
    permits: Semaphore,
    idle: Mutex<Vec<Worker>>,
    generation: AtomicU64,
    known: Mutex<Option<Known>>,
}

/// Workers, started when they are needed. Clones share the workers; dropping the last one ends them.
#[derive(Clone)]
pub struct WorkerPool {
    shared: Arc<Shared>,
}

impl WorkerPool {
    /// A pool without workers yet.
    pub fn new(config: WorkerConfig) -> Self {
        let permits = Semaphore::new(config.workers.max(1));
        let shared = Shared { config, permits, idle: Mutex::default(), generation: AtomicU64::new(0), known: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Where large contents are kept; what a job's `scratch_dir` should be.
    pub fn scratch_dir(&self) -> &std::path::Path {
        &self.shared.config.scratch_dir
    }

    /// Analyses one file in a worker, in one try. Waits for a worker to be free. Dropping the future ends the worker.
    ///
    /// A job that does not end within its budget is reported as `Failed`; only the death of the worker is an error.
    pub async fn analyse(&self, job: Job) -> Result<AnalysisReport, WorkerDeath> {
        match self.run(&job, &mut Resume::default()).await? {
            Analysis::Report(report) => Ok(*report),
            Analysis::Paused => Ok(pipeline::unreadable(&job, "the analysis was not finished")),
        }
    }

    /// Analyses one file in a worker from where `resume` stands, until there is a verdict, or its pause.
    ///
    /// Whatever happens, `resume` knows afterwards what was done. After a death the same call goes on from there, and
    /// finds and leaves out what ended the worker, see [`WorkerDeath::blamed`].
    pub async fn run(&self, job: &Job, resume: &mut Resume) -> Result<Analysis, WorkerDeath> {
        let _permit = self.shared.permits.acquire().await.map_err(|_| WorkerDeath::before_job("the pool is closed"))?;
        let mut worker = self.worker().await?;
        resume.rest_on(&job.version(), &worker.version);
        let (start, before) = (Instant::now(), resume.finished());
        let limit = resume.limit(job) + GRACE;
        let mut began = None;
        let answer = timeout(limit, worker.work(job, resume, &mut began)).await;
        resume.used_ms = resume.used_ms.saturating_add(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        let death = match answer {
            Ok(Ok(Response::Report(report))) => {
                self.put_back(worker);
                return Ok(Analysis::Report(report));
            }
            Ok(Ok(Response::Paused(finished))) => {
                self.put_back(worker);
                resume.take(finished);
                resume.paused(before);
                return Ok(Analysis::Paused);
            }
            Ok(Ok(Response::Hangs(spot))) => {
                worker.kill().await;
                let reason = format!("content {} did not end in {:?}", spot.number, spot.part);
                WorkerDeath { blamed: resume.blame(spot), ..WorkerDeath::on_job(reason) }
            }
            Ok(Ok(_)) => WorkerDeath::on_job("it answered out of turn"),
            Ok(Err(error)) => {
                let reason = worker.post_mortem(&error).await;
                // Only a careful run does one thing at a time.
                let blamed = resume.careful && began.is_some_and(|spot| resume.blame(spot));
                resume.careful = true;
                WorkerDeath { blamed, ..WorkerDeath::on_job(reason) }
            }
            Err(_) => {
                worker.kill().await;
                if resume.left(job).is_zero() || resume.pause_after_ms.is_none() {
                    let why = "the analysis did not end within its time and was stopped";
                    return Ok(Analysis::Report(Box::new(pipeline::unreadable(job, why))));
                }
                resume.paused(before);
                return Ok(Analysis::Paused);
            }
        };
        tracing::warn!(reason = %death.reason, blamed = death.blamed, "worker died");
        Err(death)
    }

    /// Asks a worker for something that is no analysis; one that does not answer within `limit` is ended.
    pub(super) async fn ask(&self, request: &Request, limit: Duration) -> Result<Response, WorkerDeath> {
        let _permit = self.shared.permits.acquire().await.map_err(|_| WorkerDeath::before_job("the pool is closed"))?;
        let mut worker = self.worker().await?;
        match timeout(limit, worker.ask(request)).await {
            Ok(Ok(response)) => {
                self.put_back(worker);
                Ok(response)
            }
            Ok(Err(error)) => Err(WorkerDeath::on_job(worker.post_mortem(&error).await)),
            Err(_) => {
                worker.kill().await;
                Err(WorkerDeath::on_job(format!("it did not answer within {} s", limit.as_secs())))
            }
        }
    }

    /// What the engines of the current definitions say of themselves. Starts a worker if none was started yet.
    pub async fn status(&self) -> Result<Vec<EngineStatus>, WorkerDeath> {
        Ok(self.known().await?.status)
    }

    /// The version of the current definitions, see [`crate::Definitions::version`]. Starts a worker if none was started yet.
    pub async fn version(&self) -> Result<String, WorkerDeath> {
        Ok(self.known().await?.version)
    }

    async fn known(&self) -> Result<Known, WorkerDeath> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        let known = || {
            let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.as_ref().filter(|known| known.generation == generation).cloned()
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let worker = self.start().await?;
        self.put_back(worker);
        known().ok_or_else(|| WorkerDeath::before_job("the definitions changed meanwhile"))
    }

    /// Takes up changed definitions: jobs that run end with the old ones, later jobs begin with the new ones.
    ///
    /// The new definitions are loaded here, so the next job does not wait for them.
    pub async fn reload(&self) -> Result<Vec<EngineStatus>, WorkerDeath> {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        let stale = std::mem::take(&mut *self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(stale);
        self.status().await
    }

    async fn worker(&self) -> Result<Worker, WorkerDeath> {
        loop {
            let idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut worker) = idle else { return self.start().await };
            // One that died while idle (out of memory, say) costs no job.
            if worker.generation == self.shared.generation.load(Ordering::Acquire) && matches!(worker.process.try_wait(), Ok(None)) {
                return Ok(worker);
            }
        }
    }

    fn put_back(&self, worker: Worker) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.generation == self.shared.generation.load(Ordering::Acquire) && idle.len() < self.shared.config.workers.max(1) {
            idle.push(worker);
        }
    }

    async fn start(&self) -> Result<Worker, WorkerDeath> {
        let config = &self.shared.config;
        let generation = self.shared.generation.load(Ordering::Acquire);
        let mut command = Command::new(&config.executable);
        command.arg(ARGUMENT).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if config.test_hooks {
            command.env(hooks::ENV, "1");
        }
        let start_failed = |error: io::Error| WorkerDeath::before_job(format!("`{}` could not be started: {error}", config.executable.display()));
        tokio::fs::create_dir_all(&config.scratch_dir).await.map_err(start_failed)?;
        let mut process = command.spawn().map_err(start_failed)?;
        let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(WorkerDeath::before_job("its standard input and output could not be taken"));
        };
        let mut worker = Worker { process, to, from, generation, version: String::new() };
        let setup = Setup {
            definitions_dir: config.definitions_dir.clone(),
            cache_dir: config.cache_dir.clone(),
            clamd: config.clamd.clone(),
            memory_limit_bytes: config.memory_limit_bytes,
        };
        match timeout(LOAD_TIME, worker.ask(&setup)).await {
            Ok(Ok(Response::Ready(status, version))) => {
                worker.version.clone_from(&version);
                let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.as_ref().is_none_or(|known| known.generation <= generation) {
                    *known = Some(Known { generation, status, version });
                }
                drop(known);
                Ok(worker)
            }
            Ok(Ok(_)) => Err(WorkerDeath::before_job("it answered out of turn")),
            Ok(Err(error)) => Err(WorkerDeath::before_job(worker.post_mortem(&error).await)),
            Err(_) => Err(WorkerDeath::before_job("it did not load its definitions in time")),
        }
    }
}

impl Worker {
    async fn ask(&mut self, message: &impl serde::Serialize) -> io::Result<Response> {
        self.send(message).await?;
        frames::read_async(&mut self.from).await
    }

    /// Gives it a job, and takes what it tells, until it ends with an answer.
    async fn work(&mut self, job: &Job, resume: &mut Resume, began: &mut Option<Spot>) -> io::Result<Response> {
        let frame = frames::encode(&Asked::Analyse(job, resume))?;
        self.to.write_all(&frame).await?;
        self.to.flush().await?;
        drop(frame);
        loop {
            match frames::read_async(&mut self.from).await? {
                Response::Began(spot) => *began = Some(spot),
                Response::Finished(finished) => resume.take(finished),
                answer => return Ok(answer),
            }
        }
    }

    async fn send(&mut self, message: &impl serde::Serialize) -> io::Result<()> {
        self.to.write_all(&frames::encode(message)?).await?;
        self.to.flush().await
    }

    async fn kill(&mut self) {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(%error, "a worker could not be killed");
        }
    }

    /// Why it does not answer any more.
    async fn post_mortem(mut self, error: &io::Error) -> String {
        if let Ok(Ok(status)) = timeout(Duration::from_secs(2), self.process.wait()).await {
            return describe(status);
        }
        self.kill().await;
        format!("it broke off: {error}")
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(6), _) => "signal 6 (abort, or out of memory)".into(),
        (Some(9), _) => "signal 9 (killed)".into(),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "unknown".into(),
    }
}
