//! The labelled set: every engine finds what is its own, nothing of what looks like it, and every bundled rule that blocks has both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;
mod samples;

use std::collections::BTreeSet;
use std::path::Path;

use common::Case;
use portcullis_core::domain::report::{AnalysisReport, FileReport};
use samples::Sample;

fn files(report: &AnalysisReport) -> impl Iterator<Item = &FileReport> {
    std::iter::once(&report.root).chain(&report.children)
}

/// What the sample's engine says of it; for YARA the names of rules.
fn found(sample: &Sample) -> Vec<String> {
    let report = Case::new(&sample.name, &sample.content).run();
    if sample.engine == "YARA-X" {
        return report.root.yara.iter().map(|hit| hit.rule.clone()).collect();
    }
    files(&report)
        .flat_map(|file| &file.engines)
        .filter(|row| row.name == sample.engine && !row.threat.is_empty())
        .map(|row| row.threat.clone())
        .collect()
}

#[test]
fn what_is_to_be_found_is_found_and_nothing_else() {
    let samples = samples::all();
    let wrong = |sample: &Sample| {
        let found = found(sample);
        let hit = found.iter().any(|threat| if sample.engine == "YARA-X" { threat == sample.sign } else { threat.contains(sample.sign) });
        (hit != sample.bad).then(|| format!("{} ({}): {found:?}", sample.name, sample.sign))
    };
    let wrong: Vec<String> = samples.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(samples.iter().map(|sample| &sample.name).collect::<BTreeSet<_>>().len(), samples.len(), "two have one name");
}

#[test]
fn every_bundled_rule_that_blocks_has_a_sample_and_a_near_miss() {
    let mut rules = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for rule in source.split("\nrule ").skip(usize::from(!source.starts_with("rule "))) {
            if !rule.contains("severity = \"informational\"") {
                rules.insert(rule.trim_start_matches("rule ").split_whitespace().next().unwrap().to_owned());
            }
        }
    }
    let samples = samples::all();
    for bad in [true, false] {
        let there = samples.iter().filter(|sample| sample.engine == "YARA-X" && sample.bad == bad).map(|sample| sample.sign.to_owned());
        assert_eq!(there.collect::<BTreeSet<_>>(), rules, "to be found: {bad}");
    }
    assert!(rules.len() > 30, "{rules:?}");
}
