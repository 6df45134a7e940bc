//! Messages between functions.

use serde::{Deserialize, Serialize};

use super::id::DataId;
use super::submission::{ObjectRef, Record, Source};
use super::verdict::Code;

/// Asks the scan function to scan an object that a submission exists for: what sweep sends for a lost event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanRequest {
    /// The submission.
    pub scan_request: DataId,
    /// The object.
    pub object: ObjectRef,
}

/// Work of the scan function that does not begin with an object: the body is `{"task":{"<name>":{…}}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Fetch a submission's content from its `downloadfrom` URL.
    Download {
        /// The submission.
        data_id: DataId,
    },
    /// Make one object of a multipart upload's parts, if they are all there; remove them, if it has ended.
    Assemble {
        /// The submission.
        data_id: DataId,
    },
    /// Judge a stored object again.
    Rescan {
        /// The submission whose object it is.
        data_id: DataId,
        /// The job, see [`crate::rescan`].
        job: String,
    },
    /// Make a new YARA package from the configured sources.
    GenerateRules {
        /// The run, as the generation's document names it.
        run: String,
    },
}

/// The message around a [`Task`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRequest {
    /// What is to be done.
    pub task: Task,
}

/// A verdict was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictEvent {
    /// The submission.
    pub data_id: DataId,
    /// Main outcome.
    pub code: Code,
    /// `Allowed` or `Blocked`.
    pub result: String,
    /// Rule.
    pub rule: String,
    /// How the file came in.
    pub source: Source,
    /// Bytes.
    pub size: u64,
    /// Children of all levels.
    pub children: u32,
    /// Submission to claim, ms.
    pub queue_ms: i64,
    /// Claim to verdict, ms.
    pub scan_ms: i64,
    /// Time of the verdict, ms since the epoch; 0 = not told.
    #[serde(default)]
    pub ended_at: i64,
    /// Whether somebody is to be called back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub callback: bool,
    /// Of a verdict that took the place of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revised: Option<Revised>,
}

/// A verdict that a rescan changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revised {
    /// The submission of the rescan. The webhook has this id, so that it is told beside the first one.
    pub by: DataId,
    /// The verdict of before.
    pub before: Code,
}

/// Every file of a batch with a callback has ended, and the batch is closed: its result is to be posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchEvent {
    /// The batch.
    pub batch_id: DataId,
}

impl VerdictEvent {
    /// Of a finished submission; `None` while it runs.
    pub fn of(record: &Record) -> Option<Self> {
        let outcome = record.outcome.as_ref()?;
        Some(Self {
            data_id: record.submission.id.clone(),
            code: outcome.report.verdict.code,
            result: outcome.report.verdict.result().to_owned(),
            rule: record.submission.rule.clone(),
            source: record.submission.source,
            size: outcome.report.size,
            children: outcome.child_count,
            queue_ms: outcome.started_at - record.submission.created_at,
            scan_ms: outcome.finished_at - outcome.started_at,
            ended_at: outcome.finished_at,
            callback: record.submission.wishes.callback_url.is_some(),
            revised: None,
        })
    }
}
