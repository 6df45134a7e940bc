//! A submission: what came in, from whom, and where it stands.
//!
//! State moves one way: `Uploading` → `Queued`/`Processing` → `Done`. What always holds: a `Done`
//! submission has a report, and nothing changes it any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{id::DataId, report::FileReport};

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
    /// Present when `Done`.
    pub outcome: Option<Outcome>,
}
