//! Fetches a submission's content from its `downloadfrom` URL; the object's own event starts the scan, as for any upload.
//!
//! What always holds: what is stored came whole and within the rule's limit, however large its source said it is;
//! a download that can not be had ends the submission as `Failed`.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::HeaderMap;
use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Fetched, ObjectRef, Record, Submission};
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::multipart::{Draft, PIECE, Piece};
use portcullis_outbound::{Body, Error, Limits};

use super::assemble::{Prepared, has_gone_on};
use crate::{Scan, ScanFailure};

/// Limits of one try. In total it may take what an invocation has.
pub(crate) const LIMITS: Limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(280), stalled: Duration::from_secs(20) };
/// Tries, where another may help.
const MAX_TRIES: u32 = 3;
/// Time between two notes of the progress.
const NOTED: Duration = Duration::from_secs(1);

/// Why there is no object.
enum Problem {
    /// Its source is to blame.
    Source(Error),
    /// The source sent nothing.
    Empty,
    /// The submission's time is over.
    Overdue,
    /// Our side is to blame.
    Store(StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

impl Scan {
    /// One try; a failure that may pass comes back with the queue, a few times.
    pub(super) async fn download(&self, id: &DataId, ends_at: i64) -> Result<(), ScanFailure> {
        let Some((record, _)) = self.scans.get(id).await? else { return Ok(()) };
        let submission = &record.submission;
        let Some(url) = submission.wishes.download_url.as_deref().filter(|_| !has_gone_on(&record)) else { return Ok(()) };
        let rule = rules::named(&self.settings, &submission.rule).await.map_err(|e| Failed::Retry(portcullis_core::error::chain(&e)))?;
        let Some(rule) = rule else {
            return self.end(&record, format!("Rule `{}` does not exist any more.", submission.rule)).await;
        };
        let left = |until: i64| Duration::from_millis(u64::try_from(until - now_ms()).unwrap_or_default());
        let tried = self.preparing(id, async {
            let fetched = tokio::time::timeout(left(ends_at), self.fetch(&record, url, rule.max_file_size));
            match tokio::time::timeout(left(submission.deadline_at), fetched).await {
                Ok(Ok(fetched)) => fetched,
                Ok(Err(_)) => Err(Problem::Source(Error::Timeout)),
                Err(_) => Err(Problem::Overdue),
            }
        });
        match tried.await? {
            Prepared::Object(size) => {
                tracing::info!(data_id = %id, size, "downloaded");
                Ok(())
            }
            Prepared::Lost => Ok(()),
            Prepared::Failed(Problem::Store(error)) => Err(Failed::Retry(portcullis_core::error::chain(&error)).into()),
            Prepared::Failed(Problem::Overdue) => self.end(&record, submission.overdue().to_owned()).await,
            Prepared::Failed(Problem::Empty) => self.fail(&record, "the file is empty".to_owned(), false).await,
            Prepared::Failed(Problem::Source(error)) => self.fail(&record, error.to_string(), may_pass(&error)).await,
        }
    }

    /// Writes a failure down; the last one ends the submission.
    async fn fail(&self, record: &Record, error: String, may_pass: bool) -> Result<(), ScanFailure> {
        let id = &record.submission.id;
        let failures = record.fetched.as_ref().map_or(0, |fetched| fetched.failures) + 1;
        match self.scans.fetched(id, &Fetched { bytes: 0, failures, error: error.clone() }).await {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if may_pass && failures < MAX_TRIES {
            return Err(Failed::Retry(format!("the download failed: {error}")).into());
        }
        self.end(record, format!("The download failed: {error}.")).await
    }

    /// The object, fetched.
    async fn fetch(&self, record: &Record, url: &str, limit: u64) -> Result<ObjectRef, Problem> {
        let submission = &record.submission;
        // Fetched before, by a worker that did not live to say so.
        if let Some(object) = self.objects.head(&submission.bucket, &submission.key).await? {
            return Ok(object);
        }
        let mut body = self.downloads.get(url, HeaderMap::new(), limit).await?;
        let mut incoming = Incoming { scan: self, submission, noted: Instant::now(), fetched: record.fetched.clone().unwrap_or_default() };
        incoming.fetched.bytes = 0;
        let first = incoming.piece(&mut body).await?;
        if first.is_empty() {
            return Err(Problem::Empty);
        }
        if first.len() < PIECE {
            self.objects.put(&submission.bucket, &submission.key, first.len() as u64, first.freeze().into()).await?;
            return self.objects.head(&submission.bucket, &submission.key).await?.ok_or(StoreError::Missing { what: "store a download" }.into());
        }
        let draft = self.objects.draft(&submission.bucket, &submission.key).await?;
        match incoming.pieces(&mut body, &draft, first).await {
            Ok(pieces) => draft.finish(pieces).await?.ok_or(StoreError::Missing { what: "store a download" }.into()),
            Err(problem) => {
                draft.abort().await;
                Err(problem)
            }
        }
    }
}

/// Whether another try may help.
const fn may_pass(error: &Error) -> bool {
    match error {
        Error::Timeout | Error::Connect(_) | Error::Broken(_) => true,
        Error::Status(status) => matches!(*status, 408 | 425 | 429 | 500..),
        Error::Refused(_) | Error::Redirect(_) | Error::TooLarge(_) => false,
    }
}

/// A body on its way into storage, piece by piece: memory is bounded by one piece.
struct Incoming<'a> {
    scan: &'a Scan,
    submission: &'a Submission,
    noted: Instant,
    fetched: Fetched,
}

impl Incoming<'_> {
    /// The next piece; less than [`PIECE`] bytes only at the end.
    async fn piece(&mut self, body: &mut Body) -> Result<BytesMut, Problem> {
        let mut piece = BytesMut::new();
        while piece.len() < PIECE {
            let Some(bytes) = body.chunk().await? else { break };
            piece.extend_from_slice(&bytes);
            self.fetched.bytes += bytes.len() as u64;
            self.note().await;
        }
        Ok(piece)
    }

    /// All pieces, stored.
    async fn pieces(&mut self, body: &mut Body, draft: &Draft, first: BytesMut) -> Result<Vec<Piece>, Problem> {
        let mut pieces = Vec::new();
        let mut piece = first;
        for number in 1.. {
            if piece.is_empty() {
                break;
            }
            pieces.push(draft.put(number, piece.freeze()).await?);
            piece = self.piece(body).await?;
        }
        Ok(pieces)
    }

    /// Lets polls see how far it came, now and then.
    async fn note(&mut self) {
        if self.noted.elapsed() < NOTED {
            return;
        }
        self.noted = Instant::now();
        if let Err(error) = self.scan.scans.fetched(&self.submission.id, &self.fetched).await {
            tracing::debug!(data_id = %self.submission.id, %error, "progress of a download is not written down");
        }
    }
}
