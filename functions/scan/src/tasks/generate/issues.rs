//! What is to be said about the sources. It is kept in one item of the table, so there is a limit; what was
//! left out comes first, and what does not fit is counted.

use portcullis_core::domain::yara::{Issue, Issues, Severity};

/// Issues told of one source.
const OF_ONE: usize = 100;
/// Issues told of all sources.
const OF_ALL: usize = 400;
/// Longest message, in characters.
const LONGEST: usize = 400;

/// Issues, as they are found.
#[derive(Debug, Default)]
pub(super) struct Found(Issues);

impl Found {
    /// Adds one.
    pub(super) fn add(&mut self, source: &str, severity: Severity, message: impl AsRef<str>) {
        let message = message.as_ref().chars().take(LONGEST).collect();
        self.0.entry(source.to_owned()).or_default().push(Issue { severity, message });
    }

    /// As they are stored.
    pub(super) fn told(self) -> Issues {
        let share = (OF_ALL / self.0.len().max(1)).clamp(1, OF_ONE);
        let cut = |mut issues: Vec<Issue>| {
            issues.sort_by_key(|issue| issue.severity);
            let (errors, warnings) =
                issues.split_at(share.min(issues.len())).1.iter().fold((0, 0), |(errors, warnings), issue| match issue.severity {
                    Severity::Error => (errors + 1, warnings),
                    Severity::Warning => (errors, warnings + 1),
                });
            issues.truncate(share);
            for (severity, count, what) in [(Severity::Error, errors, "errors"), (Severity::Warning, warnings, "warnings")] {
                if count > 0 {
                    issues.push(Issue { severity, message: format!("And {count} more {what} that are not listed here.") });
                }
            }
            issues
        };
        self.0.into_iter().map(|(source, issues)| (source, cut(issues))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_first_and_what_does_not_fit_is_counted() {
        let mut found = Found::default();
        for n in 0..150 {
            found.add("s", Severity::Warning, format!("w{n}"));
        }
        found.add("s", Severity::Error, "e".repeat(1000));
        let told = found.told();
        let issues = &told["s"];
        assert_eq!((issues[0].severity, issues[0].message.len()), (Severity::Error, LONGEST));
        assert_eq!(issues.len(), OF_ONE + 1);
        assert_eq!(issues.last().unwrap().message, "And 51 more warnings that are not listed here.");
    }

    #[test]
    fn all_of_them_fit_into_an_item() {
        let mut found = Found::default();
        for source in 0..50 {
            for _ in 0..200 {
                found.add(&format!("s3://{}/{source}", "b".repeat(60)), Severity::Error, "ä".repeat(1000));
            }
        }
        let size = serde_json::to_string(&found.told()).unwrap().len();
        assert!(size < 380_000, "{size}");
    }
}
