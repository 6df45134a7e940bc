//! What the pipeline costs on top of the rule engine, and what it takes in memory.
//!
//! `cargo bench -p portcullis-engines` prints a table. Each ratio is the median of interleaved rounds:
//! the whole analysis (two threads where the machine has them), divided by a plain scan of the same
//! bytes with the same rules on one thread. On a machine that is busy with other things only the CPU
//! column means anything: half of it is the least that two threads need. `cargo bench -p portcullis-engines -- alarms <folder>…`
//! analyses every file below the folders instead and lists what is blocked: the check for false alarms.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends at what fails"
)]

use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::verdict::Code;
use portcullis_core::overrides::Overrides;
use portcullis_engines::engine::yara::Yara;
use portcullis_engines::{AnalysisReport, Definitions, Job, analyse};
use yara_x::Scanner;
use zip::write::SimpleFileOptions;

const ROUNDS: usize = 5;

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Text and random bytes in turns, in pieces of up to 64 KiB.
    fn mixed(&mut self, bytes: usize) -> Vec<u8> {
        const WORDS: &[&str] =
            &["the", "gate", "opens", "function", "return", "value", "0x41", "import", "select", "http://", "\n", "{", "}", "shell", "data"];
        let mut out = Vec::with_capacity(bytes + 80_000);
        let mut text = true;
        while out.len() < bytes {
            let until = out.len() + 1_000 + usize::try_from(self.next() % 64_000).unwrap();
            while out.len() < until {
                if text {
                    out.extend_from_slice(WORDS[usize::try_from(self.next() % WORDS.len() as u64).unwrap()].as_bytes());
                    out.push(b' ');
                } else {
                    out.extend_from_slice(&self.next().to_le_bytes());
                }
            }
            text = !text;
        }
        out.truncate(bytes);
        out
    }
}

fn job(path: &Path, scratch: &Path) -> Job {
    let mut rule = Rule { timeout_seconds: 900, max_file_size: u64::MAX, ..Rule::default() };
    rule.extraction.timeout_seconds = 900;
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Job {
        path: path.into(),
        name,
        passwords: Vec::new(),
        rule,
        time_budget_ms: 900_000,
        scratch_dir: scratch.into(),
        overrides: Overrides::default(),
    }
}

/// Seconds on the clock, seconds of CPU, and the value.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, f64, T) {
    let (start, used) = (Instant::now(), cpu());
    let value = work();
    (start.elapsed().as_secs_f64(), cpu() - used, value)
}

/// CPU time of this process in seconds: `utime` + `stime`, in ticks of 10 ms (proc(5)).
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whole and direct, interleaved; prints one line of the table.
fn compare(what: &str, target: f64, whole: impl Fn() -> AnalysisReport, direct: impl Fn()) {
    let (mut wholes, mut directs, mut ratios, mut cpus) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let _ = (whole(), direct());
    for _ in 0..ROUNDS {
        let (took, busy, report) = timed(&whole);
        let (plain, plain_busy, ()) = timed(&direct);
        assert!(!report.root.verdict.code.is_blocked(), "{:?}", report.root.verdict);
        wholes.push(took);
        directs.push(plain);
        ratios.push(took / plain);
        cpus.push(busy / plain_busy);
    }
    let (whole, direct, ratio, cpu) = (median(wholes), median(directs), median(ratios), median(cpus));
    println!("| {what} | {whole:.2} s | {direct:.2} s | {ratio:.2} | ≤ {target} | {cpu:.2} |");
}

/// Anonymous memory, in KiB.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Peak of anonymous memory over the level before, in MiB.
fn peak<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let (stop, highest) = (AtomicBool::new(false), AtomicU64::new(0));
    let idle = anonymous();
    let value = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                highest.fetch_max(anonymous(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let value = work();
        stop.store(true, Ordering::Relaxed);
        value
    });
    (highest.load(Ordering::Relaxed).saturating_sub(idle) as f64 / 1024.0, value)
}

fn alarms(folders: &[String]) {
    let definitions = Definitions::load(None, None);
    let scratch = tempfile::tempdir().unwrap();
    let mut stack: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let (mut seen, mut blocked, mut bytes) = (0, 0, 0);
    let start = Instant::now();
    while let Some(path) = stack.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            stack.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if meta.is_file() && meta.len() < 200_000_000 {
            let mut job = job(&path, scratch.path());
            // Formats that are not opened yet are no false alarm.
            job.rule.tolerate = vec![Code::UnsupportedFileType];
            let report = analyse(&definitions, &job);
            (seen, bytes) = (seen + 1, bytes + meta.len());
            if report.root.verdict.code.is_blocked() {
                blocked += 1;
                let threats: Vec<_> = report.root.engines.iter().map(|e| e.threat.as_str()).filter(|t| !t.is_empty()).collect();
                println!("{}\t{}\t{}\t{}", report.root.verdict.code.text(), path.display(), threats.join(","), report.root.verdict.detail);
            }
        }
    }
    println!("{blocked} of {seen} files blocked ({} MB, {:.0} s)", bytes / 1_000_000, start.elapsed().as_secs_f64());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|a| a == "alarms") {
        return alarms(&arguments[1..]);
    }
    if let [mode, path, scratch] = arguments.as_slice()
        && mode == "memory"
    {
        let definitions = Definitions::load(None, None);
        let (memory, (took, _, report)) = peak(|| timed(|| analyse(&definitions, &job(Path::new(path), Path::new(scratch)))));
        println!("| {memory:.0} MiB | {took:.2} s | {} |", report.root.verdict.code.text());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let definitions = Definitions::load(None, None);
    let yara = Yara::load_bundled();
    let mut noise = Noise(88_172_645_463_325_252);

    println!("| what | whole | direct | ratio | target | CPU ratio |\n|---|---|---|---|---|---|");
    let large = dir.path().join("large.bin");
    let content = noise.mixed(256 * 1024 * 1024);
    fs::write(&large, &content).unwrap();
    compare(
        "one file of 256 MiB",
        1.25,
        || analyse(&definitions, &job(&large, &scratch)),
        || {
            let mut scanner = Scanner::new(yara.rules());
            scanner.max_matches_per_pattern(1_000).fast_scan(true);
            scanner.scan(&content).unwrap();
        },
    );
    drop(content);

    let mut children = Vec::new();
    for _ in 0..10_000 {
        let size = 1_024 + usize::try_from(noise.next() % (63 * 1024)).unwrap();
        children.push(noise.mixed(size));
    }
    let archive = dir.path().join("children.zip");
    let mut writer = zip::ZipWriter::new(BufWriter::new(File::create(&archive).unwrap()));
    for (n, child) in children.iter().enumerate() {
        writer.start_file(format!("{n}.bin"), SimpleFileOptions::default()).unwrap();
        writer.write_all(child).unwrap();
    }
    writer.finish().unwrap().flush().unwrap();
    compare(
        "ZIP of 10 000 children",
        1.5,
        || analyse(&definitions, &job(&archive, &scratch)),
        || {
            let mut scanner = Scanner::new(yara.rules());
            scanner.max_matches_per_pattern(1_000).fast_scan(true);
            for child in &children {
                scanner.scan(child).unwrap();
            }
        },
    );
    drop(children);

    println!("\n| what | memory over idle | time | verdict |\n|---|---|---|---|");
    let huge = dir.path().join("huge.bin");
    let block = noise.mixed(64 * 1024 * 1024);
    let mut file = File::create(&huge).unwrap();
    for _ in 0..16 {
        file.write_all(&block).unwrap();
    }
    drop((file, block));
    let bomb = dir.path().join("bomb.zip");
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros", SimpleFileOptions::default()).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 30), &mut writer).unwrap();
    let honest = writer.finish().unwrap().into_inner();
    fs::write(&bomb, &honest).unwrap();
    for (what, path) in [("file of 1 GiB", &huge), ("1 GiB of zeros in a ZIP", &bomb), ("ZIP of 10 000 children", &archive)] {
        // A process of its own: memory that earlier rounds left behind would hide what this one takes.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["memory".as_ref(), path.as_os_str(), scratch.as_os_str()]).output().unwrap();
        println!("| {what} {}", String::from_utf8_lossy(&output.stdout).trim());
    }
}
