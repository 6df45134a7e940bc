//! From the server's JSON to allowed, blocked or doubt. Only fields of the contract's first shape (§2, §8.15) are needed.
//!
//! What always holds: allowed is said only of a result that has ended, is about the id and the content that were asked
//! for, and does not contradict itself.

use serde::Serialize;
use serde_json::Value;

/// What was decided about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The server let it through.
    Allowed,
    /// The server did not.
    Blocked,
    /// Nobody knows.
    Failed,
}

/// Codes (contract §3.1) that say nobody found the content clean: infected, failed, blocklisted, not scanned, cancelled, in progress.
const NEVER_ALLOWED: [i64; 6] = [1, 3, 8, 10, 19, 255];

/// What a result says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Not ended; per cent.
    Running(u64),
    /// The server knows no such result.
    Unknown,
    /// Ended.
    Ended(Verdict),
    /// An answer that proves nothing; why.
    Doubt(String),
}

/// What a result must be about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    /// `data_id`.
    pub(crate) id: Option<&'a str>,
    /// Name in `file_info` and value of a digest.
    pub(crate) digest: Option<(&'a str, &'a str)>,
}

/// Reads a result; `asked` is the id or hash as it was asked for.
pub(crate) fn judge(result: &Value, asked: &str, about: About<'_>) -> Judged {
    if result.get(asked).is_some_and(|said| said.as_str().is_some_and(|said| said.eq_ignore_ascii_case("not found"))) {
        return Judged::Unknown;
    }
    let text = |pointer: &str| result.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_i64);
    let doubt = |why: &str| Judged::Doubt(why.to_owned());
    let (Some(process), Some(said)) = (number("/process_info/progress_percentage"), text("/process_info/result")) else {
        return doubt("The server's answer is no scan result.");
    };
    if about.id.is_some_and(|id| text("/data_id") != Some(id)) {
        return doubt("The server's answer is about another scan.");
    }
    let scan = number("/scan_results/progress_percentage").unwrap_or(process);
    if process < 100 || scan < 100 || said == "Processing" {
        return Judged::Running(u64::try_from(process.min(scan)).unwrap_or_default().min(99));
    }
    let Some(code) = number("/scan_results/scan_all_result_i") else { return doubt("The server's result has no code.") };
    match said {
        "Blocked" => Judged::Ended(Verdict::Blocked),
        "Allowed" if NEVER_ALLOWED.contains(&code) => Judged::Doubt(format!("The server's result contradicts itself: `Allowed` with code {code}.")),
        "Allowed" => match about.digest {
            Some((name, digest)) if !result["file_info"][name].as_str().is_some_and(|told| told.eq_ignore_ascii_case(digest)) => {
                Judged::Doubt(format!("The server's result is not about this content: its `{name}` is another, or missing."))
            }
            _ => Judged::Ended(Verdict::Allowed),
        },
        other => Judged::Doubt(format!("The server's result is `{}`, neither allowed nor blocked.", crate::printable(other))),
    }
}

/// The verdict of a batch, of its own object (contract §2.9).
pub(crate) fn judge_batch(batch: &Value, id: &str) -> Judged {
    let text = |pointer: &str| batch.pointer(pointer).and_then(Value::as_str);
    if text("/batch_id") != Some(id) {
        return Judged::Doubt("The server's answer is about another batch.".into());
    }
    let code = batch.pointer("/scan_results/scan_all_result_i").and_then(Value::as_i64);
    let files = batch.pointer("/batch_files/batch_count").and_then(Value::as_u64).unwrap_or_default();
    match (text("/process_info/result"), code) {
        (Some("Processing"), _) | (_, Some(255)) => Judged::Running(0),
        (Some("Blocked"), _) => Judged::Ended(Verdict::Blocked),
        (Some("Allowed"), Some(code)) if !NEVER_ALLOWED.contains(&code) && files > 0 => Judged::Ended(Verdict::Allowed),
        _ => Judged::Doubt("The server's answer proves nothing about this batch.".into()),
    }
}

/// The contract's texts about a result: reasons, newest servers' first; then engines' findings.
pub(crate) fn findings(result: &Value) -> (Vec<String>, Vec<String>) {
    let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(|text| Some(crate::printable(text.as_str()?))).collect::<Vec<_>>();
    let process = &result["process_info"];
    let mut reasons = texts(&process["blocked_reasons"]);
    if reasons.is_empty() {
        reasons.extend(process["blocked_reason"].as_str().filter(|text| !text.is_empty()).map(crate::printable));
    }
    let engines = result["scan_results"]["scan_details"].as_object().into_iter().flatten();
    let threats = engines.filter_map(|(engine, told)| {
        let found = told["threat_found"].as_str().filter(|text| !text.is_empty())?;
        Some(crate::printable(&format!("{engine}: {found}")))
    });
    (reasons, threats.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(progress: u64, said: &str, code: i64) -> Value {
        json!({
            "data_id": "id", "file_info": { "sha256": "AB" },
            "process_info": { "progress_percentage": progress, "result": said, "blocked_reason": "" },
            "scan_results": { "progress_percentage": progress, "scan_all_result_i": code, "scan_details": {} },
        })
    }

    const ABOUT: About<'_> = About { id: Some("id"), digest: Some(("sha256", "ab")) };

    fn judged(result: &Value) -> Judged {
        judge(result, "id", ABOUT)
    }

    #[test]
    fn allowed_needs_an_end_the_id_the_content_and_no_contradiction() {
        assert_eq!(judged(&result(100, "Allowed", 0)), Judged::Ended(Verdict::Allowed));
        // A rule may tolerate what it reports.
        assert_eq!(judged(&result(100, "Allowed", 17)), Judged::Ended(Verdict::Allowed));
        for code in NEVER_ALLOWED {
            assert!(matches!(judged(&result(100, "Allowed", code)), Judged::Doubt(_)), "{code}");
        }
        let mut other = result(100, "Allowed", 0);
        other["data_id"] = json!("another");
        assert!(matches!(judged(&other), Judged::Doubt(_)));
        for sha in [json!("cd"), json!(""), json!(null)] {
            let mut other = result(100, "Allowed", 0);
            other["file_info"]["sha256"] = sha;
            assert!(matches!(judged(&other), Judged::Doubt(_)));
        }
        let mut half = result(100, "Allowed", 0);
        half["scan_results"]["progress_percentage"] = json!(40);
        assert_eq!(judged(&half), Judged::Running(40));
        let mut codeless = result(100, "Allowed", 0);
        codeless["scan_results"].as_object_mut().unwrap().remove("scan_all_result_i");
        assert!(matches!(judged(&codeless), Judged::Doubt(_)));
    }

    #[test]
    fn everything_else_is_running_blocked_unknown_or_doubt() {
        assert_eq!(judged(&result(40, "Processing", 255)), Judged::Running(40));
        assert_eq!(judged(&result(40, "Allowed", 0)), Judged::Running(40));
        assert_eq!(judged(&result(100, "Processing", 0)), Judged::Running(99));
        assert_eq!(judged(&result(100, "Blocked", 1)), Judged::Ended(Verdict::Blocked));
        assert_eq!(judged(&json!({ "id": "Not Found" })), Judged::Unknown);
        for foreign in [json!({}), json!([]), json!("Allowed"), json!({ "err": "x" }), result(100, "allowed", 0), result(100, "", 0)] {
            assert!(matches!(judged(&foreign), Judged::Doubt(_)), "{foreign}");
        }
    }

    #[test]
    fn an_empty_batch_is_never_allowed() {
        let batch = |said: &str, code: i64, files: u64| json!({ "batch_id": "b", "process_info": { "result": said }, "scan_results": { "scan_all_result_i": code }, "batch_files": { "batch_count": files } });
        assert_eq!(judge_batch(&batch("Allowed", 0, 2), "b"), Judged::Ended(Verdict::Allowed));
        assert_eq!(judge_batch(&batch("Blocked", 1, 2), "b"), Judged::Ended(Verdict::Blocked));
        assert_eq!(judge_batch(&batch("Processing", 255, 2), "b"), Judged::Running(0));
        for doubt in [batch("Allowed", 0, 0), batch("Allowed", 1, 2), batch("", 0, 1), json!({})] {
            assert!(matches!(judge_batch(&doubt, "b"), Judged::Doubt(_)), "{doubt}");
        }
        assert!(matches!(judge_batch(&batch("Allowed", 0, 2), "c"), Judged::Doubt(_)));
    }

    #[test]
    fn the_oldest_shape_has_one_reason_and_texts_can_not_move_the_cursor() {
        let mut old = result(100, "Blocked", 1);
        old["process_info"]["blocked_reason"] = json!("Infected");
        old["scan_results"]["scan_details"] = json!({ "ClamAV": { "threat_found": "E\u{1b}[2Jvil" }, "B": { "threat_found": "" } });
        assert_eq!(findings(&old), (vec!["Infected".to_owned()], vec!["ClamAV: E\\u{1b}[2Jvil".to_owned()]));
        old["process_info"]["blocked_reasons"] = json!(["Infected", "Yara Rule Matched"]);
        assert_eq!(findings(&old).0.len(), 2);
    }
}
