//! From what the client sent to a recorded submission: caller, batch, rule, limits, record. All ways in use it.

use axum::http::HeaderMap;
use portcullis_core::auth::Caller;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::batch::Batch;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::parts;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Source, Submission, Wishes};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::intake::ScanSettings;
use portcullis_core::retention::Retention;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::UPLOAD_PREFIX;

use crate::Upload;
use crate::headers::SubmissionHeaders;

/// Sweep looks at a new submission after this time, in ms: by then the scan is normally over.
const FIRST_CHECK_MS: i64 = 120_000;

/// A submission that may be made.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) submission: Submission,
    pub(crate) rule: Rule,
    /// The batch that the client named.
    pub(crate) batch: Option<Batch>,
    /// Whether the client named the file.
    pub(crate) named: bool,
    passwords: Vec<String>,
}

impl Planned {
    /// The plan of another file of the same request, in a batch.
    pub(crate) fn another(&self, name: &str, size: u64, batch: Batch) -> Self {
        let id = DataId::random();
        let submission = Submission { key: format!("{UPLOAD_PREFIX}{id}"), id, name: name.to_owned(), size, ..self.submission.clone() };
        Self { submission, rule: self.rule.clone(), batch: Some(batch), named: true, passwords: self.passwords.clone() }
    }
}

impl Upload {
    /// Judges the request; writes nothing.
    pub(crate) async fn plan(&self, caller: &Caller, headers: &HeaderMap, source: Source) -> Result<Planned, ApiError> {
        let mut sent = SubmissionHeaders::read(headers)?;
        let batch = if sent.batch.is_empty() { None } else { Some(self.open_batch(&sent.batch, caller).await?) };
        if let Some(batch) = &batch {
            // What was said of the batch counts for files of which nothing is said.
            for (own, common) in [(&mut sent.rule, &batch.rule), (&mut sent.user_agent, &batch.user_agent)] {
                if own.is_empty() {
                    own.clone_from(common);
                }
            }
        }
        let rules = rules::in_force(&self.settings).await?;
        let rule = rules::select(&rules, &sent.rule, &sent.user_agent, caller)?.clone();
        self.has_room().await?;
        let wishes = Wishes {
            engines_metadata: sent.engines_metadata,
            timeout_seconds: sent.timeout_seconds,
            callback_url: self.checked(sent.callback_url, ErrorCode::CallbackInvalid)?,
            sanitized_url: self.checked(sent.sanitized_url, ErrorCode::SanitizedInvalid)?,
            ..Wishes::default()
        };
        // The parts have their day; the scan has its time after it.
        let most = if source == Source::Multipart { parts::WINDOW_MS + self.deadline_ms } else { self.deadline_ms };
        let life = wishes.timeout_seconds.and_then(|seconds| i64::try_from(seconds * 1000).ok()).map_or(most, |ms| ms.min(most));
        let (id, now) = (DataId::random(), now_ms());
        let named = !sent.filename.is_empty();
        let submission = Submission {
            key: format!("{UPLOAD_PREFIX}{id}"),
            id,
            // Without a name there is still something to show.
            name: if named { sent.filename } else { "unnamed".into() },
            rule: rule.name.clone(),
            user_agent: sent.user_agent,
            owner: caller.owner(),
            metadata: sent.metadata,
            source,
            bucket: self.bucket.to_string(),
            created_at: now,
            deadline_at: now + life,
            size: 0,
            wishes,
        };
        Ok(Planned { submission, rule, batch, named, passwords: sent.passwords })
    }

    /// Refuses a file that would have to wait too long.
    async fn has_room(&self) -> Result<(), ApiError> {
        let settings = ScanSettings::in_force(&self.settings).await?;
        match self.queue.depth().await {
            Ok(depth) if depth.total() >= settings.max_queue_per_agent => Err(ErrorCode::TooBusy.into()),
            Ok(_) => Ok(()),
            // What can not be told must not turn files away: the queue itself has no bound.
            Err(error) => {
                tracing::warn!(error = %portcullis_core::error::chain(&error), "the depth of the scan queue is unknown");
                Ok(())
            }
        }
    }

    /// A URL as it was sent, if requests may be made to it.
    pub(crate) fn checked(&self, url: Option<String>, invalid: ErrorCode) -> Result<Option<String>, ApiError> {
        if let Some(Err(refused)) = url.as_deref().map(|url| self.outbound.guard().check(url)) {
            tracing::info!(%refused, "a URL was refused");
            return Err(invalid.into());
        }
        Ok(url)
    }

    /// Writes the record; that of a file of a batch together with its place there.
    pub(crate) async fn record(&self, planned: &Planned) -> Result<(), ApiError> {
        let submission = &planned.submission;
        let life = Retention::in_force(&self.settings).await?.life_ms();
        let (check_at, expires_at) =
            ((submission.created_at + FIRST_CHECK_MS).min(submission.deadline_at), (submission.created_at + life).max(submission.deadline_at));
        let Some(batch) = &planned.batch else {
            let created = self.scans.create(submission, &planned.passwords, check_at, expires_at).await;
            return created.map_err(|e| ApiError::caused(ErrorCode::RequestFailed, e));
        };
        match self.batches.add(batch, submission, &planned.passwords, check_at, expires_at).await {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(ErrorCode::BatchClosed.into()),
            // Whether it was written is not known: a batch must not wait for a file that never comes.
            Err(error) => Err(self.give_up(&submission.id, error).await),
        }
    }
}
