//! Metrics of an analysis: which engines failed, and how old their definitions are.

use portcullis_core::clock::parse_iso;
use portcullis_core::domain::report::FileReport;
use portcullis_core::domain::verdict::Code;
use portcullis_core::metrics;

const HOUR_MS: i64 = 3_600_000;

/// Of the submitted file; `now` in ms since the epoch.
pub(crate) fn measure(root: &FileReport, now: i64) {
    for (engine, failed, age) in measures(root, now) {
        if failed {
            metrics::put("EngineFailures", "Count", 1, Some(("Engine", engine)));
        }
        if let Some(hours) = age {
            metrics::put("DefinitionAgeHours", "None", hours, Some(("Engine", engine)));
        }
    }
}

/// Engine, whether it failed, age of its definitions in hours if they have a date.
fn measures(root: &FileReport, now: i64) -> impl Iterator<Item = (&str, bool, Option<u64>)> {
    root.engines.iter().map(move |engine| {
        let age = parse_iso(&engine.def_time).and_then(|at| u64::try_from((now - at) / HOUR_MS).ok());
        (engine.name.as_str(), engine.code == Code::Failed, age)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::domain::report::EngineReport;
    use portcullis_core::domain::verdict::Verdict;

    #[test]
    fn a_failed_engine_and_the_age_of_definitions_are_told() {
        let row = |name: &str, code, def_time: &str| EngineReport {
            name: name.into(),
            id: String::new(),
            code,
            threat: String::new(),
            def_time: def_time.into(),
            scan_ms: 0,
            wait_ms: 0,
        };
        let mut root = FileReport::unscanned("a", 1, Verdict::failed("x"));
        root.engines = vec![row("A", Code::Failed, ""), row("B", Code::NoThreatDetected, "2026-01-01T00:00:00.000Z")];
        let now = parse_iso("2026-01-03T05:30:00Z").unwrap();
        assert_eq!(measures(&root, now).collect::<Vec<_>>(), [("A", true, None), ("B", false, Some(53))]);
    }
}
