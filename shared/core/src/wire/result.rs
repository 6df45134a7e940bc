//! The analysis result (contract §2). What always holds: every field of §8.15 is present from the first
//! poll to the last, no field is null, numbers are integers, and both progress fields reach 100 together
//! with the verdict.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::iso;
use crate::domain::engine::{CATALOGUE, YARA_X};
use crate::domain::id::DataId;
use crate::domain::name::display;
use crate::domain::report::{EngineReport, FileReport};
use crate::domain::submission::{Outcome, Record, State, Submission};
use crate::domain::verdict::{Code, IN_PROGRESS, IN_PROGRESS_TEXT, Verdict};

/// `process_info.result` while a scan runs.
pub(super) const PROCESSING: &str = "Processing";
/// Progress of a submission whose object was not seen yet.
const PROGRESS_WAITING: u8 = 0;
/// Progress while a worker holds the file.
const PROGRESS_RUNNING: u8 = 40;

/// The result object.
#[derive(Clone, Debug, Serialize)]
pub struct AnalysisResult {
    data_id: DataId,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_info: Option<DownloadInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extracted_files: Option<ExtractedFiles>,
    file_info: FileInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    /// Of what came out of an archive: the submission it was part of (ours).
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_data_id: Option<DataId>,
    process_info: ProcessInfo,
    scan_results: ScanResults,
    #[serde(skip_serializing_if = "Option::is_none")]
    yara: Option<Yara>,
}

/// Of a `downloadfrom` (contract §2.1).
#[derive(Clone, Debug, Serialize)]
struct DownloadInfo {
    error_detail: String,
    progress: u8,
    status: &'static str,
    url: String,
}

#[derive(Clone, Debug, Serialize)]
struct FileInfo {
    display_name: String,
    file_size: u64,
    file_type: String,
    file_type_description: String,
    md5: String,
    sha1: String,
    sha256: String,
    sha512: String,
    type_category: Vec<String>,
    upload_timestamp: String,
}

#[derive(Clone, Debug, Serialize)]
struct ProcessInfo {
    blocked_reason: String,
    blocked_reasons: Vec<String>,
    file_type_skipped_scan: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outdated_data: Vec<&'static str>,
    post_processing: PostProcessing,
    processing_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    processing_time_details: Option<BTreeMap<&'static str, u64>>,
    profile: String,
    progress_percentage: u8,
    queue_time: u64,
    result: &'static str,
    user_agent: String,
    username: String,
    verdicts: Vec<String>,
}

/// All five strings exist always (contract §2.4).
#[derive(Clone, Debug, Default, Serialize)]
struct PostProcessing {
    actions_failed: String,
    actions_ran: String,
    converted_destination: String,
    converted_to: String,
    copy_move_destination: String,
}

#[derive(Clone, Debug, Serialize)]
struct ScanResults {
    data_id: DataId,
    progress_percentage: u8,
    scan_all_result_a: &'static str,
    scan_all_result_i: u8,
    scan_details: BTreeMap<String, ScanDetail>,
    start_time: String,
    total_avs: usize,
    total_detected_avs: usize,
    total_time: i64,
}

#[derive(Clone, Debug, Serialize)]
struct ScanDetail {
    def_time: String,
    eng_id: String,
    location: &'static str,
    scan_result_i: u8,
    scan_time: u64,
    threat_found: String,
    wait_time: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Yara {
    hits: Map<String, Value>,
    verdict: u8,
}

/// A page of an archive's children (contract §2.6).
#[derive(Clone, Debug, Serialize)]
pub struct ExtractedFiles {
    files_extracted_count: u32,
    files_in_archive: Vec<Child>,
    first_index: usize,
    page_size: usize,
    worst_data_id: String,
}

/// An entry of a listing: of an archive, or of a batch.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Child {
    pub(super) data_id: DataId,
    pub(super) detected_by: usize,
    pub(super) display_name: String,
    pub(super) file_size: u64,
    pub(super) file_type: String,
    pub(super) file_type_description: String,
    pub(super) process_info: ChildProcess,
    pub(super) progress_percentage: u8,
    pub(super) scan_all_result_a: &'static str,
    pub(super) scan_all_result_i: u8,
    pub(super) scanned_with: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ChildProcess {
    pub(super) blocked_reason: String,
    pub(super) progress_percentage: u8,
    pub(super) result: &'static str,
    pub(super) verdicts: Vec<String>,
}

/// Engines that have rows in `scan_details`: what a running scan is planned with.
pub(super) fn planned_engines() -> usize {
    CATALOGUE.iter().filter(|engine| engine.kind == "av" && !engine.is_optional()).count()
}

impl AnalysisResult {
    /// Adds what of the verdict's basis is no longer in force, see [`super::outdated`].
    #[must_use]
    pub fn outdated(mut self, outdated: Vec<&'static str>) -> Self {
        self.process_info.outdated_data = outdated;
        self
    }
}

/// The result of a submission as it stands.
pub fn of_record(record: &Record, children: Option<ExtractedFiles>) -> AnalysisResult {
    match &record.outcome {
        Some(outcome) => AnalysisResult {
            download_info: download_info(record),
            ..finished(&record.submission, &record.submission.id, outcome, &outcome.report, children)
        },
        None => running(record),
    }
}

/// The result of a child of a finished archive.
pub fn of_child(record: &Record, outcome: &Outcome, id: &DataId, child: &FileReport) -> AnalysisResult {
    AnalysisResult { parent_data_id: Some(record.submission.id.clone()), ..finished(&record.submission, id, outcome, child, None) }
}

/// The listing of a finished archive. `None` when nothing was opened.
pub fn listing(record: &Record, page: Vec<(u32, FileReport)>, first: usize, page_size: usize) -> Option<ExtractedFiles> {
    let outcome = record.outcome.as_ref().filter(|outcome| outcome.report.is_archive)?;
    let id = &record.submission.id;
    Some(ExtractedFiles {
        files_extracted_count: outcome.child_count,
        files_in_archive: page.into_iter().map(|(number, report)| child(id.child(number), &report)).collect(),
        first_index: first,
        page_size,
        worst_data_id: if outcome.worst_child == 0 { String::new() } else { id.child(outcome.worst_child).to_string() },
    })
}

fn running(record: &Record) -> AnalysisResult {
    let submission = &record.submission;
    let progress = if record.state == State::Uploading { PROGRESS_WAITING } else { PROGRESS_RUNNING };
    AnalysisResult {
        data_id: submission.id.clone(),
        download_info: download_info(record),
        extracted_files: None,
        file_info: FileInfo {
            display_name: display(&submission.name),
            file_size: record.object.as_ref().map_or(submission.size, |object| object.size),
            file_type: "application/octet-stream".into(),
            file_type_description: "data".into(),
            md5: String::new(),
            sha1: String::new(),
            sha256: String::new(),
            sha512: String::new(),
            type_category: Vec::new(),
            upload_timestamp: iso(submission.created_at),
        },
        metadata: submission.metadata.clone(),
        parent_data_id: None,
        process_info: ProcessInfo {
            blocked_reason: String::new(),
            blocked_reasons: Vec::new(),
            file_type_skipped_scan: false,
            outdated_data: Vec::new(),
            post_processing: PostProcessing::default(),
            processing_time: 0,
            processing_time_details: None,
            profile: submission.rule.clone(),
            progress_percentage: progress,
            queue_time: record.started_at.map_or(0, |at| millis(at - submission.created_at)),
            result: PROCESSING,
            user_agent: submission.user_agent.clone(),
            username: username(submission),
            verdicts: Vec::new(),
        },
        scan_results: ScanResults {
            data_id: submission.id.clone(),
            progress_percentage: progress,
            scan_all_result_a: IN_PROGRESS_TEXT,
            scan_all_result_i: IN_PROGRESS,
            scan_details: BTreeMap::new(),
            start_time: iso(record.started_at.unwrap_or(submission.created_at)),
            total_avs: planned_engines(),
            total_detected_avs: 0,
            total_time: -1,
        },
        yara: None,
    }
}

fn finished(submission: &Submission, id: &DataId, outcome: &Outcome, report: &FileReport, children: Option<ExtractedFiles>) -> AnalysisResult {
    let verdict = &report.verdict;
    AnalysisResult {
        data_id: id.clone(),
        download_info: None,
        extracted_files: children,
        file_info: FileInfo {
            display_name: display(&report.name),
            file_size: report.size,
            file_type: report.file_type.mime.clone(),
            file_type_description: report.file_type.description.clone(),
            md5: report.digests.md5.clone(),
            sha1: report.digests.sha1.clone(),
            sha256: report.digests.sha256.clone(),
            sha512: report.digests.sha512.clone(),
            type_category: Some(report.file_type.category.clone()).filter(|c| !c.is_empty()).into_iter().collect(),
            upload_timestamp: iso(submission.created_at),
        },
        metadata: submission.metadata.clone(),
        parent_data_id: None,
        process_info: ProcessInfo {
            blocked_reason: blocked_reason(verdict),
            blocked_reasons: blocked_reasons(verdict),
            file_type_skipped_scan: report.type_skipped,
            outdated_data: Vec::new(),
            post_processing: PostProcessing::default(),
            processing_time: millis(outcome.finished_at - outcome.started_at),
            processing_time_details: Some(BTreeMap::from([
                ("av_scan_time", report.timing.engines_ms),
                ("extraction_time", report.timing.extraction_ms),
                ("filetype_time", report.timing.filetype_ms),
                ("others_time", report.timing.hash_ms),
            ])),
            profile: submission.rule.clone(),
            progress_percentage: 100,
            queue_time: millis(outcome.started_at - submission.created_at),
            result: verdict.result(),
            user_agent: submission.user_agent.clone(),
            username: username(submission),
            verdicts: texts(verdict),
        },
        scan_results: ScanResults {
            data_id: id.clone(),
            progress_percentage: 100,
            scan_all_result_a: verdict.code.text(),
            scan_all_result_i: verdict.code.value(),
            scan_details: report.engines.iter().map(detail).collect(),
            start_time: iso(outcome.started_at),
            // Clients divide by it: an allow-listed or failed file still shows the planned engines (contract §9 U16).
            total_avs: if report.engines.is_empty() { planned_engines() } else { report.engines.len() },
            total_detected_avs: report.detected_by(),
            total_time: i64::try_from(report.timing.total_ms).unwrap_or(i64::MAX),
        },
        yara: Some(yara(report)),
    }
}

/// How far the download of a submission is; `None` for one that is none.
fn download_info(record: &Record) -> Option<DownloadInfo> {
    let url = record.submission.wishes.download_url.clone()?;
    let fetched = record.fetched.clone().unwrap_or_default();
    let (status, progress) = match (&record.object, &record.outcome) {
        (Some(_), _) => ("Downloaded", 100),
        (None, Some(_)) => ("Failed", part(fetched.bytes, record.submission.size)),
        (None, None) => ("Downloading", part(fetched.bytes, record.submission.size)),
    };
    Some(DownloadInfo { error_detail: fetched.error, progress, status, url })
}

/// Whole percent of what was announced; 100 only for what is whole.
fn part(bytes: u64, of: u64) -> u8 {
    u8::try_from((u128::from(bytes) * 100).checked_div(of.into()).unwrap_or_default().min(99)).unwrap_or_default()
}

fn detail(engine: &EngineReport) -> (String, ScanDetail) {
    let row = ScanDetail {
        def_time: engine.def_time.clone(),
        eng_id: engine.id.clone(),
        location: "local",
        scan_result_i: engine.code.value(),
        scan_time: engine.scan_ms,
        threat_found: engine.threat.clone(),
        wait_time: engine.wait_ms,
    };
    (engine.name.clone(), row)
}

/// What the rules said (contract §2.7): 0 clean, 1 matches, 3 failed, 4 not looked at.
fn yara(report: &FileReport) -> Yara {
    let verdict = match report.engines.iter().find(|row| row.id == YARA_X.id).map(|row| row.code) {
        _ if !report.yara.is_empty() => 1,
        Some(Code::Failed) => 3,
        None | Some(Code::NotScanned) => 4,
        Some(_) => 0,
    };
    Yara { hits: report.yara.iter().map(|hit| (hit.rule.clone(), json!({ "description": hit.description }))).collect(), verdict }
}

fn child(id: DataId, report: &FileReport) -> Child {
    let verdict = &report.verdict;
    Child {
        data_id: id,
        detected_by: report.detected_by(),
        display_name: display(&report.name),
        file_size: report.size,
        file_type: report.file_type.mime.clone(),
        file_type_description: report.file_type.description.clone(),
        process_info: ChildProcess {
            blocked_reason: blocked_reason(verdict),
            progress_percentage: 100,
            result: verdict.result(),
            verdicts: texts(verdict),
        },
        progress_percentage: 100,
        scan_all_result_a: verdict.code.text(),
        scan_all_result_i: verdict.code.value(),
        scanned_with: report.engines.len(),
    }
}

fn texts(verdict: &Verdict) -> Vec<String> {
    verdict.all.iter().map(|code| code.text().to_owned()).collect()
}

/// Same words as `scan_all_result_a`; empty when allowed.
fn blocked_reason(verdict: &Verdict) -> String {
    if verdict.code.is_blocked() { verdict.code.text().to_owned() } else { String::new() }
}

/// All blocking findings; a failure or limit adds the sentence that says which.
fn blocked_reasons(verdict: &Verdict) -> Vec<String> {
    if !verdict.code.is_blocked() {
        return Vec::new();
    }
    let mut reasons: Vec<String> = verdict.all.iter().copied().filter(|code| code.is_blocked()).map(Code::text).map(str::to_owned).collect();
    if !verdict.detail.is_empty() {
        reasons.push(verdict.detail.clone());
    }
    reasons
}

fn username(submission: &Submission) -> String {
    submission.owner.as_ref().map(|owner| owner.username.clone()).unwrap_or_default()
}

fn millis(difference: i64) -> u64 {
    u64::try_from(difference).unwrap_or_default()
}

/// The answer for an unknown id or hash: HTTP 200, keyed by what was asked for (contract §0.2).
pub fn not_found(asked: &str) -> Value {
    Value::Object(Map::from_iter([(asked.to_owned(), Value::String("Not Found".to_owned()))]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::YaraHit;
    use crate::domain::submission::{Basis, Source, Wishes};

    fn record(outcome: Option<Outcome>) -> Record {
        Record {
            submission: Submission {
                id: DataId::parse("0123456789abcdef0123456789abcdef").unwrap(),
                name: "a.txt".into(),
                rule: "File process".into(),
                user_agent: String::new(),
                owner: None,
                metadata: None,
                source: Source::Api,
                bucket: "b".into(),
                key: "k".into(),
                created_at: 1000,
                deadline_at: 2000,
                size: 3,
                wishes: Wishes::default(),
            },
            state: if outcome.is_some() { State::Done } else { State::Processing },
            attempts: 1,
            started_at: Some(1200),
            object: None,
            fetched: None,
            outcome,
        }
    }

    fn outcome(codes: &[Code]) -> Outcome {
        Outcome {
            report: FileReport::unscanned("a.txt", 3, Verdict::decide(codes, &[])),
            child_count: 0,
            worst_child: 0,
            started_at: 1200,
            finished_at: 1500,
            basis: Basis::default(),
            revision: None,
        }
    }

    /// Contract §8.15, checked on the JSON itself.
    fn assert_minimum(value: &Value) {
        let text = |pointer: &str| assert!(value.pointer(pointer).is_some_and(Value::is_string), "{pointer} in {value}");
        let number = |pointer: &str| assert!(value.pointer(pointer).is_some_and(|v| v.is_i64() || v.is_u64()), "{pointer} in {value}");
        for name in ["display_name", "file_type", "file_type_description", "md5", "sha1", "sha256", "upload_timestamp"] {
            text(&format!("/file_info/{name}"));
        }
        number("/file_info/file_size");
        for name in ["progress_percentage", "queue_time", "processing_time"] {
            number(&format!("/process_info/{name}"));
        }
        for name in ["result", "blocked_reason", "profile", "user_agent"] {
            text(&format!("/process_info/{name}"));
        }
        assert!(value["process_info"]["file_type_skipped_scan"].is_boolean());
        for name in ["actions_failed", "actions_ran", "converted_destination", "converted_to", "copy_move_destination"] {
            text(&format!("/process_info/post_processing/{name}"));
        }
        for name in ["progress_percentage", "scan_all_result_i", "total_avs", "total_time"] {
            number(&format!("/scan_results/{name}"));
        }
        for name in ["data_id", "scan_all_result_a", "start_time"] {
            text(&format!("/scan_results/{name}"));
        }
        assert!(value["scan_results"]["total_avs"].as_u64() >= Some(1));
        assert!(value["scan_results"]["scan_details"].is_object());
        assert!(!value.to_string().contains("null"), "{value}");
    }

    #[test]
    fn every_state_has_the_whole_shape() {
        for record in [record(None), record(Some(outcome(&[Code::NoThreatDetected]))), record(Some(outcome(&[])))] {
            assert_minimum(&serde_json::to_value(of_record(&record, None)).unwrap());
        }
    }

    #[test]
    fn a_running_scan_can_be_found_by_text_search() {
        let text = serde_json::to_string(&of_record(&record(None), None)).unwrap();
        assert!(text.contains(r#""result":"Processing""#));
        assert!(text.contains(r#""scan_all_result_i":255"#));
    }

    #[test]
    fn progress_is_100_in_both_places_with_the_verdict_only() {
        let done = serde_json::to_value(of_record(&record(Some(outcome(&[Code::Infected]))), None)).unwrap();
        assert_eq!(done["process_info"]["progress_percentage"], 100);
        assert_eq!(done["scan_results"]["progress_percentage"], 100);
        assert_eq!(done["process_info"]["blocked_reason"], "Infected");
        let running = serde_json::to_value(of_record(&record(None), None)).unwrap();
        assert_eq!(running["process_info"]["progress_percentage"], running["scan_results"]["progress_percentage"]);
        assert!(running["process_info"]["progress_percentage"].as_u64() < Some(100));
    }

    #[test]
    fn the_rules_verdict_tells_whether_they_looked() {
        let verdict = |row: Option<Code>, hits: &[&str]| {
            let mut done = outcome(&[]);
            done.report.engines.extend(row.map(|code| EngineReport {
                name: YARA_X.name.into(),
                id: YARA_X.id.into(),
                code,
                threat: String::new(),
                def_time: String::new(),
                scan_ms: 0,
                wait_ms: 0,
            }));
            done.report.yara = hits.iter().map(|rule| YaraHit { rule: (*rule).into(), description: String::new() }).collect();
            yara(&done.report).verdict
        };
        assert_eq!(verdict(None, &[]), 4);
        assert_eq!(verdict(Some(Code::NotScanned), &[]), 4);
        assert_eq!(verdict(Some(Code::Failed), &[]), 3);
        assert_eq!(verdict(Some(Code::NoThreatDetected), &[]), 0);
        assert_eq!(verdict(Some(Code::NoThreatDetected), &["rule"]), 1);
        assert_eq!(verdict(Some(Code::Infected), &["rule"]), 1);
    }

    #[test]
    fn not_found_echoes_what_was_asked() {
        assert_eq!(not_found("ABC").to_string(), r#"{"ABC":"Not Found"}"#);
    }
}
