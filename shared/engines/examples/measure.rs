//! What the engines say about files on disk: how many, of which types, which alarms of which engine, which mismatches.
//!
//! `cargo run --example measure -- [--list] <folder>…` walks the folders (one file system, no links) and prints a table.
//! `@file` instead of a folder: a list of paths. `--list` adds a line for every alarm, `--hits` one for every YARA rule. `--every N` takes every Nth file,
//! `--max BYTES` leaves out larger ones. `--deep` opens archives and documents: what is found inside counts for the file. `--definitions FOLDER`: further rules and lists.
//! `--samples` begins with the labelled set (`tests/samples`): what each engine has to find and what not; `--write FOLDER` only writes that set, with a list of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a tool of developers")]

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_core::domain::report::{AnalysisReport, FileReport};
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::verdict::Code;
use portcullis_core::overrides::Overrides;
use portcullis_engines::{Definitions, Job, analyse};
use sha2::Digest;

const HASHES: &str = "Hash Reputation";

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "one for each flag of the command line")]
struct Options {
    list: bool,
    hits: bool,
    deep: bool,
    samples: bool,
}

fn main() {
    let (mut options, mut every, mut max, mut folders, mut extra) = (Options::default(), 1_usize, 64_u64 << 20, Vec::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => options.list = true,
            "--hits" => options.hits = true,
            "--deep" => options.deep = true,
            "--samples" => options.samples = true,
            "--every" => every = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--max" => max = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--definitions" => extra = Some(PathBuf::from(arguments.next().expect("a folder"))),
            "--write" => return write(Path::new(&arguments.next().expect("a folder"))),
            folder => folders.push(PathBuf::from(folder)),
        }
    }
    let definitions = Definitions::load(extra.as_deref(), None);
    if options.samples {
        labelled(&definitions);
    }
    if !folders.is_empty() {
        measure(&definitions, &options, &folders, every, max);
    }
}

/// The labelled set as files, and `samples.tsv`: name, engine, sign, whether it is to be found.
fn write(folder: &Path) {
    fs::create_dir_all(folder.join("files")).unwrap();
    let mut list = Vec::new();
    for sample in samples::all() {
        fs::write(folder.join("files").join(&sample.name), &sample.content).unwrap();
        list.push(format!("{}\t{}\t{}\t{}\n", sample.name, sample.engine, sample.sign, u8::from(sample.bad)));
    }
    fs::write(folder.join("samples.tsv"), list.concat()).unwrap();
}

/// Definitions that list these contents by their digests.
fn listing(digests: &BTreeSet<String>) -> Definitions {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("hashes")).unwrap();
    let lines: Vec<_> = digests.iter().map(|digest| format!("{digest},Listed\n")).collect();
    fs::write(folder.path().join("hashes/block.txt"), lines.concat()).unwrap();
    Definitions::load(Some(folder.path()), None)
}

/// The table of the README: what is to be found and is, what is harmless and an alarm all the same. For `Hash Reputation`
/// all contents are listed that another engine has to find.
fn labelled(definitions: &Definitions) {
    let scratch = tempfile::tempdir().unwrap();
    let samples = samples::all();
    let digest = |sample: &samples::Sample| hex::encode(sha2::Sha256::digest(&sample.content));
    let digests: BTreeSet<_> = samples.iter().filter(|sample| sample.bad).map(digest).collect();
    let listing = listing(&digests);
    let mut table = BTreeMap::<&str, [usize; 4]>::new();
    for sample in &samples {
        let path = scratch.path().join("content");
        fs::write(&path, &sample.content).unwrap();
        let report = |definitions| analyse(definitions, &Job { name: sample.name.clone(), ..job(&path, scratch.path(), true) });
        let own = report(definitions);
        let found = if sample.engine == "YARA-X" {
            own.root.yara.iter().any(|hit| hit.rule == sample.sign)
        } else {
            rows(&own).any(|(_, row)| row.name == sample.engine && row.threat.contains(sample.sign))
        };
        let listed = rows(&report(&listing)).any(|(_, row)| row.name == HASHES && row.threat == "Listed");
        // One content can be harmless under one name and not under another: a list knows contents.
        for (engine, is_bad, found) in [(sample.engine, sample.bad, found), (HASHES, digests.contains(&digest(sample)), listed)] {
            let counts = table.entry(engine).or_default();
            let at = if is_bad { 0 } else { 2 };
            counts[at] += 1;
            counts[at + 1] += usize::from(found);
        }
    }
    println!("| engine | samples | found | near misses | false alarms |\n|---|---|---|---|---|");
    for (engine, [bad, found, good, alarms]) in table {
        println!("| {engine} | {bad} | {found} | {good} | {alarms} |");
    }
}

/// The engines' rows on a file and what is in it.
fn rows(report: &AnalysisReport) -> impl Iterator<Item = (&FileReport, &portcullis_core::domain::report::EngineReport)> {
    std::iter::once(&report.root).chain(&report.children).flat_map(|file| file.engines.iter().map(move |row| (file, row)))
}

fn measure(definitions: &Definitions, options: &Options, folders: &[PathBuf], every: usize, max: u64) {
    let mut files = Vec::new();
    for folder in folders {
        match folder.to_str().and_then(|name| name.strip_prefix('@')) {
            Some(list) => files.extend(fs::read_to_string(list).unwrap().lines().map(PathBuf::from)),
            None => walk(folder, max, &mut files),
        }
    }
    files.sort();
    let files: Vec<PathBuf> = files.into_iter().step_by(every.max(1)).collect();
    let scratch = tempfile::tempdir().unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut results = Vec::new();
                    while let Some(path) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        results.push((path, analyse(definitions, &job(path, scratch.path(), options.deep))));
                    }
                    results
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let (mut engines, mut kinds, mut codes) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new(), BTreeMap::<u8, usize>::new());
    let mut bytes = 0;
    for (path, whole) in &results {
        let report = &whole.root;
        bytes += report.size;
        *kinds.entry(report.file_type.mime.clone()).or_default() += 1;
        *codes.entry(report.verdict.code.value()).or_default() += 1;
        let mut alarmed = BTreeSet::new();
        for (_, row) in rows(whole) {
            let count = engines.entry(row.name.clone()).or_default();
            if row.code != Code::NoThreatDetected && alarmed.insert((&row.name, &row.threat)) {
                *count += 1;
                if options.list {
                    println!("{}\t{} {}\t{}", row.name, row.code.value(), row.threat, path.display());
                }
            }
        }
        if options.hits {
            let hits: BTreeSet<_> = std::iter::once(report).chain(&whole.children).flat_map(|file| &file.yara).map(|hit| hit.rule.as_str()).collect();
            for rule in hits {
                println!("hit\t{rule}\t{}", path.display());
            }
        }
        if report.verdict.all.contains(&Code::FileTypeMismatch) && options.list {
            println!("mismatch\t{}\t{}", report.verdict.detail, path.display());
        }
    }
    println!("{} files, {} MiB, {} types", results.len(), bytes >> 20, kinds.len());
    for (engine, alarms) in engines {
        println!("{engine}: {alarms} alarms");
    }
    let mismatches = results.iter().filter(|(_, report)| report.root.verdict.all.contains(&Code::FileTypeMismatch)).count();
    println!("mismatches: {mismatches} ({:.3} %)", mismatches as f64 * 100.0 / results.len().max(1) as f64);
    println!("verdicts: {codes:?}");
    if options.list {
        println!("types: {kinds:?}");
    }
}

fn job(path: &Path, scratch: &Path, deep: bool) -> Job {
    let mut rule = Rule::default();
    // Otherwise only the file itself is judged: what is in archives is other files.
    rule.extraction.enabled = deep;
    Job {
        path: path.into(),
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        passwords: Vec::new(),
        rule,
        time_budget_ms: 120_000,
        scratch_dir: scratch.into(),
        overrides: Overrides::default(),
    }
}

fn walk(folder: &Path, max: u64, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            walk(&entry.path(), max, files);
        } else if kind.is_file() && entry.metadata().is_ok_and(|meta| (1..=max).contains(&meta.len())) {
            files.push(entry.path());
        }
    }
}
