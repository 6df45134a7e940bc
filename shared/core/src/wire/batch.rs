//! The batch result (contract §2.9): what a poll shows, and what a callback is sent. What always holds: every field is
//! there from the first poll to the last, none is null, and `Allowed` is shown only when every file is.

use serde::Serialize;

use super::result::{Child, ChildProcess, PROCESSING, planned_engines};
use crate::clock::iso;
use crate::domain::batch::{BatchEntry, BatchState};
use crate::domain::id::DataId;
use crate::domain::report::FileType;
use crate::domain::verdict::{Code, IN_PROGRESS, IN_PROGRESS_TEXT};

/// Entries on a page when a poll does not say (OH-bst).
pub const DEFAULT_PAGE: usize = 50;

/// The batch object.
#[derive(Clone, Debug, Serialize)]
pub struct BatchResult {
    batch_files: BatchFiles,
    batch_id: DataId,
    is_closed: bool,
    process_info: BatchProcess,
    scan_results: BatchScan,
    user_data: String,
}

#[derive(Clone, Debug, Serialize)]
struct BatchFiles {
    batch_count: u32,
    files_in_batch: Vec<Child>,
    first_index: usize,
    page_size: usize,
}

/// `process_info`, also of the signed report (contract §2.10).
#[derive(Clone, Debug, Serialize)]
pub(super) struct BatchProcess {
    pub(super) blocked_reason: &'static str,
    pub(super) file_type_skipped_scan: bool,
    pub(super) profile: String,
    pub(super) result: &'static str,
    pub(super) user_agent: String,
    username: String,
}

/// `scan_results`, also of the signed report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BatchScan {
    batch_id: DataId,
    pub(super) scan_all_result_a: &'static str,
    pub(super) scan_all_result_i: u8,
    pub(super) start_time: String,
    pub(super) total_avs: usize,
    pub(super) total_time: i64,
}

/// The batch as it stands, with a page of its files.
pub fn of_batch(state: &BatchState, page: Vec<BatchEntry>, first: usize, page_size: usize) -> BatchResult {
    BatchResult {
        batch_files: BatchFiles { batch_count: state.files, files_in_batch: page.into_iter().map(entry).collect(), first_index: first, page_size },
        batch_id: state.batch.id.clone(),
        is_closed: state.closed,
        process_info: process(state),
        scan_results: scan(state),
        user_data: state.batch.user_data.clone(),
    }
}

pub(super) fn process(state: &BatchState) -> BatchProcess {
    let code = state.code();
    BatchProcess {
        blocked_reason: code.map_or("", reason),
        file_type_skipped_scan: false,
        profile: state.batch.rule.clone(),
        result: code.map_or(PROCESSING, result),
        user_agent: state.batch.user_agent.clone(),
        username: state.batch.owner.as_ref().map(|owner| owner.username.clone()).unwrap_or_default(),
    }
}

pub(super) fn scan(state: &BatchState) -> BatchScan {
    let code = state.code();
    BatchScan {
        batch_id: state.batch.id.clone(),
        scan_all_result_a: code.map_or(IN_PROGRESS_TEXT, Code::text),
        scan_all_result_i: code.map_or(IN_PROGRESS, Code::value),
        start_time: iso(state.batch.created_at),
        total_avs: planned_engines(),
        total_time: if code.is_some() { i64::try_from(state.tally.total_ms).unwrap_or(i64::MAX) } else { -1 },
    }
}

/// Same words as `scan_all_result_a`; empty when allowed.
pub(super) const fn reason(code: Code) -> &'static str {
    if code.is_blocked() { code.text() } else { "" }
}

pub(super) const fn result(code: Code) -> &'static str {
    if code.is_blocked() { "Blocked" } else { "Allowed" }
}

fn entry(entry: BatchEntry) -> Child {
    let (file, unknown) = (entry.file, FileType::default());
    match entry.end {
        Some(end) => Child {
            data_id: file.data_id,
            detected_by: end.detected_by,
            display_name: file.name,
            file_size: end.size,
            file_type: end.mime,
            file_type_description: end.description,
            process_info: ChildProcess {
                blocked_reason: reason(end.code).to_owned(),
                progress_percentage: 100,
                result: result(end.code),
                verdicts: end.all.iter().map(|code| code.text().to_owned()).collect(),
            },
            progress_percentage: 100,
            scan_all_result_a: end.code.text(),
            scan_all_result_i: end.code.value(),
            scanned_with: end.scanned_with,
        },
        None => Child {
            data_id: file.data_id,
            detected_by: 0,
            display_name: file.name,
            file_size: file.size,
            file_type: unknown.mime,
            file_type_description: unknown.description,
            process_info: ChildProcess { blocked_reason: String::new(), progress_percentage: 0, result: PROCESSING, verdicts: Vec::new() },
            progress_percentage: 0,
            scan_all_result_a: IN_PROGRESS_TEXT,
            scan_all_result_i: IN_PROGRESS,
            scanned_with: 0,
        },
    }
}
