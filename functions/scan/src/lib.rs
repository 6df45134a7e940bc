//! SQS → pipeline → verdict.
//!
//! A message says that an object is there. The submission is claimed, the object is fetched (pinned to
//! version and ETag), a worker process analyses it, the verdict is written once. What always holds: a
//! message that was handled has a verdict in the table, and one that was not stays in the queue.

mod cache;
mod definitions;
mod enforce;
mod fetch;
mod measure;
mod message;
mod replaced;
mod rescan;
mod room;
mod scan;
mod tasks;
mod verdict;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use portcullis_core::announce::Announcer;
use portcullis_core::aws::Clients;
use portcullis_core::batch::{self, Failed};
use portcullis_core::clock::now_ms;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::store::{
    batches::Batches, children::Children, hashes::Hashes, objects::Objects, partial::Partials, quarantine::Quarantine, queue::Queue,
    rescans::Rescans, scans::Scans, settings::Settings,
};
use portcullis_engines::{WorkerConfig, WorkerPool};
use portcullis_outbound::{Client, Policy};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

use definitions::DefinitionsSync;
use message::Message;

/// Time kept back at the end of an invocation for writing verdicts, ms.
const RESERVE_MS: i64 = 10_000;

/// What the handler shares over its life.
pub struct Scan {
    scans: Scans,
    hashes: Hashes,
    children: Children,
    partials: Partials,
    objects: Objects,
    settings: Settings,
    rescans: Rescans,
    /// The job for which the definitions were looked at last.
    looked_for: Mutex<String>,
    scan_queue: Queue,
    announcer: Announcer,
    /// Fetches what `downloadfrom` names.
    downloads: Client,
    pool: WorkerPool,
    /// How workers are started: those that check new rules are alike.
    worker: WorkerConfig,
    definitions: DefinitionsSync,
    /// One per worker. A scan's time begins when it has one; its claim is renewed while it waits.
    slots: Semaphore,
    /// Longest time of one run; zero = no limit of its own.
    slice: Duration,
    upload_bucket: String,
    quarantine: Quarantine,
    quarantine_bucket: String,
    /// Where outgoing requests may go.
    outbound: Policy,
    /// Folder for files while they are worked on.
    scratch: PathBuf,
    deadline_ms: i64,
}

/// What differs between hosts of the function.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The binary whose `main` begins with the worker check.
    pub executable: PathBuf,
    /// Whether contents may ask a worker to die. No effect in release builds.
    pub test_hooks: bool,
}

impl Scan {
    /// From the environment.
    ///
    /// # Errors
    /// All problems of the configuration, together.
    pub fn new(env: &Env, clients: &Clients, host: HostOptions) -> Result<Self, ConfigError> {
        let mut reader = env.reader("scan");
        let table = reader.text("PORTCULLIS_TABLE");
        let upload_bucket = reader.text("PORTCULLIS_UPLOAD_BUCKET");
        let reports = reader.text("PORTCULLIS_REPORT_BUCKET");
        let definitions_bucket = reader.text("PORTCULLIS_DEFINITIONS_BUCKET");
        let quarantine_bucket = reader.text("PORTCULLIS_QUARANTINE_BUCKET");
        let scan_queue = reader.text("PORTCULLIS_SCAN_QUEUE_URL");
        let notify_queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
        let deadline_seconds = reader.number("PORTCULLIS_SCAN_DEADLINE_SECONDS", 60..=86_400);
        let workers = reader.number("PORTCULLIS_WORKERS", 1..=64);
        let memory_mb = reader.number("PORTCULLIS_WORKER_MEMORY_MB", 256..=16_384);
        let clamd = Some(reader.text("PORTCULLIS_CLAMD")).filter(|address| !address.is_empty());
        let outbound = Policy::read(&mut reader);
        let slice = reader.number("PORTCULLIS_SCAN_SLICE_MS", 0..=900_000);
        let scratch = PathBuf::from(reader.text("PORTCULLIS_SCRATCH_DIR"));
        reader.finish(())?;
        let workers = usize::try_from(workers).unwrap_or(1);
        let (dynamodb, objects) = (clients.dynamodb(), Objects::new(clients.s3().clone()));
        let definitions = DefinitionsSync::new(objects.clone(), definitions_bucket, scratch.join("definitions"), clamd.clone());
        let worker = WorkerConfig {
            executable: host.executable,
            workers,
            definitions_dir: Some(definitions.folder().to_owned()),
            cache_dir: scratch.join("rules-cache"),
            scratch_dir: scratch.join("scratch"),
            clamd,
            memory_limit_bytes: memory_mb * 1024 * 1024,
            test_hooks: host.test_hooks,
        };
        Ok(Self {
            scans: Scans::new(dynamodb.clone(), &table),
            hashes: Hashes::new(dynamodb.clone(), &table),
            children: Children::new(objects.clone(), &reports),
            partials: Partials::new(objects.clone(), reports),
            objects,
            settings: Settings::new(dynamodb.clone(), &table),
            rescans: Rescans::new(dynamodb.clone(), &table),
            looked_for: Mutex::default(),
            scan_queue: Queue::new(clients.sqs().clone(), scan_queue),
            announcer: Announcer::new(Queue::new(clients.sqs().clone(), notify_queue), Batches::new(dynamodb.clone(), &table)),
            pool: WorkerPool::new(worker.clone()),
            worker,
            downloads: Client::new(outbound.clone(), tasks::DOWNLOAD_LIMITS),
            definitions,
            slots: Semaphore::new(workers),
            slice: Duration::from_millis(slice),
            upload_bucket,
            quarantine: Quarantine::new(dynamodb.clone(), &table),
            quarantine_bucket,
            outbound,
            scratch,
            deadline_ms: i64::try_from(deadline_seconds * 1000).unwrap_or(i64::MAX),
        })
    }

    /// Handles a batch. `ends_at`: when the invocation is cut off, ms since the epoch.
    pub async fn handle(self: Arc<Self>, event: SqsEvent, ends_at: i64) -> SqsBatchResponse {
        batch::run(self, event, move |scan, message| Box::pin(async move { scan.handle_message(message, ends_at - RESERVE_MS).await })).await
    }

    /// One message; when it fails, SQS is told when to deliver it again (the visibility timeout is made for
    /// a worker that vanished, not for one that can say what it waits for).
    async fn handle_message(&self, message: SqsMessage, ends_at: i64) -> Result<(), Failed> {
        let body = message.body.as_deref().unwrap_or_default();
        let mut failure = None;
        match message::parse(body) {
            // Each object on its own: one that has to wait must not keep the others from being recorded and scanned.
            Ok(Message::Scan(requests)) => {
                for request in requests {
                    failure = self.scan(request, ends_at).await.err().or(failure);
                }
            }
            Ok(Message::Task(task)) => failure = self.task(task, ends_at).await.err(),
            Err(poison) => failure = Some(poison.into()),
        }
        let Some(failure) = failure else { return Ok(()) };
        let (delay, failed) = match failure {
            ScanFailure::Held { until } => {
                let wait = u64::try_from(until - now_ms()).unwrap_or_default().clamp(1000, 60_000);
                (Duration::from_millis(wait), Failed::Retry("another worker holds the file".into()))
            }
            ScanFailure::Failed(failed @ Failed::Retry(_)) => (backoff(&message), failed),
            ScanFailure::Failed(failed @ Failed::Permanent(_)) => (Duration::ZERO, failed),
        };
        if let Some(receipt) = &message.receipt_handle
            && let Err(error) = self.scan_queue.retry_after(receipt, delay).await
        {
            tracing::warn!(%error, "the message comes back only after its visibility timeout");
        }
        Err(failed)
    }
}

/// 5 s, then three times as long each time: five receives span some minutes before the dead-letter queue.
fn backoff(message: &SqsMessage) -> Duration {
    let receives = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok()).unwrap_or(1);
    Duration::from_secs(5 * 3_u64.pow(receives.saturating_sub(1).min(5)))
}

/// Why a message stays in the queue.
#[derive(Debug)]
pub(crate) enum ScanFailure {
    /// Another worker holds the claim.
    Held { until: i64 },
    /// Anything else.
    Failed(Failed),
}

impl<E: Into<Failed>> From<E> for ScanFailure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
