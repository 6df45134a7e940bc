//! Rules (Core: workflows): what is done with a file, its limits, who may use it, what blocks.
//!
//! A [`Rule`] is configuration as an operator writes it. What always holds: every limit has a finite
//! default, and a rule that names no engine uses all of them.

use serde::{Deserialize, Serialize};

use super::verdict::Code;

/// Limits on what comes out of archives. Counted on what is really produced; headers are not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractionLimits {
    /// Whether archives are opened at all.
    pub enabled: bool,
    /// Levels of nesting that are opened: 1 opens the submitted archive only. Range 1–50.
    pub max_depth: u32,
    /// Entries of all levels together. Range 1–1 000 000.
    pub max_entries: u64,
    /// Extracted bytes of all levels together. Range 1–1 TiB.
    pub max_total_bytes: u64,
    /// Extracted bytes ÷ bytes of the submitted file. Applies once more than [`Self::RATIO_FLOOR_BYTES`] came out. Range 2–100 000.
    pub max_ratio: u64,
    /// Time for extraction and scanning of all levels, in seconds. Range 1–900.
    pub timeout_seconds: u64,
}

impl ExtractionLimits {
    /// Small files compress extremely well without being bombs (a log of one line, say): below this the ratio is not looked at.
    pub const RATIO_FLOOR_BYTES: u64 = 16 * 1024 * 1024;
}

impl Default for ExtractionLimits {
    fn default() -> Self {
        Self { enabled: true, max_depth: 10, max_entries: 50_000, max_total_bytes: 4 * 1024 * 1024 * 1024, max_ratio: 200, timeout_seconds: 180 }
    }
}

/// One rule. Unknown fields are refused, so that a misspelt limit is an error and not a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Name, as clients send it in the `rule` header. Compared exactly.
    pub name: String,
    /// Largest file accepted, in bytes (`max_file_size` of `/file/rules`). Range 1–5 GiB (one S3 PUT).
    pub max_file_size: u64,
    /// Whether files are accepted without a key. Off by default: anyone who can reach the API could then fill the queue.
    pub anonymous: bool,
    /// User agents the rule is for; empty = any.
    pub user_agents: Vec<String>,
    /// Role names that may use it; empty = any user.
    pub roles: Vec<String>,
    /// `bucket/prefix` patterns (prefix match) whose objects are scanned under this rule.
    pub buckets: Vec<String>,
    /// Names of engines to run; empty = all.
    pub engines: Vec<String>,
    /// Archives.
    pub extraction: ExtractionLimits,
    /// Codes that are reported but do not block. Threats and failures always block (see `Code::is_tolerable`).
    pub tolerate: Vec<Code>,
    /// Time for the whole analysis, in seconds. Range 1–900.
    pub timeout_seconds: u64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            name: "File process".into(),
            max_file_size: 200_000_000,
            anonymous: false,
            user_agents: Vec::new(),
            roles: Vec::new(),
            buckets: Vec::new(),
            engines: Vec::new(),
            extraction: ExtractionLimits::default(),
            tolerate: Vec::new(),
            timeout_seconds: 240,
        }
    }
}
