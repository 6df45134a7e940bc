//! An analysis in many short runs comes to what it comes to in one.

use std::time::Duration;

use portcullis_core::domain::report::{AnalysisReport, Timing};
use portcullis_core::domain::verdict::Code;
use portcullis_engines::{Analysis, Resume, WorkerPool};

use crate::common::{Case, check_invariants, eicar, zip};
use crate::pool;

/// Some hundred children at two levels, the EICAR test file as the last one.
fn archive() -> Vec<u8> {
    let text = |n: usize| format!("content {n} {}", "some words to look at ".repeat(20 + n)).into_bytes();
    let contents: Vec<(String, Vec<u8>)> = (0..300).map(|n| (format!("{n}.txt"), text(n))).collect();
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let inner = zip(&files[..40]);
    let eicar = eicar();
    let mut all = files.clone();
    all.insert(150, ("inner.zip", &inner));
    all.push(("last.com", &eicar));
    zip(&all)
}

fn timeless(mut report: AnalysisReport) -> AnalysisReport {
    for file in std::iter::once(&mut report.root).chain(&mut report.children) {
        file.timing = Timing::default();
        for row in &mut file.engines {
            (row.scan_ms, row.wait_ms) = (0, 0);
        }
    }
    report
}

/// Runs with pauses, as invocations would: what is known goes through bytes in between. The report, and the pauses.
async fn in_parts(pool: &WorkerPool, case: &Case, slice: Duration) -> (AnalysisReport, usize) {
    let mut resume = Resume::default();
    for pauses in 0..1000 {
        resume.pause_after(Some(slice));
        let before = resume.finished();
        match pool.run(&case.job, &mut resume).await.unwrap() {
            Analysis::Report(report) => return (*report, pauses),
            Analysis::Paused => assert!(resume.finished() > before && !resume.is_stalled(), "every run gets further"),
        }
        resume = serde_json::from_slice(&serde_json::to_vec(&resume).unwrap()).unwrap();
    }
    panic!("it does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_short_runs_come_to_the_same_report_as_one() {
    let bench = pool(1);
    let case = Case::new("a.zip", &archive());
    let whole = case.run();
    assert_eq!(whole.children.len(), 300 + 1 + 40 + 1);
    assert_eq!(whole.root.verdict.code, Code::Infected);
    let (parts, pauses) = in_parts(&bench.pool, &case, Duration::from_millis(30)).await;
    assert!(pauses >= 3, "it was continued {pauses} times only");
    check_invariants(&parts);
    assert_eq!(timeless(parts), timeless(whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_at_all_still_gets_further() {
    let bench = pool(1);
    let case = Case::new("a.zip", &zip(&[("1", b"1"), ("2", b"2"), ("3.com", &eicar())]));
    let (parts, pauses) = in_parts(&bench.pool, &case, Duration::ZERO).await;
    assert!(pauses >= 1);
    assert_eq!(timeless(parts), timeless(case.run()));
}

/// What is known, with one value changed.
fn changed(resume: &Resume, change: impl FnOnce(&mut serde_json::Value)) -> Resume {
    let mut value = serde_json::to_value(resume).unwrap();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

async fn first_part(pool: &WorkerPool, case: &Case) -> Resume {
    let mut resume = Resume::default();
    resume.pause_after(Some(Duration::from_millis(30)));
    // Some children, not the archive alone.
    while resume.finished() < 20 {
        assert!(matches!(pool.run(&case.job, &mut resume).await.unwrap(), Analysis::Paused));
    }
    resume.pause_after(None);
    resume
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_rule_counts_over_all_runs() {
    let bench = pool(1);
    let case = Case::new("a.zip", &archive());
    let resume = first_part(&bench.pool, &case).await;
    let used = |ms: u64| changed(&resume, |value| value["used_ms"] = ms.into());
    let late = |mut resume: Resume| {
        let (pool, job) = (bench.pool.clone(), case.job.clone());
        async move {
            match pool.run(&job, &mut resume).await.unwrap() {
                Analysis::Report(report) => report.root.verdict,
                Analysis::Paused => panic!("it is over"),
            }
        }
    };
    // The job has 60 s, extraction 180 s.
    let verdict = late(used(60_000)).await;
    assert!(verdict.code == Code::Failed && verdict.all.contains(&Code::ExceededArchiveTimeout), "{verdict:?}");
    assert_eq!(late(used(1_000)).await.code, Code::Infected);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_results_about_the_same_bytes_under_the_same_rule_are_believed() {
    let bench = pool(1);
    let case = Case::new("a.zip", &archive());
    let whole = timeless(case.run());
    let resume = first_part(&bench.pool, &case).await;
    let lie = |value: &mut serde_json::Value| {
        for (_, result) in value["done"].as_object_mut().unwrap() {
            result["codes"] = serde_json::json!([1]);
        }
    };
    let run = |mut resume: Resume, job: portcullis_engines::Job| {
        let pool = bench.pool.clone();
        async move {
            match pool.run(&job, &mut resume).await.unwrap() {
                Analysis::Report(report) => timeless(*report),
                Analysis::Paused => panic!("nobody asked for a pause"),
            }
        }
    };
    // The control: what is about the same bytes is believed, whatever it says.
    let believed = run(changed(&resume, lie), case.job.clone()).await;
    assert_ne!(believed, whole);
    let others = changed(&resume, |value| {
        lie(value);
        for (_, result) in value["done"].as_object_mut().unwrap() {
            result["digests"]["sha256"] = "00".repeat(32).into();
        }
    });
    assert_eq!(run(others, case.job.clone()).await, whole);
    let sizes = changed(&resume, |value| {
        lie(value);
        for (_, result) in value["done"].as_object_mut().unwrap() {
            result["size"] = 1.into();
        }
    });
    assert_eq!(run(sizes, case.job.clone()).await, whole);
    let mut job = case.job.clone();
    job.rule.tolerate = vec![Code::FileTypeMismatch];
    assert_eq!(run(changed(&resume, lie), job).await, whole, "another rule: nothing is believed");
}
