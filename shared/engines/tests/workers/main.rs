//! Workers that die, hang and are replaced. The executable is the crate's own `portcullis-worker`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod continuation;
mod isolation;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Case, eicar, lines, zip};
use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::domain::verdict::Code;
use portcullis_engines::{Job, WorkerConfig, WorkerPool};

struct Bench {
    dir: tempfile::TempDir,
    pool: WorkerPool,
}

fn pool(workers: usize) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let (definitions, scratch_dir) = (dir.path().join("definitions"), dir.path().join("scratch"));
    std::fs::create_dir_all(definitions.join("yara")).unwrap();
    std::fs::create_dir_all(&scratch_dir).unwrap();
    let pool = WorkerPool::new(WorkerConfig {
        clamd: None,
        executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-worker")),
        workers,
        definitions_dir: Some(definitions),
        cache_dir: dir.path().join("cache"),
        scratch_dir,
        memory_limit_bytes: 512 * 1024 * 1024,
        test_hooks: true,
    });
    Bench { dir, pool }
}

fn hook(what: &str) -> Vec<u8> {
    format!("PORTCULLIS-TEST-HOOK:{what}").into_bytes()
}

async fn code(pool: &WorkerPool, content: &[u8]) -> Code {
    pool.analyse(Case::new("a", content).job.clone()).await.unwrap().root.verdict.code
}

fn job(case: &Case) -> Job {
    case.job.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_analyses_like_the_process_itself_and_is_used_again() {
    let bench = pool(1);
    let case = Case::new("a.zip", &zip(&[("eicar.com", &eicar()), ("b", b"x")]));
    let first = bench.pool.analyse(job(&case)).await.unwrap();
    assert_eq!(lines(&first), lines(&case.run()));
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(bench.pool.analyse(job(&case)).await.unwrap().root.verdict.code, Code::Infected);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "definitions are loaded once: {:?}", start.elapsed());
    let status = bench.pool.status().await.unwrap();
    assert_eq!(status.len(), CATALOGUE.iter().filter(|engine| !engine.is_optional()).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_death_costs_its_own_job_only() {
    let bench = pool(2);
    for (what, says) in [("abort", "signal 6"), ("overflow", "signal 6"), ("hog", "signal 6")] {
        let death = {
            let case = Case::new("a", &hook(what));
            let other = Case::new("b", b"fine");
            let (death, fine) = tokio::join!(bench.pool.analyse(job(&case)), bench.pool.analyse(job(&other)));
            assert_eq!(fine.unwrap().root.verdict.code, Code::NoThreatDetected, "beside {what}");
            death.unwrap_err()
        };
        assert!(death.on_job && death.reason.contains(says), "{what}: {death}");
        assert_eq!(code(&bench.pool, b"fine").await, Code::NoThreatDetected, "after {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_inside_an_archive_is_a_death_too() {
    let bench = pool(1);
    let case = Case::new("a.zip", &zip(&[("x", &hook("abort"))]));
    assert!(bench.pool.analyse(job(&case)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_row_and_the_worker_lives_on() {
    let bench = pool(1);
    let case = Case::new("a", &hook("panic"));
    let root = bench.pool.analyse(job(&case)).await.unwrap().root;
    assert_eq!(root.verdict.code, Code::Failed);
    let row = root.engines.iter().find(|e| e.name == "Scripts").unwrap();
    assert_eq!((row.code, row.threat.as_str()), (Code::Failed, "the engine panicked"));
    assert_eq!(root.engines.iter().find(|e| e.name == "YARA-X").unwrap().code, Code::NoThreatDetected);
    let archive = Case::new("a.zip", &zip(&[("p", &hook("panic")), ("q", b"x")]));
    assert_eq!(lines(&bench.pool.analyse(job(&archive)).await.unwrap()), ["3 a.zip", "3 a.zip/p", "0 a.zip/q"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_before_the_engines_is_a_failure_too() {
    let bench = pool(1);
    for (what, says) in [("panic-type", "type"), ("panic-plan", "archive")] {
        let root = bench.pool.analyse(job(&Case::new("a", &hook(what)))).await.unwrap().root;
        assert_eq!(root.verdict.code, Code::Failed, "{what}");
        assert!(root.verdict.detail.contains(says), "{}", root.verdict.detail);
        let archive = Case::new("a.zip", &zip(&[("p", &hook(what)), ("q", b"x")]));
        assert_eq!(lines(&bench.pool.analyse(job(&archive)).await.unwrap()), ["3 a.zip", "3 a.zip/p", "0 a.zip/q"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_ends_is_a_verdict() {
    let bench = pool(1);
    let mut case = Case::new("a", &hook("loop"));
    case.job.time_budget_ms = 200;
    let start = Instant::now();
    let root = bench.pool.analyse(job(&case)).await.unwrap().root;
    assert_eq!(root.verdict.code, Code::Failed);
    assert!(root.verdict.detail.contains("time"), "{}", root.verdict.detail);
    assert!(start.elapsed() < Duration::from_secs(12));
    assert_eq!(code(&bench.pool, b"fine").await, Code::NoThreatDetected);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_definitions_are_taken_up_while_jobs_run() {
    let bench = pool(2);
    let forbidden = Case::new("a", b"a forbidden word");
    assert_eq!(bench.pool.analyse(job(&forbidden)).await.unwrap().root.verdict.code, Code::NoThreatDetected);
    let rules = bench.dir.path().join("definitions/yara");
    std::fs::write(rules.join("a.yar"), "rule Forbidden { strings: $a = \"forbidden word\" condition: $a }").unwrap();
    std::fs::write(rules.join("b.yar"), "rule Broken {").unwrap();
    let large = Case::new("l", &vec![b' '; 8 * 1024 * 1024]);
    let (running, status) = tokio::join!(bench.pool.analyse(job(&large)), bench.pool.reload());
    assert_eq!(running.unwrap().root.verdict.code, Code::NoThreatDetected);
    assert!(status.unwrap()[0].issues.iter().any(|issue| issue.contains("b.yar")));
    assert_eq!(bench.pool.analyse(job(&forbidden)).await.unwrap().root.verdict.code, Code::YaraRuleMatched);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_started_is_a_death() {
    let mut bench = pool(1);
    for executable in ["/nonexistent", "/bin/false"] {
        bench.pool = WorkerPool::new(WorkerConfig {
            clamd: None,
            executable: executable.into(),
            workers: 1,
            definitions_dir: None,
            cache_dir: bench.dir.path().join("cache"),
            scratch_dir: bench.dir.path().into(),
            memory_limit_bytes: 1 << 30,
            test_hooks: false,
        });
        let case = Case::new("a", b"x");
        let death = bench.pool.analyse(job(&case)).await.unwrap_err();
        assert!(!death.on_job, "the file is not to blame: {executable}: {death}");
        assert!(bench.pool.status().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_do_nothing_unless_asked_for() {
    let case = Case::new("a", &hook("abort"));
    assert_eq!(case.run().root.verdict.code, Code::NoThreatDetected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_with_its_parent() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis-worker"))
        .arg(portcullis_engines::worker::ARGUMENT)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(5), "it lives on without a parent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
