//! Batches: files that are submitted one by one and judged together.
//!
//! A batch's own outcome is computed from counts of its files' outcomes, never from the files. What always
//! holds: a batch is `Allowed` only when every one of its files has an outcome and none of them is blocked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::DataId;
use super::name::display;
use super::submission::{Outcome, Owner, Submission};
use super::verdict::{Code, TABLE};

/// Immutable facts of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id; of one namespace with data ids.
    pub id: DataId,
    /// Name of the rule of its files, where a file names no other.
    pub rule: String,
    /// `user_agent` header, or empty.
    pub user_agent: String,
    /// `user-data` header, decoded; at most 1024 bytes.
    pub user_data: String,
    /// `None`: created without a key, so anyone with the id may use it (contract §5.7).
    pub owner: Option<Owner>,
    /// Time of creation, ms since the epoch.
    pub created_at: i64,
    /// End of retention of the batch and of its entries, ms since the epoch.
    pub expires_at: i64,
}

/// What the files' outcomes add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files with an outcome.
    pub finished: u32,
    /// Files by main outcome.
    pub codes: BTreeMap<u8, u32>,
    /// Sum of the analysis times, ms.
    pub total_ms: u64,
}

/// A batch as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchState {
    /// The facts.
    pub batch: Batch,
    /// No file is taken any more.
    pub closed: bool,
    /// It was cancelled.
    pub canceled: bool,
    /// Where the result is posted once every file has an outcome. Set: no file is taken any more, and the batch is closed then.
    pub callback_url: Option<String>,
    /// Who saw the last outcome of a batch with a callback, and so tells of it.
    pub concluded_by: Option<String>,
    /// The message that makes the callback was sent.
    pub told: bool,
    /// Files.
    pub files: u32,
    /// Positions given out; more than `files` where an upload failed.
    pub seats: u32,
    /// Their outcomes.
    pub tally: Tally,
}

impl BatchState {
    /// Whether more files are taken.
    pub const fn is_open(&self) -> bool {
        !self.closed && self.callback_url.is_none()
    }

    /// Whether every file has an outcome.
    pub const fn is_finished(&self) -> bool {
        self.tally.finished >= self.files
    }

    /// The outcome: the worst of the files'. `None` while one is missing, or while there is no file and may be one.
    /// A closed batch without files is `Not Scanned`: nothing was proven.
    pub fn code(&self) -> Option<Code> {
        if !self.is_finished() || (self.files == 0 && self.is_open()) {
            return None;
        }
        let known: u32 = TABLE.iter().map(|row| self.tally.codes.get(&row.code.value()).copied().unwrap_or_default()).sum();
        if known < self.tally.finished {
            // An outcome that this version does not know.
            return Some(Code::Failed);
        }
        let there = TABLE.iter().filter(|row| self.tally.codes.get(&row.code.value()).is_some_and(|count| *count > 0));
        Some(there.max_by_key(|row| (row.blocked, row.severity)).map_or(Code::NotScanned, |row| row.code))
    }
}

/// A file of a batch, as its listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFile {
    /// Its submission.
    pub data_id: DataId,
    /// Display name.
    pub name: String,
    /// Bytes, as far as known at the submission.
    pub size: u64,
}

impl BatchFile {
    /// Of a submission.
    pub fn of(submission: &Submission) -> Self {
        Self { data_id: submission.id.clone(), name: display(&submission.name), size: submission.size }
    }
}

/// How a file of a batch ended: what the listing and the signed report say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {
    /// Main outcome.
    pub code: Code,
    /// All outcomes, main one first.
    pub all: Vec<Code>,
    /// Bytes.
    pub size: u64,
    /// MIME type.
    pub mime: String,
    /// Type for people.
    pub description: String,
    /// Engines that found a threat.
    pub detected_by: usize,
    /// Engines that looked at it.
    pub scanned_with: usize,
    /// SHA-256 in hex; empty when the content was never read.
    pub sha256: String,
    /// Time of the analysis, ms.
    pub total_ms: u64,
}

impl FileEnd {
    /// Of a finished submission.
    pub fn of(outcome: &Outcome) -> Self {
        let report = &outcome.report;
        Self {
            code: report.verdict.code,
            all: report.verdict.all.clone(),
            size: report.size,
            mime: report.file_type.mime.clone(),
            description: report.file_type.description.clone(),
            detected_by: report.detected_by(),
            scanned_with: report.engines.len(),
            sha256: report.digests.sha256.clone(),
            total_ms: report.timing.total_ms,
        }
    }
}

/// An entry of a batch's listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// Position, from 0, in the order of submission; with gaps where an upload failed.
    pub index: u32,
    /// The file.
    pub file: BatchFile,
    /// How it ended; `None` while it runs.
    pub end: Option<FileEnd>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(closed: bool, files: u32, codes: &[(Code, u32)]) -> BatchState {
        let codes: BTreeMap<u8, u32> = codes.iter().map(|(code, count)| (code.value(), *count)).collect();
        BatchState {
            batch: Batch {
                id: DataId::random(),
                rule: "r".into(),
                user_agent: String::new(),
                user_data: String::new(),
                owner: None,
                created_at: 0,
                expires_at: 1,
            },
            closed,
            canceled: false,
            callback_url: None,
            concluded_by: None,
            told: false,
            files,
            seats: files,
            tally: Tally { finished: codes.values().sum(), codes, total_ms: 0 },
        }
    }

    #[test]
    fn one_blocked_file_blocks_whatever_the_others_are() {
        for row in TABLE.iter().filter(|row| row.blocked) {
            let mixed = state(false, 9, &[(Code::NoThreatDetected, 7), (Code::Allowlisted, 1), (row.code, 1)]);
            assert_eq!(mixed.code(), Some(row.code));
        }
        assert_eq!(state(true, 3, &[(Code::Failed, 1), (Code::Infected, 1), (Code::NotScanned, 1)]).code(), Some(Code::Infected));
    }

    #[test]
    fn clean_only_when_every_file_is() {
        assert_eq!(state(false, 2, &[(Code::NoThreatDetected, 2)]).code(), Some(Code::NoThreatDetected));
        assert_eq!(state(false, 3, &[(Code::NoThreatDetected, 2)]).code(), None);
        assert_eq!(state(true, 3, &[(Code::NoThreatDetected, 2)]).code(), None);
        assert_eq!(state(true, 3, &[(Code::Infected, 2)]).code(), None, "no verdict before the last file, not even a bad one");
    }

    #[test]
    fn without_files_nothing_is_proven() {
        assert_eq!(state(false, 0, &[]).code(), None);
        assert_eq!(state(true, 0, &[]).code(), Some(Code::NotScanned));
    }

    #[test]
    fn an_outcome_of_another_version_is_a_failure() {
        let mut newer = state(true, 2, &[(Code::NoThreatDetected, 1)]);
        newer.tally.finished = 2;
        newer.tally.codes.insert(77, 1);
        assert_eq!(newer.code(), Some(Code::Failed));
    }
}
