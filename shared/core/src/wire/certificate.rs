//! The first document of a batch's signed report, in YAML (contract §2.10): what is signed.
//!
//! What always holds: text from outside stands in double quotes, in printable ASCII, so that no name can end its line or
//! be read as anything but text; the document ends with the line `...`, and that line stands nowhere else.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::batch::{process, reason, result, scan};
use crate::domain::batch::{BatchEntry, BatchState};

/// What stays as it is in a name (RFC 3986, unreserved).
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The document while it is written, file by file: a batch may have more of them than a page.
#[derive(Debug)]
pub struct Document {
    text: String,
    rest: String,
    files: u32,
}

impl Document {
    /// Of a batch that is closed and finished. `fingerprint`: SHA-1 of the certificate in DER, hex.
    pub fn of(state: &BatchState, fingerprint: &str) -> Self {
        let (process, scan) = (process(state), scan(state));
        let text = format!(
            "---\nbatch_id: {}\nuser_data: {}\ncert_sha1_fingerprint: {}\nbatch_files:\n  batch_count: {}\n  files_in_batch:{}\n",
            quoted(state.batch.id.as_str()),
            quoted(&state.batch.user_data),
            quoted(fingerprint),
            state.files,
            if state.files == 0 { " []" } else { "" },
        );
        let rest = format!(
            "process_info:\n  blocked_reason: {}\n  file_type_skipped_scan: {}\n  profile: {}\n  result: {}\n  user_agent: {}\n\
             scan_results:\n  scan_all_result_a: {}\n  scan_all_result_i: {}\n  start_time: {}\n  total_avs: {}\n  total_time: {}\n...\n",
            quoted(process.blocked_reason),
            process.file_type_skipped_scan,
            quoted(&process.profile),
            quoted(process.result),
            quoted(&process.user_agent),
            quoted(scan.scan_all_result_a),
            scan.scan_all_result_i,
            quoted(&scan.start_time),
            scan.total_avs,
            scan.total_time,
        );
        Self { text, rest, files: 0 }
    }

    /// Adds a file. `false` when it has not ended: of such a batch nothing can be said.
    #[must_use]
    pub fn file(&mut self, entry: &BatchEntry) -> bool {
        let Some(end) = &entry.end else { return false };
        self.files += 1;
        // Writing to a String never fails.
        let _ = write!(
            self.text,
            "    - data_id: {}\n      display_name: {}\n      file_size: {}\n      process_info:\n        blocked_reason: {}\n        result: {}\n      scan_all_result_i: {}\n      sha256: {}\n",
            quoted(entry.file.data_id.as_str()),
            quoted(&utf8_percent_encode(&entry.file.name, NAME).to_string()),
            end.size,
            quoted(reason(end.code)),
            quoted(result(end.code)),
            end.code.value(),
            quoted(&end.sha256),
        );
        true
    }

    /// The whole document, from `---` to `...`, each line ended by LF; and how many files it lists.
    pub fn end(self) -> (String, u32) {
        (self.text + &self.rest, self.files)
    }
}

/// A double-quoted scalar (YAML 1.2, 5.7 and 7.3.1): printable ASCII as it is, everything else escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let number = u32::from(c);
        let _ = match number {
            0x22 | 0x5c => write!(quoted, "\\{c}"),
            0x20..=0x7e => write!(quoted, "{c}"),
            0..=0xff => write!(quoted, "\\x{number:02x}"),
            0x100..=0xffff => write!(quoted, "\\u{number:04x}"),
            _ => write!(quoted, "\\U{number:08x}"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_text_ends_its_quotes_or_its_line() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted("\n...\n---\u{85}\u{2028}\u{1f600}é"), r#""\x0a...\x0a---\x85\u2028\U0001f600\xe9""#);
    }
}
