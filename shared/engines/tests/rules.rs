//! Rule files that are out to hurt: each costs itself, never the process that asks nor the files beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{Cursor, Write};
use std::path::PathBuf;

use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::verdict::Code;
use portcullis_core::overrides::Overrides;
use portcullis_engines::vetting::{known_bad, known_clean};
use portcullis_engines::{Job, WorkerConfig, WorkerPool};

struct Bench {
    dir: tempfile::TempDir,
    pool: WorkerPool,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pool = WorkerPool::new(WorkerConfig {
            clamd: None,
            executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-worker")),
            workers: 1,
            definitions_dir: Some(dir.path().join("definitions")),
            cache_dir: dir.path().join("cache"),
            scratch_dir: dir.path().join("scratch"),
            memory_limit_bytes: 512 * 1024 * 1024,
            test_hooks: false,
        });
        Self { dir, pool }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Why the file is refused; empty when it is fit.
    async fn refused(&self, content: &[u8]) -> String {
        let path = self.file("rules.yar", content);
        match self.pool.check_rules(&path).await {
            Ok(checked) => checked.error.unwrap_or_default(),
            Err(death) => {
                assert!(death.on_job, "{death}");
                death.reason
            }
        }
    }
}

const GOOD: &[u8] = b"rule good { strings: $a = \"no-sample-has-this\" condition: $a }";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_are_refused_and_the_next_one_is_looked_at() {
    let bench = Bench::new();
    let explodes = format!("rule a {{ strings: $a = /({}){{1,1000}}/ condition: $a }}", "((ab?c*d+){1,900}e){1,900}".repeat(20));
    let nested = format!("rule a {{ condition: {}true{} }}", "(".repeat(500_000), ")".repeat(500_000));
    let hostile: [(&str, Vec<u8>); 6] = [
        ("a huge repetition", explodes.into_bytes()),
        ("deep nesting", nested.into_bytes()),
        ("an include", b"include \"/etc/passwd\"".to_vec()),
        ("invalid UTF-8", b"rule a { condition: false } // \xff\xfe".to_vec()),
        ("10 MB", vec![b'/'; 10 * 1024 * 1024]),
        ("zeros", vec![0; 100_000]),
    ];
    for (what, content) in hostile {
        let why = bench.refused(&content).await;
        assert!(!why.is_empty(), "{what} was accepted");
        assert!(!why.contains("root:"), "{why}");
        assert_eq!(bench.refused(GOOD).await, "", "after {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_come_out_of_an_archive_in_the_worker() {
    let bench = Bench::new();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["a.yar", "../b.yar"] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(GOOD).unwrap();
    }
    let archive = bench.file("rules.zip", &writer.finish().unwrap().into_inner());
    let into = bench.dir.path().join("into");
    std::fs::create_dir(&into).unwrap();
    let unpacked = bench.pool.unpack_rules(&archive, &into).await.unwrap();
    assert_eq!((unpacked.files.len(), unpacked.left_out.len(), unpacked.error), (1, 1, None));
    assert_eq!(bench.pool.check_rules(&into.join("0")).await.unwrap().rules, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_works_beside_the_bundled_rules_with_the_same_name_in_two_files() {
    let bench = Bench::new();
    bench.file("definitions/package/1/a.yar", b"rule same { strings: $a = \"package-mark-a\" condition: $a }");
    bench.file("definitions/package/2/a.yar", b"rule same { strings: $a = \"package-mark-b\" condition: $a }");
    let status = bench.pool.status().await.unwrap();
    assert!(status.iter().all(|engine| engine.issues.is_empty()), "{status:?}");
    let code = async |content: &[u8]| {
        let job = Job {
            path: bench.file("content", content),
            name: "content".into(),
            passwords: Vec::new(),
            rule: Rule::default(),
            time_budget_ms: 60_000,
            scratch_dir: bench.dir.path().join("scratch"),
            overrides: Overrides::default(),
        };
        bench.pool.analyse(job).await.unwrap().root.verdict.code
    };
    assert_eq!(code(b"has package-mark-a in it").await, Code::YaraRuleMatched);
    assert_eq!(code(b"has package-mark-b in it").await, Code::YaraRuleMatched);
    for sample in known_bad() {
        assert_eq!(code(&sample.content).await, Code::Infected, "{}", sample.name);
    }
    for sample in known_clean() {
        let code = code(&sample.content).await;
        assert!(!matches!(code, Code::YaraRuleMatched | Code::Infected | Code::Suspicious), "{}: {code:?}", sample.name);
    }
}
