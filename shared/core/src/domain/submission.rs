//! A submission: what came in, from whom, and where it stands.
//!
//! State moves one way: `Uploading` → `Queued`/`Processing` → `Done`. What always holds: a `Done`
//! submission has a report, and nothing but a rescan changes it any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    id::DataId,
    parts::Plan,
    report::FileReport,
    verdict::{Code, Verdict},
};

/// Who submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User id.
    pub user_id: u64,
    /// `<directory>/<user>`, e.g. `LOCAL/admin`.
    pub username: String,
}

/// How the file came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `POST /file`.
    Api,
    /// Presigned upload.
    Presigned,
    /// An object in a watched bucket.
    Event,
    /// Parts of a multipart upload.
    Multipart,
    /// `downloadfrom`: fetched by the scan function.
    Download,
    /// A stored object that is judged again under newer rules or definitions.
    Rescan,
}

/// A file's place in its batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSeat {
    /// The batch.
    pub id: DataId,
    /// Position in the batch, from 0, in the order of submission.
    pub index: u32,
    /// End of the batch's retention, ms since the epoch: its counts live as long as it does.
    pub expires_at: i64,
}

/// What a client asked for beside the scan (headers of contract §4.1). All absent by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// `callbackurl`: where the result is posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// `sanitizedurl`: where a sanitised file would be sent. Validated and kept for later work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sanitized_url: Option<String>,
    /// `downloadfrom`: where the file is fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    /// `batch`: the batch it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSeat>,
    /// `engines-metadata`: hints for engines, a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engines_metadata: Option<Value>,
    /// `global-timeout`, in seconds from the submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Of a multipart upload: what its parts make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Plan>,
    /// Of a rescan: whose object is judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescan_of: Option<RescanOf>,
}

/// What a rescan judges again, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescanOf {
    /// The submission whose object it is.
    pub data_id: DataId,
    /// The job, see [`crate::rescan`].
    pub job: String,
}

/// Immutable facts of a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Its id.
    pub id: DataId,
    /// Name as the client sent it, percent-decoded: what the heuristics judge.
    pub name: String,
    /// Name of the rule.
    pub rule: String,
    /// `user_agent` header, or empty.
    pub user_agent: String,
    /// `None`: submitted without a key, so anyone with the id may read the result (contract §5.7).
    pub owner: Option<Owner>,
    /// `metadata` header: the object as sent, or the string when it is no JSON (contract §9 U9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// How it came in.
    pub source: Source,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object.
    pub key: String,
    /// Time of submission, ms since the epoch.
    pub created_at: i64,
    /// Time at which a scan without verdict ends as Failed, ms since the epoch.
    pub deadline_at: i64,
    /// Bytes, once known.
    #[serde(default)]
    pub size: u64,
    /// What else was asked for.
    #[serde(default)]
    pub wishes: Wishes,
}

impl Submission {
    /// Why it ended when its deadline passes without a verdict (contract §9 U10).
    pub fn overdue(&self) -> &'static str {
        let asked_for = self.wishes.timeout_seconds.and_then(|seconds| i64::try_from(seconds * 1000).ok());
        if asked_for.is_some_and(|life| life <= self.deadline_at - self.created_at) {
            "Global scan timeout exceeded"
        } else {
            "The deadline passed before there was a verdict."
        }
    }
}

/// The object that is judged, pinned: the bytes hashed are the bytes judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Version id, if the bucket has versions.
    #[serde(default)]
    pub version: Option<String>,
    /// ETag, without quotes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// How far a `downloadfrom` came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetched {
    /// Bytes so far.
    pub bytes: u64,
    /// Tries that failed.
    pub failures: u32,
    /// Why the last one did; empty when none did.
    pub error: String,
}

/// Where a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The record exists, the object is not seen yet.
    Uploading,
    /// A worker holds the claim.
    Processing,
    /// There is a verdict.
    Done,
}

/// What a verdict rests on: compared with what is in force now, it tells whether the verdict is outdated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// Version of the rule's result-affecting settings (`Rule::version`); empty = no rule was applied.
    pub rule: String,
    /// Version of the definitions that the engines used; empty = none were used.
    pub definitions: String,
    /// The submission whose verdict was taken over, when the content was not analysed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<DataId>,
}

/// The outcome of a finished submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The submitted file.
    pub report: FileReport,
    /// Children of all levels.
    #[serde(default)]
    pub child_count: u32,
    /// Number of the worst child, 0 = none.
    #[serde(default)]
    pub worst_child: u32,
    /// Scan start, ms since the epoch.
    pub started_at: i64,
    /// Scan end, ms since the epoch.
    pub finished_at: i64,
    /// What it rests on.
    #[serde(default)]
    pub basis: Basis,
    /// Present when the verdict is not the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// A verdict that took the place of another: that of a rescan. The times of the outcome stay those of the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The job that found it.
    pub job: String,
    /// When, ms since the epoch.
    pub at: i64,
    /// The verdict of before.
    pub before: Code,
}

impl Outcome {
    /// Of a submission that ends at `now` (ms since the epoch) without a scan.
    pub fn unscanned(record: &Record, verdict: Verdict, now: i64) -> Self {
        let submission = &record.submission;
        let size = record.object.as_ref().map_or(submission.size, |object| object.size);
        Self {
            report: FileReport::unscanned(&submission.name, size, verdict),
            child_count: 0,
            worst_child: 0,
            started_at: record.started_at.unwrap_or(now),
            finished_at: now,
            basis: Basis::default(),
            revision: None,
        }
    }
}

/// A submission with its state, as read from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The facts.
    pub submission: Submission,
    /// Where it stands.
    pub state: State,
    /// Times a worker claimed it and did not say how it ended, the running claim included.
    pub attempts: u32,
    /// First claim, ms since the epoch.
    pub started_at: Option<i64>,
    /// The object judged, once seen.
    pub object: Option<ObjectRef>,
    /// Of a download: how far it came.
    pub fetched: Option<Fetched>,
    /// Present when `Done`.
    pub outcome: Option<Outcome>,
}
