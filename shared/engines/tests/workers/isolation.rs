//! A part that kills, eats or hangs costs its own content's report only.

use portcullis_core::domain::report::AnalysisReport;
use portcullis_core::domain::verdict::Code;
use portcullis_engines::{Analysis, Patience, Resume, WorkerPool};

use crate::common::{Case, eicar, lines, stored, zip, zip_with};
use crate::{hook, pool};

/// Limits that a test can wait for, where something hangs.
const SHORT: Patience = Patience { engine_ms: 1_500, engine_ms_per_mib: 0, silence_ms: 2_000, grace_ms: 500 };

/// Tries until there is a verdict; the reasons of the deaths on the way.
async fn through(pool: &WorkerPool, case: &Case, what: &str) -> (AnalysisReport, Vec<String>) {
    let (mut resume, mut deaths) = (Resume::default(), Vec::new());
    resume.patience(if what.starts_with("loop") { SHORT } else { Patience::default() });
    loop {
        match pool.run(&case.job, &mut resume).await {
            Ok(Analysis::Report(report)) => return (*report, deaths),
            Ok(Analysis::Paused) => panic!("nobody asked for a pause"),
            Err(death) => {
                // The first death may have many causes; every other one finds its own.
                assert!(death.on_job && (deaths.is_empty() || death.blamed), "{death} after {deaths:?}");
                deaths.push(death.reason);
            }
        }
        assert!(deaths.len() < 8, "{deaths:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_ends_its_worker_is_failed_and_its_infected_sibling_is_found() {
    let bench = pool(1);
    for what in ["abort", "overflow", "hog", "loop", "abort-type", "loop-type", "abort-plan"] {
        let files = [("one.txt", &b"fine"[..]), ("deadly", &hook(what)), ("eicar.com", &eicar()), ("two.txt", b"fine too")];
        let (report, deaths) = through(&bench.pool, &Case::new("a.zip", &zip(&files)), what).await;
        let expected = ["3 a.zip", "0 a.zip/one.txt", "3 a.zip/deadly", "1 a.zip/eicar.com", "0 a.zip/two.txt"];
        assert_eq!(lines(&report), expected, "{what}: {deaths:?}");
        // What hangs is known at once; what kills is found by a second try, in which it is alone.
        assert_eq!(deaths.len(), if what.starts_with("loop") { 1 } else { 2 }, "{what}: {deaths:?}");
        assert!(report.root.verdict.all.contains(&Code::Infected), "{what}");
        let deadly = &report.children[1];
        assert!(!deadly.digests.sha256.is_empty());
        let rows: Vec<_> = deadly.engines.iter().map(|row| (row.name.as_str(), row.code)).collect();
        if what.contains('-') {
            assert!(rows.iter().all(|(_, code)| *code == Code::NoThreatDetected), "{what}: {rows:?}");
        } else {
            assert!(deadly.verdict.detail.contains("Scripts: the engine ended its worker"), "{}", deadly.verdict.detail);
            assert_eq!(rows.iter().filter(|(_, code)| *code == Code::Failed).count(), 1, "the other engines' rows are real: {rows:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_ends_its_worker_when_opened_is_failed_and_its_sibling_is_found() {
    let bench = pool(1);
    for what in ["abort-unpack", "hog-unpack", "loop-unpack", "panic-unpack"] {
        let inner = zip_with(&[("wish", &hook(what)), ("never.com", &eicar())], stored());
        // Compressed, so that the wish does not stand in the outer archive as well.
        let files = [("inner.zip", inner.as_slice()), ("eicar.com", &eicar())];
        let (report, deaths) = through(&bench.pool, &Case::new("a.zip", &zip(&files)), what).await;
        assert_eq!(lines(&report), ["3 a.zip", "3 a.zip/inner.zip", "1 a.zip/eicar.com"], "{what}: {deaths:?}");
        assert!(report.children[0].verdict.detail.starts_with("the extractor "), "{}", report.children[0].verdict.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_deadly_children_are_found_one_after_the_other() {
    let bench = pool(1);
    let (abort, hog, endless) = (hook("abort"), hook("hog-type"), hook("loop"));
    let files = [("a", abort.as_slice()), ("b", b"fine"), ("c", &hog), ("d", &endless), ("e.com", &eicar())];
    let (report, deaths) = through(&bench.pool, &Case::new("a.zip", &zip(&files)), "loop").await;
    assert_eq!(lines(&report), ["3 a.zip", "3 a.zip/a", "0 a.zip/b", "3 a.zip/c", "3 a.zip/d", "1 a.zip/e.com"], "{deaths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_submitted_file_itself_gets_the_rows_of_the_engines_that_live() {
    let bench = pool(1);
    for what in ["abort", "loop"] {
        let (report, _) = through(&bench.pool, &Case::new("a.txt", &hook(what)), what).await;
        assert_eq!(report.root.verdict.code, Code::Failed);
        let codes: Vec<_> = report.root.engines.iter().map(|row| row.code).collect();
        assert!(codes.contains(&Code::Failed) && codes.contains(&Code::NoThreatDetected), "{what}: {codes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_the_rule_can_do_without_fails_in_its_row_only() {
    let bench = pool(1);
    for (what, required, code) in [
        ("abort", "YARA-X", Code::NoThreatDetected),
        ("panic", "Hash Reputation", Code::NoThreatDetected),
        ("loop", "YARA-X", Code::NoThreatDetected),
        ("panic", "Scripts", Code::Failed),
        ("abort", "Scripts", Code::Failed),
    ] {
        let case = Case::new("a.txt", &hook(what)).rule(|rule| rule.required_engines = vec![required.into()]);
        let (report, _) = through(&bench.pool, &case, what).await;
        assert_eq!(report.root.verdict.code, code, "{what}, {required} required: {:?}", report.root.verdict);
        let row = report.root.engines.iter().find(|row| row.name == "Scripts").unwrap();
        assert_eq!(row.code, Code::Failed, "it is shown: {row:?}");
    }
    // It is the only engine: nothing looked at the content.
    let alone = Case::new("a.txt", &hook("panic")).rule(|rule| rule.engines = vec!["Scripts".into()]);
    assert!(through(&bench.pool, &alone, "panic").await.0.root.verdict.code.is_blocked());
}
