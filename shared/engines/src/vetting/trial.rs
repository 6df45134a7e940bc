//! Rules tried on files, for those who write them: checked as for a package, then every match is told with its place.
//!
//! Unlike everything else here it runs in the caller's process: the rules and files are those of the person who asks.

use std::path::Path;
use std::time::Duration;

use yara_x::{Compiler, MetaValue, Rules, ScanError, Scanner, SourceCode};

use super::{CheckedRules, check, configure};
use crate::engine::guarded;

/// Places told about one pattern.
const LISTED: usize = 10;
/// Matches kept about one pattern; more are not looked for.
const MATCHES: usize = 1_000;

/// Compiled rules, and what was found when they were checked.
pub struct Trial {
    /// As a package's check would say it. `error` does not keep rules that compile from being tried.
    pub checked: CheckedRules,
    rules: Rules,
}

/// A rule that matched a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Name of the rule.
    pub rule: String,
    /// Its metadata `severity`, if it has one.
    pub severity: Option<String>,
    /// Patterns that matched.
    pub patterns: Vec<MatchedPattern>,
}

/// A pattern of a rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedPattern {
    /// Its name, with `$`.
    pub name: String,
    /// How often it matched, up to 1000.
    pub count: usize,
    /// Offset and length, in bytes, of the first ten.
    pub places: Vec<(usize, usize)>,
}

impl Trial {
    /// Reads, checks and compiles a rule file.
    ///
    /// # Errors
    /// What the check says, when nothing can be compiled.
    pub fn of(path: &Path) -> Result<Self, CheckedRules> {
        let checked = check(path);
        let refused = |why: String| CheckedRules { error: checked.error.clone().or(Some(why)), ..checked.clone() };
        let text = std::fs::read(path).map_err(|error| refused(format!("could not be read: {error}")))?;
        let compile = || {
            let mut compiler = Compiler::new();
            configure(&mut compiler);
            compiler.ban_module("console", "module `console` is not permitted", "rules say nothing but whether they match");
            compiler.add_source(SourceCode::from(text.as_slice())).map(drop).map_err(|error| format!("does not compile: {error}"))?;
            Ok(compiler.build())
        };
        let rules = guarded(compile).unwrap_or_else(|| Err("makes the compiler fail".into())).map_err(refused)?;
        Ok(Self { checked, rules })
    }

    /// What matches a file.
    ///
    /// # Errors
    /// One sentence: the file can not be read, or the scan did not reach its end in time.
    pub fn on(&self, path: &Path, budget: Duration) -> Result<Vec<Matched>, String> {
        guarded(|| self.matches(path, budget)).unwrap_or_else(|| Err("The scan failed.".into()))
    }

    fn matches(&self, path: &Path, budget: Duration) -> Result<Vec<Matched>, String> {
        let mut scanner = Scanner::new(&self.rules);
        // The scanner counts in whole seconds.
        scanner.max_matches_per_pattern(MATCHES).set_timeout(budget.max(Duration::from_secs(1)));
        let results = match scanner.scan_file(path) {
            Ok(results) => results,
            Err(ScanError::Timeout) => return Err(format!("The scan did not end within {} s.", budget.as_secs())),
            Err(error) => return Err(format!("{error}.")),
        };
        let matched = results.matching_rules().map(|rule| {
            let severity = rule.metadata().find_map(|(key, value)| match value {
                MetaValue::String(text) if key == "severity" => Some(text.to_owned()),
                _ => None,
            });
            let patterns = rule.patterns().filter_map(|pattern| {
                let places: Vec<(usize, usize)> = pattern.matches().map(|found| (found.range().start, found.range().len())).collect();
                let count = places.len();
                let name = || pattern.identifier().to_owned();
                (count > 0).then(|| MatchedPattern { name: name(), count, places: places.into_iter().take(LISTED).collect() })
            });
            Matched { rule: rule.identifier().to_owned(), severity, patterns: patterns.collect() }
        });
        Ok(matched.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn matches_are_told_with_their_places_and_warnings_are_kept() {
        let rules =
            file(r#"rule marked { meta: severity = "suspicious" strings: $a = "no-sample-has-this" $b = "nor this" condition: any of them }"#);
        let trial = Trial::of(rules.path()).unwrap();
        assert_eq!(trial.checked.error, None);
        let found = trial.on(file("x no-sample-has-this no-sample-has-this").path(), Duration::from_secs(5)).unwrap();
        let patterns = vec![MatchedPattern { name: "$a".into(), count: 2, places: vec![(2, 18), (21, 18)] }];
        assert_eq!(found, [Matched { rule: "marked".into(), severity: Some("suspicious".into()), patterns }]);
        assert_eq!(trial.on(file("x").path(), Duration::from_secs(5)).unwrap(), []);
        assert!(trial.on(Path::new("/nonexistent"), Duration::from_secs(5)).is_err());
    }

    #[test]
    fn rules_that_block_what_is_clean_can_be_tried_and_broken_ones_can_not() {
        let trial = Trial::of(file("rule everything { condition: true }").path()).unwrap();
        assert!(trial.checked.error.as_ref().unwrap().contains("known-clean"));
        assert_eq!(trial.on(file("x").path(), Duration::from_secs(5)).unwrap().len(), 1);
        let error = Trial::of(file("rule broken { condition: nothing_such }").path()).err().unwrap();
        assert!(error.error.unwrap().contains("nothing_such"));
    }
}
