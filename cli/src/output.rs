//! What people and programs see. Names and texts from outside are made printable: they shall not move the cursor.

use std::io::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Format;
use crate::error::Error;
use crate::judge::{Verdict, findings};
use crate::submit::Ended;
use crate::{ALLOWED, BLOCKED, DOUBT};

/// One file's row. Its JSON is described by `cli/report.schema.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// As it was named here.
    pub(crate) path: String,
    pub(crate) verdict: Verdict,
    /// The contract's code (§3.1) and its text.
    pub(crate) code: Option<i64>,
    pub(crate) text: Option<String>,
    pub(crate) reasons: Vec<String>,
    /// `engine: threat`.
    pub(crate) threats: Vec<String>,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
    pub(crate) data_id: Option<String>,
    /// Why there is no verdict.
    pub(crate) error: Option<String>,
    /// The server's whole result, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
}

impl Report {
    /// Nobody knows, and why.
    pub(crate) fn failed(path: &str, error: &Error) -> Self {
        Self {
            path: path.to_owned(),
            verdict: Verdict::Failed,
            code: None,
            text: None,
            reasons: vec![],
            threats: vec![],
            size: None,
            sha256: None,
            data_id: None,
            error: Some(error.to_string()),
            result: None,
        }
    }

    /// The server's result.
    pub(crate) fn of(path: &str, ended: Ended, full: bool) -> Self {
        let result = ended.result;
        let (reasons, threats) = findings(&result);
        let text = |pointer: &str| result.pointer(pointer).and_then(Value::as_str).map(printable);
        Self {
            path: path.to_owned(),
            verdict: ended.verdict,
            code: result.pointer("/scan_results/scan_all_result_i").and_then(Value::as_i64),
            text: text("/scan_results/scan_all_result_a"),
            reasons,
            threats,
            size: result.pointer("/file_info/file_size").and_then(Value::as_u64),
            sha256: text("/file_info/sha256"),
            data_id: text("/data_id"),
            error: None,
            result: full.then_some(result),
        }
    }

    /// One line for people.
    pub(crate) fn row(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Blocked => "BLOCKED",
            Verdict::Failed => "FAILED",
        };
        let what = self.error.clone().or_else(|| self.text.clone()).unwrap_or_default();
        let more: Vec<&str> = self.threats.iter().chain(self.reasons.iter().filter(|reason| **reason != what)).map(String::as_str).collect();
        let more = if more.is_empty() || self.verdict == Verdict::Allowed { String::new() } else { format!(" ({})", more.join("; ")) };
        format!("{verdict:8} {}  {what}{more}", printable(&self.path))
    }
}

/// Text without control characters and without those that turn the direction of others.
pub fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().flat_map(|c| if c.is_control() || turns(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Writes to standard output. A reader that has gone away must not look like success.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Error::Said(format!("The output could not be written: {error}.")))
}

/// The worst of them: any doubt, else anything blocked.
pub(crate) fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::Failed)
}

/// A verdict's exit code.
pub(crate) fn exit(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allowed => ALLOWED,
        Verdict::Blocked => BLOCKED,
        Verdict::Failed => DOUBT,
    }
}

/// Prints all and gives the exit code.
pub(crate) fn show(reports: &[Report], skipped: &[(String, &'static str)], format: Format) -> Result<u8, Error> {
    let verdict = worst(reports.iter().map(|report| report.verdict));
    let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
    let (allowed, blocked, failed) = (count(Verdict::Allowed), count(Verdict::Blocked), count(Verdict::Failed));
    match format {
        Format::Json => {
            let left_out: Vec<Value> = skipped.iter().map(|(path, why)| json!({ "path": path, "reason": why })).collect();
            let totals = json!({ "files": reports.len(), "allowed": allowed, "blocked": blocked, "failed": failed, "skipped": skipped.len() });
            let all = json!({ "verdict": verdict, "totals": totals, "files": reports, "skipped": left_out });
            print(&all.to_string())?;
        }
        Format::Table => {
            let mut lines: Vec<String> = reports.iter().map(Report::row).collect();
            lines.extend(skipped.iter().map(|(path, why)| format!("skipped  {}  {why}", printable(path))));
            if reports.len() + skipped.len() > 1 {
                lines.push(format!("{allowed} allowed, {blocked} blocked, {failed} failed, {} skipped", skipped.len()));
            }
            print(&lines.join("\n"))?;
        }
    }
    Ok(exit(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_doubt_outweighs_everything_and_nothing_is_doubt() {
        use Verdict::{Allowed, Blocked, Failed};
        assert_eq!(exit(worst([Allowed, Allowed])), 0);
        assert_eq!(exit(worst([Allowed, Blocked])), 1);
        assert_eq!(exit(worst([Failed, Blocked, Allowed])), 2);
        assert_eq!(exit(worst([])), 2);
    }

    #[test]
    fn names_can_not_move_the_cursor_or_turn_the_line() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}gpj.exe"), "a\\u{1b}[2J\\n\\u{202e}gpj.exe");
        assert_eq!(printable("Grüße 文件.txt"), "Grüße 文件.txt");
        let report = Report::failed("a\rb", &Error::Said("x".into()));
        assert_eq!(report.row(), "FAILED   a\\rb  x");
    }
}
