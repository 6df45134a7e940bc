//! One SQLite file for queues, buckets and objects, reached through two threads.
//!
//! What always holds: every change runs in one `IMMEDIATE` transaction on the writer thread, so an object and the
//! event it causes become visible together or not at all. The file is in WAL mode: a killed process loses nothing
//! that was answered; only a power cut may lose the last commits (`synchronous = NORMAL`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

/// Tables of the one database; every statement is idempotent.
const SCHEMA: &str = include_str!("schema.sql");

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite refused the statement, or the file is damaged.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored JSON column does not parse.
    #[error("stored value: {0}")]
    Stored(#[from] serde_json::Error),
    /// The database thread is gone (shutdown, or the job panicked).
    #[error("database thread stopped")]
    Stopped,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Handle on the two database threads; they end when the last handle is dropped or [`Db::close`] is called.
#[derive(Debug)]
pub(super) struct Db {
    writer: Worker,
    reader: Worker,
}

/// A thread with a connection of its own that works off jobs in their order.
#[derive(Debug)]
struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Db {
    /// Opens (or creates) the file and starts the threads.
    pub(super) fn open(path: &Path) -> Result<Self, DbError> {
        let writer = connect(path)?;
        writer.execute_batch(SCHEMA)?;
        let reader = connect(path)?;
        Ok(Self { writer: Worker::start("aws-db-write", writer)?, reader: Worker::start("aws-db-read", reader)? })
    }

    /// Finishes the jobs that were begun (milliseconds) and refuses all others from now on, so that whoever opens the
    /// folder next finds it still.
    pub(super) fn close(&self) {
        self.writer.close();
        self.reader.close();
    }

    /// Runs `job` in one transaction: committed when it returns `Ok`, rolled back otherwise.
    pub(super) async fn write<T, E>(&self, job: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let run = move |conn: &mut Connection| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(DbError::from)?;
            let value = job(&tx)?;
            tx.commit().map_err(DbError::from)?;
            Ok(value)
        };
        submit(&self.writer, run).await
    }

    /// Runs `job` on the reading connection; it sees every change answered before.
    pub(super) async fn read<T, E>(&self, job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        submit(&self.reader, move |conn| job(conn)).await
    }
}

async fn submit<T, E>(worker: &Worker, run: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |conn| {
        // The caller may have gone away (client disconnected): the change stands all the same.
        let _ = answer.send(run(conn));
    });
    worker.send(job)?;
    answered.await.map_err(|_| DbError::Stopped)?
}

impl Worker {
    fn start(name: &str, mut conn: Connection) -> Result<Self, DbError> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in jobs {
                    // A panic drops the transaction (rollback) and the caller's channel; the thread goes on.
                    if catch_unwind(AssertUnwindSafe(|| job(&mut conn))).is_err() {
                        tracing::error!("a database job panicked");
                    }
                }
            })
            .map_err(|_| DbError::Stopped)?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, job: Job) -> Result<(), DbError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or(DbError::Stopped)?.send(job).map_err(|_| DbError::Stopped)
    }

    fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn connect(path: &Path) -> Result<Connection, DbError> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(30))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_or_panicking_job_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("a.db")).unwrap();
        let insert = "INSERT INTO queues(name, attributes, created_ms, modified_ms) VALUES ('q', '{}', 0, 0)";
        let failed = db
            .write::<(), DbError>(move |tx| {
                tx.execute(insert, []).map_err(DbError::from)?;
                Err(DbError::Stopped)
            })
            .await;
        assert!(failed.is_err());
        let panicked = db
            .write::<(), DbError>(move |tx| {
                tx.execute(insert, []).map_err(DbError::from)?;
                panic!("boom")
            })
            .await;
        assert!(matches!(panicked, Err(DbError::Stopped)));
        let rows = db.read::<i64, DbError>(|c| Ok(c.query_row("SELECT count(*) FROM queues", [], |r| r.get(0))?)).await.unwrap();
        assert_eq!(rows, 0);
    }
}
