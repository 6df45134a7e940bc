//! What the scan function asks for. A job holds passwords: its `Debug` never shows them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_core::domain::rule::Rule;
use portcullis_core::overrides::Overrides;
use serde::{Deserialize, Serialize};

/// One file to analyse.
#[derive(Clone, Serialize, Deserialize)]
pub struct Job {
    /// The file on disk. It must not change while the job runs.
    pub path: PathBuf,
    /// Display name, as the client sent it; also decides about type mismatches.
    pub name: String,
    /// Passwords to try on encrypted entries, in this order.
    #[serde(default)]
    pub passwords: Vec<String>,
    /// The rule: engines, limits, tolerated codes.
    pub rule: Rule,
    /// Time for the whole analysis in milliseconds; the rule's `timeout_seconds` applies as well, whichever is shorter.
    pub time_budget_ms: u64,
    /// Directory for contents that do not stay in memory. Files in it have no names.
    pub scratch_dir: PathBuf,
    /// Engines that are switched off, and listed contents.
    #[serde(default)]
    pub overrides: Overrides,
}

impl Job {
    /// Version of everything that decides beside the definitions: of the rule and of the overrides.
    pub fn version(&self) -> String {
        format!("{}{}", self.rule.version(), self.overrides.version())
    }

    /// Time for the whole analysis.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.time_budget_ms).min(Duration::from_secs(self.rule.timeout_seconds))
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("path", &self.path)
            .field("name", &self.name)
            .field("passwords", &self.passwords.len())
            .field("rule", &self.rule.name)
            .field("time_budget_ms", &self.time_budget_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_a_password() {
        let job = Job {
            path: "/x".into(),
            name: "x".into(),
            passwords: vec!["hunter2".into()],
            rule: Rule::default(),
            time_budget_ms: 1,
            scratch_dir: "/tmp".into(),
            overrides: Overrides::default(),
        };
        assert!(!format!("{job:?}").contains("hunter2"));
    }

    #[test]
    fn the_shorter_of_budget_and_rule_applies() {
        let rule = Rule { timeout_seconds: 2, ..Rule::default() };
        let mut job = Job {
            path: "/x".into(),
            name: String::new(),
            passwords: vec![],
            rule,
            time_budget_ms: 9_000,
            scratch_dir: "/tmp".into(),
            overrides: Overrides::default(),
        };
        assert_eq!(job.budget(), Duration::from_secs(2));
        job.time_budget_ms = 500;
        assert_eq!(job.budget(), Duration::from_millis(500));
    }
}
