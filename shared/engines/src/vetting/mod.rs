//! Is a rule file fit to be used? Files of operators and of the web are hostile input: all of this runs in
//! a worker, with its memory limit, and is ended by its parent when it takes too long.
//!
//! A file is compiled on its own, so that one that breaks is known by its name; then it has to leave
//! files alone that are known to be clean, within a time budget. What always holds: a file with any error
//! is left out as a whole.

mod samples;
mod trial;
mod unpack;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use yara_x::{Compiler, MetaValue, Rules, ScanError, Scanner, SourceCode};

pub use samples::{Sample, known_bad, known_clean};
pub use trial::{Matched, MatchedPattern, Trial};
pub use unpack::is_usable;
pub(crate) use unpack::unpack;

use crate::engine::guarded;
use crate::engine::yara::configure;

/// Largest rule file, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most rule files of one archive.
pub const MAX_FILES: usize = 10_000;
/// Rule files of one archive together, in bytes.
pub const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024;
/// Warnings told about one file.
const MAX_WARNINGS: usize = 10;
/// Time that the rules of one file may take for all clean samples (some 3 MB)…
const SAMPLES_TIME: Duration = Duration::from_secs(3);
/// …and more for each rule.
const SAMPLES_TIME_A_RULE: Duration = Duration::from_millis(1);
/// Longest text of an issue, in characters.
const LONGEST_TEXT: usize = 300;

/// What is to be said about one rule file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedRules {
    /// Rules in it.
    pub rules: usize,
    /// Why it is not fit, if it is not.
    pub error: Option<String>,
    /// What its author should look at.
    pub warnings: Vec<String>,
}

/// What came out of an archive of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackedRules {
    /// Path inside the archive, and the file's number: its content is in the file of that name.
    pub files: Vec<(String, usize)>,
    /// Why the archive is not fit, if it is not.
    pub error: Option<String>,
    /// Rule files that were left out, and why.
    pub left_out: Vec<String>,
}

/// Whether a file may be part of a package.
pub(crate) fn check(path: &Path) -> CheckedRules {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return refused(format!("could not be read: {error}")),
    };
    guarded(|| check_text(&bytes)).unwrap_or_else(|| refused("makes the compiler fail"))
}

fn refused(why: impl Into<String>) -> CheckedRules {
    CheckedRules { error: Some(why.into()), ..CheckedRules::default() }
}

fn check_text(bytes: &[u8]) -> CheckedRules {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return refused(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return refused("is not UTF-8 text") };
    let mut compiler = Compiler::new();
    configure(&mut compiler);
    compiler.max_warnings(MAX_WARNINGS).ban_module("console", "module `console` is not permitted", "rules say nothing but whether they match");
    let added = compiler.add_source(SourceCode::from(text)).map(drop);
    let more = compiler.errors().len().saturating_sub(1);
    let warnings = compiler.warnings().iter().map(|warning| short(&warning.to_string())).collect();
    if let Err(error) = added {
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return CheckedRules { error: Some(format!("does not compile: {}{more}", short(&error.to_string()))), warnings, rules: 0 };
    }
    let rules = compiler.build();
    let count = rules.iter().len();
    let error = if count == 0 { Some("has no rule".to_owned()) } else { on_samples(&rules, count).err() };
    CheckedRules { rules: count, error, warnings }
}

/// The first two lines of a compiler's message: what, and where.
fn short(text: &str) -> String {
    text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ").chars().take(LONGEST_TEXT).collect()
}

fn on_samples(rules: &Rules, count: usize) -> Result<(), String> {
    let budget = SAMPLES_TIME + SAMPLES_TIME_A_RULE * u32::try_from(count).unwrap_or(u32::MAX);
    let start = Instant::now();
    let mut scanner = Scanner::new(rules);
    for sample in known_clean() {
        let left = budget.saturating_sub(start.elapsed());
        let too_slow = || format!("takes longer than {} ms on the known-clean samples", budget.as_millis());
        if left.is_zero() {
            return Err(too_slow());
        }
        // The scanner counts in whole seconds.
        scanner.set_timeout(left.max(Duration::from_secs(1)));
        let results = match scanner.scan(&sample.content) {
            Ok(results) => results,
            Err(ScanError::Timeout) => return Err(too_slow()),
            Err(error) => return Err(format!("can not be used: {error}")),
        };
        let informational = |value: &MetaValue<'_>| matches!(value, MetaValue::String("informational"));
        let blocking = results.matching_rules().find(|rule| !rule.metadata().any(|(key, value)| key == "severity" && informational(&value)));
        if let Some(rule) = blocking {
            return Err(format!("rule `{}` blocks a known-clean sample: {}", rule.identifier(), sample.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> CheckedRules {
        check_text(text.as_bytes())
    }

    fn error(text: &str) -> String {
        check(text).error.unwrap_or_default()
    }

    #[test]
    fn a_sound_file_is_fit_and_its_rules_are_counted() {
        let checked = check("rule a { strings: $a = \"no-sample-has-this\" condition: $a } rule b { condition: filesize > 9000MB }");
        assert_eq!((checked.rules, checked.error), (2, None));
    }

    #[test]
    fn what_does_not_compile_includes_and_foreign_modules_are_refused_with_the_reason() {
        assert!(error("rule broken { condition: no_such_thing }").contains("no_such_thing"));
        assert!(error("include \"/etc/passwd\"\nrule a { condition: false }").contains("include"));
        assert!(error("import \"console\"\nrule a { condition: console.log(\"x\") }").contains("console"));
        assert!(error("import \"cuckoo\"\nrule a { condition: false }").contains("cuckoo"));
        assert!(error("// nothing").contains("no rule"));
        assert_eq!(check_text(b"rule a { meta: x = \"\xff\" condition: false }").error.as_deref(), Some("is not UTF-8 text"));
        assert!(check_text(&vec![b' '; 8 * 1024 * 1024 + 1]).error.unwrap().contains("larger"));
        assert!(error("rule a { condition: false } rule a { condition: false }").contains("duplicate"));
    }

    #[test]
    fn a_rule_that_blocks_what_is_clean_is_refused_unless_it_only_informs() {
        assert!(error("rule everything { condition: true }").contains("rule `everything` blocks a known-clean sample"));
        assert_eq!(error("rule everything { meta: severity = \"informational\" condition: true }"), "");
        assert!(error("rule everything { meta: severity = \"suspicious\" condition: filesize < 100MB }").contains("known-clean"));
    }

    #[test]
    fn a_rule_that_never_ends_is_refused() {
        let loops = "rule slow { condition: for all i in (1..2000000000) : ( for any j in (1..2000000000) : ( uint8(j % 7) == 300 + i ) ) }";
        let start = Instant::now();
        assert!(error(loops).contains("takes longer"), "{}", error(loops));
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }

    #[test]
    fn slow_patterns_are_warnings() {
        let checked = check("rule slow { strings: $a = { 00 [1-10] 01 } condition: #a > 1000000000 }");
        assert!(checked.error.is_none() && checked.warnings.iter().any(|warning| warning.contains("slow")), "{checked:?}");
    }
}
