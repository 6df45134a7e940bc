//! What an analysis found: the engines produce it, the scan function stores it, the results function shows it.
//!
//! These types are the internal record. The wire shape of the contract (§2) is made from them in one
//! place, `wire::result`. What always holds: a report has exactly one verdict, and a report without
//! engine rows is never clean (see `verdict::Verdict::decide`).

use serde::{Deserialize, Serialize};

use super::verdict::{Code, Verdict};

/// Lower-case hex digests of one content. All empty while unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// MD5, 32 characters.
    pub md5: String,
    /// SHA-1, 40 characters.
    pub sha1: String,
    /// SHA-256, 64 characters.
    pub sha256: String,
    /// SHA-512, 128 characters.
    pub sha512: String,
}

/// What a file is, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileType {
    /// MIME type, e.g. `application/pdf`; `application/octet-stream` when unknown.
    pub mime: String,
    /// For people, e.g. `PDF document`.
    pub description: String,
    /// Extensions that files of this type legitimately have, lower case, without dot; empty when any will do.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// Category letter of Core's table (`A` archive, `D` document, `E` executable, `G` graphics, `I` disk image, `M` mail, `P` PDF, `T` text, `Z` other…).
    #[serde(default)]
    pub category: String,
}

impl Default for FileType {
    fn default() -> Self {
        Self { mime: "application/octet-stream".into(), description: "data".into(), extensions: Vec::new(), category: "Z".into() }
    }
}

/// One engine's row in `scan_details` (contract §2.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineReport {
    /// Display name, the key of `scan_details`; equals `eng_name` of `/stat/engines`.
    pub name: String,
    /// Engine id, e.g. `yarax_1_linux`.
    pub id: String,
    /// Engine level code (contract §3.2): 0, 1, 2, 3, 10, 19, 22 or 23.
    pub code: Code,
    /// Threat name; empty when nothing was found. Of a failed engine: what failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub threat: String,
    /// Date of the definitions, ISO 8601 with milliseconds and `Z`.
    pub def_time: String,
    /// Time the engine worked, in milliseconds.
    pub scan_ms: u64,
    /// Time from hand-over to answer, in milliseconds.
    pub wait_ms: u64,
}

/// A YARA rule that matched, for the `yara` object (contract §2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YaraHit {
    /// Rule identifier.
    pub rule: String,
    /// `description` of the rule's metadata, or its namespace.
    pub description: String,
}

/// Time spent in the steps of an analysis, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Digests.
    #[serde(default)]
    pub hash_ms: u64,
    /// File type detection.
    #[serde(default)]
    pub filetype_ms: u64,
    /// Unpacking, without the scanning of the children.
    #[serde(default)]
    pub extraction_ms: u64,
    /// Engines, wall time.
    #[serde(default)]
    pub engines_ms: u64,
    /// Everything from the first byte read to the verdict.
    #[serde(default)]
    pub total_ms: u64,
}

/// What was found in one file: the submitted one, or a child of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Display name; of a child `<archive>/<path inside>`, cleaned of control and bidirectional characters.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Digests of the content.
    pub digests: Digests,
    /// Type by content.
    pub file_type: FileType,
    /// One row per engine of the rule.
    pub engines: Vec<EngineReport>,
    /// YARA rules that matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yara: Vec<YaraHit>,
    /// The decision on this file, children included.
    pub verdict: Verdict,
    /// Time spent.
    pub timing: Timing,
    /// Nesting: 0 for the submitted file, 1 for its children, and so on.
    #[serde(default)]
    pub depth: u32,
    /// Whether the content was opened as an archive (so that `extracted_files` is shown, even when empty).
    #[serde(default)]
    pub is_archive: bool,
    /// The file's type is one the rule does not scan.
    #[serde(default)]
    pub type_skipped: bool,
}

impl FileReport {
    /// The report of a content that no engine looked at.
    pub fn unscanned(name: impl Into<String>, size: u64, verdict: Verdict) -> Self {
        Self {
            name: name.into(),
            size,
            digests: Digests::default(),
            file_type: FileType::default(),
            engines: Vec::new(),
            yara: Vec::new(),
            verdict,
            timing: Timing::default(),
            depth: 0,
            is_archive: false,
            type_skipped: false,
        }
    }

    /// Rows of engines that found a threat (infected, suspicious or unwanted), in the content or in what came out of it.
    pub fn detections(&self) -> impl Iterator<Item = &EngineReport> {
        self.engines.iter().filter(|e| matches!(e.code, Code::Infected | Code::Suspicious | Code::PotentiallyUnwanted))
    }

    /// Number of engines that found a threat.
    pub fn detected_by(&self) -> usize {
        self.detections().count()
    }
}

/// A whole analysis: the submitted file and, flat, everything that came out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisReport {
    /// The submitted file.
    pub root: FileReport,
    /// All levels, in the order of extraction (depth first). The position + 1 is the child's number.
    pub children: Vec<FileReport>,
}

impl AnalysisReport {
    /// Numbers (1-based positions) of the children, worst first; among equals archives come last (they share the
    /// verdict of their worst child), then the order of extraction.
    pub fn worst_first(&self) -> Vec<u32> {
        worst_first(&self.children)
    }
}

/// The order of [`AnalysisReport::worst_first`].
pub fn worst_first(children: &[FileReport]) -> Vec<u32> {
    let mut order: Vec<u32> = (1..).take(children.len()).collect();
    order.sort_by_cached_key(|number| {
        let child = children.get(*number as usize - 1);
        child.map(|child| (std::cmp::Reverse(child.verdict.code.row().severity), child.is_archive))
    });
    order
}
