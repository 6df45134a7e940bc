//! From what the client sent to a recorded submission: caller, rule, limits, record. Both ways in use it.

use axum::http::{HeaderMap, Uri};
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::parts;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Source, Submission, Wishes};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::intake::ScanSettings;
use portcullis_core::rules;
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
    passwords: Vec<String>,
}

impl Upload {
    /// Judges the request; writes nothing.
    pub(crate) async fn plan(&self, headers: &HeaderMap, uri: &Uri, source: Source) -> Result<Planned, ApiError> {
        let caller = self.auth.caller(headers, uri, ErrorCode::BadKey).await?;
        let sent = SubmissionHeaders::read(headers)?;
        let rules = rules::in_force(&self.settings).await?;
        let rule = rules::select(&rules, &sent.rule, &sent.user_agent, &caller)?.clone();
        self.has_room().await?;
        let wishes = Wishes { engines_metadata: sent.engines_metadata, timeout_seconds: sent.timeout_seconds, ..Wishes::default() };
        // The parts have their day; the scan has its time after it.
        let most = if source == Source::Multipart { parts::WINDOW_MS + self.deadline_ms } else { self.deadline_ms };
        let life = wishes.timeout_seconds.and_then(|seconds| i64::try_from(seconds * 1000).ok()).map_or(most, |ms| ms.min(most));
        let (id, now) = (DataId::random(), now_ms());
        let submission = Submission {
            key: format!("{UPLOAD_PREFIX}{id}"),
            id,
            // Without a name there is still something to show.
            name: if sent.filename.is_empty() { "unnamed".into() } else { sent.filename },
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
        Ok(Planned { submission, rule, passwords: sent.passwords })
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

    /// Writes the record.
    pub(crate) async fn record(&self, planned: &Planned) -> Result<(), ApiError> {
        let submission = &planned.submission;
        let (check_at, expires_at) = (
            (submission.created_at + FIRST_CHECK_MS).min(submission.deadline_at),
            (submission.created_at + self.retention_ms).max(submission.deadline_at),
        );
        self.scans.create(submission, &planned.passwords, check_at, expires_at).await.map_err(|e| ApiError::caused(ErrorCode::RequestFailed, e))
    }
}
