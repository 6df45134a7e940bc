//! The one table of scan outcomes, and the one function that turns findings into a verdict.
//!
//! Everything that speaks of outcomes (wire codes, texts, S3 tags, metrics, README) is derived from
//! [`TABLE`]. What always holds: only [`Code::NoThreatDetected`] and [`Code::Allowlisted`] can let a
//! file through; every other code, and the absence of any engine result, is `Blocked`.
//!
//! Sources: contract §3.1 (codes and texts), §3.3 (result words), §3.4 (order).

use serde::{Deserialize, Serialize};

/// Where in Core's fixed order (contract §3.4) a code is decided. The first decisive step wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Cancelled, or the whole scan failed before anything could be judged.
    Process,
    /// Archive extraction and its limits.
    Extraction,
    /// File type detection.
    FileType,
    /// Allow, block and skip lists.
    Lists,
    /// YARA rules that are set to block.
    Yara,
    /// Anti-malware engines.
    Engines,
    /// Data loss prevention.
    Dlp,
    /// Nothing found.
    Clean,
}

/// One row of the outcome table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The outcome.
    pub code: Code,
    /// `scan_all_result_a`: the text clients show.
    pub text: &'static str,
    /// Where it is decided.
    pub step: Step,
    /// How bad it is, 0 = best. Orders children (worst first) and picks the worst child.
    pub severity: u8,
    /// Whether the file is held back.
    pub blocked: bool,
    /// Value of the S3 tag `portcullis:code` and of the metric dimension `Code`.
    pub tag: &'static str,
    /// What it means, for the README's table.
    pub meaning: &'static str,
}

macro_rules! outcomes {
    ($($name:ident = $value:literal, $text:literal, $step:ident, $severity:literal, $blocked:literal, $tag:literal, $meaning:literal;)*) => {
        /// A final outcome: `scan_all_result_i` (contract §3.1). 255 `In Progress` is not an outcome, see [`IN_PROGRESS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code { $(#[doc = $meaning] $name = $value,)* }

        /// The one table of outcomes.
        pub const TABLE: &[Row] = &[$(Row {
            code: Code::$name, text: $text, step: Step::$step, severity: $severity, blocked: $blocked, tag: $tag, meaning: $meaning,
        },)*];

        impl Code {
            /// The row of this code.
            pub const fn row(self) -> &'static Row {
                const ROWS: &[Row] = TABLE;
                let mut i = 0;
                while i < ROWS.len() {
                    if ROWS[i].code as u8 == self as u8 { return &ROWS[i]; }
                    i += 1;
                }
                &ROWS[0]
            }
            /// The code with this wire value, if there is one.
            pub const fn from_value(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

outcomes! {
    // The first row is the fallback of `row()`; it can not be reached, and it blocks.
    Failed = 3, "Failed", Process, 60, true, "failed", "A required step failed (engine, parser, worker or deadline); nothing is known about the file.";
    NoThreatDetected = 0, "No Threat Detected", Clean, 0, false, "clean", "Every engine of the rule looked at the whole content and found nothing.";
    Infected = 1, "Infected", Engines, 100, true, "infected", "At least one engine identified a threat.";
    Suspicious = 2, "Suspicious", Engines, 80, true, "suspicious", "At least one engine found a possible threat.";
    Allowlisted = 7, "Allowlisted", Lists, 1, false, "allowlisted", "The content's hash is on the allow list, or the rule skips files of its type.";
    Blocklisted = 8, "Blocklisted", Lists, 95, true, "blocklisted", "The content's hash is on the block list, or the rule does not let in files of its type.";
    ExceededArchiveDepth = 9, "Exceeded Archive Depth", Extraction, 70, true, "archive-depth", "Archives are nested deeper than the rule permits.";
    NotScanned = 10, "Not Scanned", Engines, 55, true, "not-scanned", "No engine looked at the content.";
    EncryptedArchive = 12, "Encrypted Archive", Extraction, 66, true, "encrypted-archive", "An archive needs a password, and none of those given fits.";
    ExceededArchiveSize = 13, "Exceeded Archive Size", Extraction, 72, true, "archive-size", "More bytes came out of an archive than the rule permits, in total or in ratio to its size.";
    ExceededArchiveFileNumber = 14, "Exceeded Archive File Number", Extraction, 71, true, "archive-files", "More entries came out of an archive than the rule permits.";
    PasswordProtectedDocument = 15, "Password Protected Document", Extraction, 64, true, "encrypted-document", "A document needs a password to be read.";
    ExceededArchiveTimeout = 16, "Exceeded Archive Timeout", Extraction, 68, true, "archive-timeout", "Extraction took longer than the rule permits.";
    FileTypeMismatch = 17, "File type Mismatch", FileType, 40, true, "type-mismatch", "The content is of another type than the file name says.";
    Vulnerable = 18, "Potentially Vulnerable File", Lists, 50, true, "vulnerable", "The file contains a component with a known vulnerability.";
    Canceled = 19, "Canceled", Process, 58, true, "canceled", "The scan was cancelled before it ended.";
    SensitiveDataFound = 20, "Sensitive data found", Dlp, 45, true, "sensitive-data", "Data loss prevention found sensitive data.";
    YaraRuleMatched = 21, "Yara Rule Matched", Yara, 90, true, "yara", "A YARA rule that is set to block matched.";
    PotentiallyUnwanted = 22, "Potentially Unwanted Program", Engines, 75, true, "unwanted", "An engine classed the file as potentially unwanted.";
    UnsupportedFileType = 23, "Unsupported file type", FileType, 42, true, "unsupported-type", "The rule does not permit files of this type.";
}

/// `scan_all_result_i` while a scan runs.
pub const IN_PROGRESS: u8 = 255;
/// `scan_all_result_a` while a scan runs.
pub const IN_PROGRESS_TEXT: &str = "In Progress";

impl Code {
    /// Wire value, `scan_all_result_i`.
    pub const fn value(self) -> u8 {
        self as u8
    }
    /// Wire text, `scan_all_result_a`.
    pub const fn text(self) -> &'static str {
        self.row().text
    }
    /// Whether this outcome holds the file back.
    pub const fn is_blocked(self) -> bool {
        self.row().blocked
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.value())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u8::deserialize(deserializer)?;
        Self::from_value(value).ok_or_else(|| serde::de::Error::custom(format!("`{value}` is no outcome code")))
    }
}

/// The verdict on one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The main outcome.
    pub code: Code,
    /// Everything that was found, main outcome first, each code once.
    pub all: Vec<Code>,
    /// More about a failure or limit in one sentence; empty when the code says it all. Not on the wire of §2, used in logs and `blocked_reasons`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Verdict {
    /// Decides from everything that was found.
    ///
    /// `outcomes` holds one code per finding: one per engine that ended (0 for an engine that found
    /// nothing), one per limit that was hit, the worst code of the children. An empty slice means
    /// nothing looked at the file and gives [`Code::NotScanned`]. A code in `tolerated` is still
    /// listed, but does not decide (rules use it for mismatches, say); codes of engines that found a
    /// threat can not be tolerated, see [`Code::is_tolerable`].
    pub fn decide(outcomes: &[Code], tolerated: &[Code]) -> Self {
        let mut all: Vec<Code> = Vec::new();
        for code in outcomes {
            if *code != Code::NoThreatDetected && !all.contains(code) {
                all.push(*code);
            }
        }
        let decides = |code: &Code| !(tolerated.contains(code) && code.is_tolerable());
        let main = if outcomes.is_empty() {
            Code::NotScanned
        } else {
            let blocking = all.iter().copied().filter(|code| code.is_blocked() && decides(code));
            // Step first, severity within a step; an allow-listed file is not blocked by what comes after.
            let worst = blocking.min_by_key(|code| (code.row().step, u8::MAX - code.row().severity));
            match worst {
                Some(code) if all.contains(&Code::Allowlisted) && code.row().step >= Step::Lists && code != Code::Blocklisted => Code::Allowlisted,
                Some(code) => code,
                None if all.contains(&Code::Allowlisted) => Code::Allowlisted,
                None if outcomes.contains(&Code::NoThreatDetected) => Code::NoThreatDetected,
                // Only tolerated findings and no engine that said "clean": nothing proves the file good.
                None => Code::NotScanned,
            }
        };
        all.retain(|code| *code != main);
        all.insert(0, main);
        Self { code: main, all, detail: String::new() }
    }

    /// The verdict of a file about which nothing can be said, with the reason.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self { code: Code::Failed, all: vec![Code::Failed], detail: detail.into() }
    }

    /// `Allowed` or `Blocked`, the words of `process_info.result`.
    pub const fn result(&self) -> &'static str {
        if self.code.is_blocked() { "Blocked" } else { "Allowed" }
    }
}

impl Code {
    /// Whether a rule may choose not to block on this code. Threats, failures and missing scans always block.
    pub const fn is_tolerable(self) -> bool {
        matches!(
            self,
            Self::FileTypeMismatch
                | Self::UnsupportedFileType
                | Self::EncryptedArchive
                | Self::PasswordProtectedDocument
                | Self::Suspicious
                | Self::PotentiallyUnwanted
                | Self::Vulnerable
                | Self::SensitiveDataFound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_and_allowlisted_let_a_file_through() {
        let open: Vec<_> = TABLE.iter().filter(|row| !row.blocked).map(|row| row.code).collect();
        assert_eq!(open, [Code::NoThreatDetected, Code::Allowlisted]);
    }

    #[test]
    fn every_code_finds_its_own_row_and_wire_value() {
        for row in TABLE {
            assert_eq!(row.code.row().text, row.text);
            assert_eq!(Code::from_value(row.code.value()), Some(row.code));
        }
        assert_eq!(Code::from_value(255), None);
    }

    #[test]
    fn nothing_looked_at_is_not_clean() {
        assert_eq!(Verdict::decide(&[], &[]).code, Code::NotScanned);
        assert_eq!(Verdict::decide(&[], &[]).result(), "Blocked");
    }

    #[test]
    fn an_engine_failure_beats_another_engines_clean() {
        assert_eq!(Verdict::decide(&[Code::NoThreatDetected, Code::Failed], &[]).code, Code::Failed);
    }

    #[test]
    fn earlier_steps_win_and_the_rest_is_listed() {
        let verdict = Verdict::decide(&[Code::Infected, Code::ExceededArchiveSize, Code::YaraRuleMatched], &[]);
        assert_eq!(verdict.code, Code::ExceededArchiveSize);
        assert_eq!(verdict.all, [Code::ExceededArchiveSize, Code::Infected, Code::YaraRuleMatched]);
    }

    #[test]
    fn worse_wins_within_a_step() {
        assert_eq!(Verdict::decide(&[Code::Suspicious, Code::Infected], &[]).code, Code::Infected);
    }

    #[test]
    fn the_allow_list_overrules_engines_but_neither_limits_nor_the_block_list() {
        assert_eq!(Verdict::decide(&[Code::Allowlisted, Code::Infected], &[]).code, Code::Allowlisted);
        assert_eq!(Verdict::decide(&[Code::Allowlisted, Code::Blocklisted], &[]).code, Code::Blocklisted);
        assert_eq!(Verdict::decide(&[Code::Allowlisted, Code::ExceededArchiveDepth], &[]).code, Code::ExceededArchiveDepth);
    }

    #[test]
    fn a_rule_can_tolerate_a_mismatch_but_never_a_threat_or_a_failure() {
        let tolerated = [Code::FileTypeMismatch, Code::Infected, Code::Failed];
        assert_eq!(Verdict::decide(&[Code::NoThreatDetected, Code::FileTypeMismatch], &tolerated).code, Code::NoThreatDetected);
        assert_eq!(Verdict::decide(&[Code::NoThreatDetected, Code::Infected], &tolerated).code, Code::Infected);
        assert_eq!(Verdict::decide(&[Code::NoThreatDetected, Code::Failed], &tolerated).code, Code::Failed);
        assert_eq!(Verdict::decide(&[Code::FileTypeMismatch], &tolerated).code, Code::NotScanned);
    }

    #[test]
    fn the_readme_shows_this_table() {
        let readme = include_str!("../../../../README.md");
        let mut rows: Vec<_> = TABLE.iter().collect();
        rows.sort_by_key(|row| row.code.value());
        let lines = rows.iter().map(|row| {
            let result = if row.blocked { "Blocked" } else { "Allowed" };
            format!("| {} | {} | {result} | `{}` | {} |", row.code.value(), row.text, row.tag, row.meaning)
        });
        let table = lines.collect::<Vec<_>>().join("\n");
        assert!(readme.contains(&table), "the README's table is to be:\n{table}");
    }
}
