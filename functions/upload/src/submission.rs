//! From what the client sent to a recorded submission: caller, rule, limits, record. Both ways in use it.

use axum::http::{HeaderMap, Uri};
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Source, Submission, Wishes};
use portcullis_core::http::error::{ApiError, ErrorCode};
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
            deadline_at: now + self.deadline_ms,
            size: 0,
            wishes: Wishes::default(),
        };
        Ok(Planned { submission, rule, passwords: sent.passwords })
    }

    /// Writes the record.
    pub(crate) async fn record(&self, planned: &Planned) -> Result<(), ApiError> {
        let submission = &planned.submission;
        let (check_at, expires_at) = (submission.created_at + FIRST_CHECK_MS, submission.created_at + self.retention_ms);
        self.scans.create(submission, &planned.passwords, check_at, expires_at).await.map_err(|e| ApiError::caused(ErrorCode::RequestFailed, e))
    }
}
