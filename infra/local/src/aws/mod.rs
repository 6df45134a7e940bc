//! The AWS of the local host: DynamoDB, SQS, Secrets Manager and S3 as real protocol servers in this process, on one loopback address.
//!
//! The functions reach it through the AWS SDK, so the code that runs here is the code that runs on Lambda. What
//! always holds:
//! - everything answered with success is in the data folder and survives `kill -9`;
//! - an object and the S3 event it causes are written in one transaction: neither exists without the other;
//! - object bodies are streamed in both directions and never held in memory;
//! - object keys never become file names: bodies are named by a UUID.
//!
//! One data folder belongs to one process at a time (a lock file says so):
//! `aws.sqlite3` (queues, secrets, buckets, objects), `dynamodb.sqlite3`, `bodies/` (finished), `incoming/` (in transfer).
//!
//! | service | operations |
//! |---|---|
//! | DynamoDB | everything dynoxide has: tables, items, queries, batches, transactions, TTL, PartiQL |
//! | SQS (standard queues) | CreateQueue, GetQueueUrl, ListQueues, Get/SetQueueAttributes, SendMessage(Batch), ReceiveMessage, DeleteMessage(Batch), ChangeMessageVisibility(Batch), PurgeQueue, DeleteQueue |
//! | Secrets Manager | CreateSecret, PutSecretValue, GetSecretValue |
//! | S3 buckets | CreateBucket, HeadBucket, ListBuckets, DeleteBucket, GetBucketLocation, Put/GetBucketVersioning, Put/GetBucketNotificationConfiguration (queues), Put/Get/DeleteBucketLifecycle (kept, not executed) |
//! | S3 objects | PutObject, POST form with policy (streamed), GetObject (ranges, conditions, versions), HeadObject, CopyObject, DeleteObject(s), ListObjectsV2, ListObjects, ListObjectVersions, Put/Get/DeleteObjectTagging |
//! | S3 multipart | Create, UploadPart, Complete, Abort, ListParts, ListMultipartUploads |
//!
//! Not there: FIFO queues, StartMessageMoveTask, UploadPartCopy, GetObjectAttributes, CORS but for forms, encryption and policy
//! settings of buckets; events go to queues only and for new objects only.
//!
//! S3 requests must be signed (SigV4 header, presigned URL or POST policy) with the configured key pair. Signatures
//! of the other services are not verified: the listener takes loopback addresses only.

mod db;
mod dynamodb;
pub mod s3;
pub mod secrets;
mod server;
pub mod sqs;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::db::Db;
pub use self::db::DbError;
use self::s3::Buckets;
use self::secrets::Secrets;
use self::sqs::Queues;

/// The account everything belongs to.
pub const ACCOUNT_ID: &str = "000000000000";

/// Where and as whom the emulator runs.
#[derive(Debug, Clone)]
pub struct EmulatorConfig {
    /// Folder of all state; created when missing.
    pub data_dir: PathBuf,
    /// Loopback address to listen on; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Region in ARNs and events, e.g. `us-east-1`.
    pub region: String,
    /// The one access key S3 accepts.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

/// Why the emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The services are for this machine only.
    #[error("`{0}` is not a loopback address")]
    NotLoopback(SocketAddr),
    /// Another process has the data folder.
    #[error("the data folder `{0}` is in use by another process")]
    InUse(PathBuf),
    /// A file or folder cannot be used.
    #[error("`{path}`: {source}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address cannot be bound.
    #[error("cannot listen on `{addr}`: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database of queues and objects cannot be opened.
    #[error(transparent)]
    Database(#[from] DbError),
    /// DynamoDB does not start.
    #[error("DynamoDB: {0}")]
    DynamoDb(String),
}

/// The running services. Dropping it stops them, waiting only for database changes already begun;
/// [`Emulator::shutdown`] lets running calls finish.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    queues: Queues,
    buckets: Buckets,
    secrets: Secrets,
    calls: server::Calls,
    db: Arc<Db>,
    close: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
    /// Held as long as the emulator lives; the system releases it when the process dies.
    _lock: File,
}

impl Emulator {
    /// Opens the data folder, removes what a killed process left half-written, and starts to listen.
    pub async fn start(config: EmulatorConfig) -> Result<Self, StartError> {
        if !config.addr.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.addr));
        }
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|source| StartError::Folder { path: dir.clone(), source })?;
        let lock = lock(dir)?;
        let db = Arc::new(Db::open(&dir.join("aws.sqlite3"))?);
        let bodies = s3::Bodies::open(dir, &db).await?;
        let dynamodb = dynamodb::DynamoDb::start(&dir.join("dynamodb.sqlite3")).map_err(StartError::DynamoDb)?;
        let listen = |source| StartError::Listen { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(listen)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(listen)?);

        let (close, closing) = watch::channel(false);
        let queues = Queues::new(Arc::clone(&db), endpoint.clone(), config.region.clone(), closing.clone());
        let buckets = Buckets::new(Arc::clone(&db), bodies, queues.clone(), config.region.clone());
        let secrets = Secrets::new(Arc::clone(&db), config.region);
        let calls = server::Calls::default();
        let services = server::Services {
            calls: calls.clone(),
            dynamodb,
            queues: queues.clone(),
            secrets: secrets.clone(),
            s3: s3::Server::new(buckets.clone(), config.access_key, config.secret_key),
        };
        let server = tokio::spawn(server::run(listener, services, closing));
        Ok(Self { endpoint, queues, buckets, secrets, calls, db, close, server: Some(server), _lock: lock })
    }

    /// `http://127.0.0.1:PORT`, for the endpoint settings of the SDK.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// The queues, without HTTP.
    pub fn queues(&self) -> Queues {
        self.queues.clone()
    }

    /// The buckets, without HTTP.
    pub fn buckets(&self) -> Buckets {
        self.buckets.clone()
    }

    /// The secrets, without HTTP.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Calls of an operation since the start, by its `X-Amz-Target`; S3 has none.
    pub fn calls(&self, operation: &str) -> u64 {
        self.calls.of(operation)
    }

    /// Stops listening, ends waiting receives with an empty answer, and lets running calls finish (at most 5 s).
    pub async fn shutdown(mut self) {
        let _ = self.close.send(true);
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.close.send(true);
        if let Some(server) = &self.server {
            server.abort();
        }
        self.db.close();
    }
}

fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("lock");
    let failed = |source| StartError::Folder { path: path.clone(), source };
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
