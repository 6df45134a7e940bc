//! What the engines say about files on disk: how many, of which types, which alarms of which engine, which mismatches.
//!
//! `cargo run --workspace --example measure -- [--list] <folder>…` walks the folders (one file system, no links) and prints a table.
//! `@file` instead of a folder: a list of paths. `--list` adds a line for every alarm. `--every N` takes every Nth file, `--max BYTES` leaves out larger ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a tool of developers")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::verdict::Code;
use portcullis_engines::{Definitions, Job, analyse};

fn main() {
    let (mut list, mut every, mut max, mut folders) = (false, 1_usize, 64_u64 << 20, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => list = true,
            "--every" => every = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--max" => max = arguments.next().and_then(|n| n.parse().ok()).expect("a number"),
            folder => folders.push(PathBuf::from(folder)),
        }
    }
    let mut files = Vec::new();
    for folder in &folders {
        match folder.to_str().and_then(|name| name.strip_prefix('@')) {
            Some(list) => files.extend(fs::read_to_string(list).unwrap().lines().map(PathBuf::from)),
            None => walk(folder, max, &mut files),
        }
    }
    files.sort();
    let files: Vec<PathBuf> = files.into_iter().step_by(every.max(1)).collect();
    let scratch = tempfile::tempdir().unwrap();
    let definitions = Definitions::load(None, None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut results = Vec::new();
                    while let Some(path) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        results.push((path, analyse(&definitions, &job(path, scratch.path())).root));
                    }
                    results
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let (mut engines, mut kinds, mut codes) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new(), BTreeMap::<u8, usize>::new());
    let mut bytes = 0;
    for (path, report) in &results {
        bytes += report.size;
        *kinds.entry(report.file_type.mime.clone()).or_default() += 1;
        *codes.entry(report.verdict.code.value()).or_default() += 1;
        for row in &report.engines {
            let alarm = row.code != Code::NoThreatDetected;
            *engines.entry(row.name.clone()).or_default() += usize::from(alarm);
            if alarm && list {
                println!("{}\t{} {}\t{}", row.name, row.code.value(), row.threat, path.display());
            }
        }
        if report.verdict.all.contains(&Code::FileTypeMismatch) && list {
            println!("mismatch\t{}\t{}", report.verdict.detail, path.display());
        }
    }
    println!("{} files, {} MiB, {} types", results.len(), bytes >> 20, kinds.len());
    for (engine, alarms) in engines {
        println!("{engine}: {alarms} alarms");
    }
    let mismatches = results.iter().filter(|(_, report)| report.verdict.all.contains(&Code::FileTypeMismatch)).count();
    println!("mismatches: {mismatches} ({:.3} %)", mismatches as f64 * 100.0 / results.len().max(1) as f64);
    println!("verdicts: {codes:?}");
    if list {
        println!("types: {kinds:?}");
    }
}

fn job(path: &Path, scratch: &Path) -> Job {
    let mut rule = Rule::default();
    // Only the file itself is judged: what is in archives is other files.
    rule.extraction.enabled = false;
    Job {
        path: path.into(),
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        passwords: Vec::new(),
        rule,
        time_budget_ms: 120_000,
        scratch_dir: scratch.into(),
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
