//! What it costs to look into an archive, against the tool of the distribution for the same archive.
//!
//! `cargo bench --workspace --bench extract` prints a table. Ours: the whole analysis with the hash lists as the only
//! engine, so everything is unpacked, typed and hashed four times over (MD5, SHA-1, SHA-256, SHA-512). Theirs: unpacking
//! into a folder. Medians of interleaved rounds. A tool that is not installed is left out, with a note.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends at what fails"
)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use portcullis_core::domain::rule::Rule;
use portcullis_core::overrides::Overrides;
use portcullis_engines::{Definitions, Job, analyse};

const ROUNDS: usize = 5;
const FILES: usize = 400;
const FILE_BYTES: usize = 128 * 1024;

/// Text and random bytes in turns: compresses to about a half.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let file = |n: usize, next: &mut dyn FnMut() -> u64| {
        let mut content = Vec::with_capacity(FILE_BYTES + 8);
        while content.len() < FILE_BYTES {
            if (content.len() / 4_096) % 2 == 0 {
                content.extend(format!("line {} of the text\n", next() % 1_000).into_bytes());
            } else {
                content.extend(next().to_le_bytes());
            }
        }
        (format!("dir/{n}.bin"), content)
    };
    (0..FILES).map(|n| file(n, &mut next)).collect()
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(3)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn sevenz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = sevenz_rust2::ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    for (name, content) in files {
        writer.push_archive_entry(sevenz_rust2::ArchiveEntry::new_file(name), Some(content.as_slice())).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn ours(definitions: &Definitions, archive: &Path, scratch: &Path) -> f64 {
    let rule = Rule { engines: vec!["Hash Reputation".into()], timeout_seconds: 900, ..Rule::default() };
    let name = archive.file_name().unwrap().to_string_lossy().into_owned();
    let job = Job {
        path: archive.into(),
        name,
        passwords: Vec::new(),
        rule,
        time_budget_ms: 900_000,
        scratch_dir: scratch.into(),
        overrides: Overrides::default(),
    };
    let start = Instant::now();
    let report = analyse(definitions, &job);
    let took = start.elapsed().as_secs_f64();
    assert!(!report.root.verdict.code.is_blocked() && report.children.len() >= FILES, "{:?}", report.root.verdict);
    took
}

/// `None` if the tool is not there.
fn theirs(tool: &[&str], archive: &Path, scratch: &Path) -> Option<f64> {
    let folder = scratch.join("theirs");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let start = Instant::now();
    let status =
        Command::new(tool[0]).args(&tool[1..]).arg(archive).current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{tool:?}: {status}");
    Some(seconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let definitions = Definitions::load(None, None);
    let files = files();
    let packed = tar(&files);
    let unpack: &[&str] = &["tar", "-xf"];
    let archives: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a.zip", zip(&files), &["unzip", "-qq"]),
        ("a.tar", packed.clone(), unpack),
        ("a.tar.gz", gzip(&packed), unpack),
        ("a.tar.bz2", bzip2(&packed), unpack),
        ("a.tar.xz", xz(&packed), unpack),
        ("a.tar.zst", zstd(&packed), unpack),
        ("a.7z", sevenz(&files), &["7z", "x", "-y", "-bd"]),
    ];
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{FILES} files of {} KiB; load {}", FILE_BYTES / 1024, load.split(' ').next().unwrap_or_default());
    println!("| archive | ours | tool | ours ÷ tool |\n|---|---|---|---|");
    for (name, bytes, tool) in archives {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (mut own, mut other, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_missing = false;
        for _ in 0..ROUNDS {
            let Some(tool) = theirs(tool, &path, dir.path()) else {
                is_missing = true;
                break;
            };
            let mine = ours(&definitions, &path, dir.path());
            own.push(mine);
            other.push(tool);
            ratios.push(mine / tool);
        }
        if is_missing {
            println!("| {name} | – | `{}` is not installed | – |", tool[0]);
        } else {
            println!("| {name} | {:.2} s | `{}` {:.2} s | {:.2} |", median(own), tool[0], median(other), median(ratios));
        }
    }
}
