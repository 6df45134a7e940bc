//! `yara test`: what rules find in files of this machine, and whether a package would take them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_cli::{ALLOWED, BLOCKED, DOUBT, Format, printable};
use portcullis_engines::vetting::{CheckedRules, Matched, MatchedPattern, Trial};
use serde_json::{Value, json};

/// `yara`.
#[derive(Clone, Debug, Args)]
pub struct Yara {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What is done with rules.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Check a rule file as for a package, and show what it matches; the exit code is 0 without a match, 1 with one, 2 when the
    /// rules are not fit or a file could not be scanned.
    Test(Test),
}

/// `yara test`.
#[derive(Clone, Debug, Args)]
pub struct Test {
    /// The rule file.
    pub rules: PathBuf,
    /// Files to try it on.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Seconds that one file may take.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// Table or JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// A file, and what matched it.
type Tried = (PathBuf, Result<Vec<Matched>, String>);

impl Yara {
    /// Does it; the exit code.
    pub fn run(&self) -> u8 {
        let Action::Test(asked) = &self.action;
        let (checked, tried) = match Trial::of(&asked.rules) {
            Err(checked) => (checked, vec![]),
            Ok(trial) => {
                let budget = Duration::from_secs(asked.timeout);
                let tried = asked.files.iter().map(|file| (file.clone(), trial.on(file, budget))).collect();
                (trial.checked, tried)
            }
        };
        let text = match asked.output {
            Format::Json => json_of(&asked.rules, &checked, &tried).to_string(),
            Format::Table => table_of(&asked.rules, &checked, &tried),
        };
        let written = writeln!(std::io::stdout(), "{text}");
        if written.is_err() || checked.error.is_some() || tried.iter().any(|(_, matched)| matched.is_err()) {
            DOUBT
        } else if tried.iter().any(|(_, matched)| matched.as_ref().is_ok_and(|matched| !matched.is_empty())) {
            BLOCKED
        } else {
            ALLOWED
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

fn table_of(rules: &Path, checked: &CheckedRules, tried: &[Tried]) -> String {
    let mut lines = vec![];
    lines.extend(checked.error.iter().map(|error| format!("{}: error: {}", shown(rules), printable(error))));
    lines.extend(checked.warnings.iter().map(|warning| format!("{}: warning: {}", shown(rules), printable(warning))));
    for (file, matched) in tried {
        match matched {
            Err(error) => lines.push(format!("FAILED   {}  {}", shown(file), printable(error))),
            Ok(matched) if matched.is_empty() => lines.push(format!("no match {}", shown(file))),
            Ok(matched) => {
                for rule in matched {
                    let severity = rule.severity.as_ref().map(|severity| format!(" ({})", printable(severity))).unwrap_or_default();
                    lines.push(format!("match    {}  {}{severity}", shown(file), rule.rule));
                    lines.extend(rule.patterns.iter().map(|pattern| {
                        let places: Vec<String> = pattern.places.iter().map(|(at, length)| format!("{at:#x}+{length}")).collect();
                        format!("           {} {}x at {}", pattern.name, pattern.count, places.join(" "))
                    }));
                }
            }
        }
    }
    lines.push(format!("{} rules, {} warnings", checked.rules, checked.warnings.len()));
    lines.join("\n")
}

fn json_of(rules: &Path, checked: &CheckedRules, tried: &[Tried]) -> Value {
    let of_rule = |rule: &Matched| {
        let pattern = |pattern: &MatchedPattern| {
            let places: Vec<Value> = pattern.places.iter().map(|(at, length)| json!({ "offset": at, "length": length })).collect();
            json!({ "name": pattern.name, "count": pattern.count, "matches": places })
        };
        json!({ "rule": rule.rule, "severity": rule.severity, "patterns": rule.patterns.iter().map(pattern).collect::<Vec<_>>() })
    };
    let of_file = |(file, matched): &Tried| match matched {
        Ok(matched) => json!({ "path": file.to_string_lossy(), "error": null, "matches": matched.iter().map(of_rule).collect::<Vec<_>>() }),
        Err(error) => json!({ "path": file.to_string_lossy(), "error": error, "matches": [] }),
    };
    let files: Vec<Value> = tried.iter().map(of_file).collect();
    json!({ "path": rules.to_string_lossy(), "rules": checked.rules, "error": checked.error, "warnings": checked.warnings, "files": files })
}
