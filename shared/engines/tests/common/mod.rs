//! What the suites share: one set of definitions per process, jobs, and archives made to measure.

#![allow(dead_code, unreachable_pub, reason = "every suite uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "tests fail by panicking")]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis_core::domain::report::{AnalysisReport, FileReport};
use portcullis_core::domain::rule::Rule;
use portcullis_core::overrides::Overrides;
use portcullis_engines::{Definitions, Job, analyse};
use zip::write::{FullFileOptions, SimpleFileOptions};
use zip::{CompressionMethod, ZipWriter};

/// The EICAR test file, put together at run time.
pub fn eicar() -> Vec<u8> {
    [&br"X5O!P%@AP[4\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"].concat()
}

pub fn definitions() -> &'static Definitions {
    static LOADED: OnceLock<Definitions> = OnceLock::new();
    LOADED.get_or_init(|| Definitions::load(None, None))
}

/// A file in a directory of its own, and a job for it.
pub struct Case {
    dir: tempfile::TempDir,
    pub job: Job,
}

impl Case {
    pub fn new(name: &str, content: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("content");
        std::fs::write(&path, content).unwrap();
        let scratch_dir = dir.path().to_path_buf();
        let job = Job {
            path,
            name: name.into(),
            passwords: Vec::new(),
            rule: Rule::default(),
            time_budget_ms: 60_000,
            scratch_dir,
            overrides: Overrides::default(),
        };
        Self { dir, job }
    }

    pub fn rule(mut self, change: impl FnOnce(&mut Rule)) -> Self {
        change(&mut self.job.rule);
        self
    }

    pub fn passwords(mut self, passwords: &[&str]) -> Self {
        self.job.passwords = passwords.iter().map(|p| (*p).into()).collect();
        self
    }

    pub fn run(&self) -> AnalysisReport {
        self.run_with(definitions())
    }

    pub fn run_with(&self, definitions: &Definitions) -> AnalysisReport {
        let report = analyse(definitions, &self.job);
        let left: Vec<PathBuf> = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&self.job.path), "nothing is left behind");
        check_invariants(&report);
        report
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// What holds for every report.
pub fn check_invariants(report: &AnalysisReport) {
    for file in std::iter::once(&report.root).chain(&report.children) {
        assert!(!file.name.chars().any(char::is_control) || file.depth == 0, "{:?}", file.name);
        if !file.verdict.code.is_blocked() {
            assert!(!file.engines.is_empty(), "clean without engines: {}", file.name);
            assert_eq!(file.digests.sha512.len(), 128, "clean without digests: {}", file.name);
        }
    }
    if report.children.iter().any(|child| child.verdict.code.is_blocked()) {
        assert!(report.root.verdict.code.is_blocked() || report.root.verdict.all.len() > 1, "a blocked child and a clean archive");
    }
}

/// One line per file: code and name.
pub fn lines(report: &AnalysisReport) -> Vec<String> {
    let line = |f: &FileReport| format!("{} {}", f.verdict.code.value(), f.name);
    std::iter::once(&report.root).chain(&report.children).map(line).collect()
}

pub fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

pub fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

pub fn zip_with(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(files, deflated())
}

/// One encrypted entry.
pub fn encrypted(name: &str, content: &[u8], password: &str, aes: bool) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    if aes {
        let options: FullFileOptions<'_, '_> = FullFileOptions::default().with_aes_encryption(zip::AesMode::Aes256, password);
        writer.start_file(name, options).unwrap();
    } else {
        use zip::unstable::write::FileOptionsExt;
        let options: FullFileOptions<'_, '_> = FullFileOptions::default().with_deprecated_encryption(password.as_bytes()).unwrap();
        writer.start_file(name, options).unwrap();
    }
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A ZIP written byte by byte, so that it can say whatever a test wants.
#[derive(Clone)]
pub struct RawEntry {
    pub local_name: Vec<u8>,
    pub central_name: Vec<u8>,
    pub data: Vec<u8>,
    pub local_size: u32,
    pub central_size: u32,
    pub crc: u32,
    /// Points at the local header of this entry instead of its own.
    pub shares: Option<usize>,
    pub listed: bool,
    pub mode: u32,
}

impl RawEntry {
    pub fn new(name: impl Into<Vec<u8>>, data: &[u8]) -> Self {
        let name = name.into();
        let size = u32::try_from(data.len()).unwrap();
        Self {
            local_name: name.clone(),
            central_name: name,
            data: data.into(),
            local_size: size,
            central_size: size,
            crc: crc32(data),
            shares: None,
            listed: true,
            mode: 0o100_644,
        }
    }
}

pub fn raw_zip(entries: &[RawEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offsets = Vec::new();
    let push16 = |out: &mut Vec<u8>, values: &[usize]| values.iter().for_each(|v| out.extend(u16::try_from(*v).unwrap().to_le_bytes()));
    for entry in entries {
        offsets.push(u32::try_from(out.len()).unwrap());
        if entry.shares.is_some() {
            continue;
        }
        out.extend(b"PK\x03\x04");
        push16(&mut out, &[20, 0x0800, 0, 0, 33]);
        for v in [entry.crc, u32::try_from(entry.data.len()).unwrap(), entry.local_size] {
            out.extend(v.to_le_bytes());
        }
        push16(&mut out, &[entry.local_name.len(), 0]);
        out.extend(&entry.local_name);
        out.extend(&entry.data);
    }
    let start = out.len();
    let listed: Vec<_> = entries.iter().enumerate().filter(|(_, e)| e.listed).collect();
    for (n, entry) in &listed {
        out.extend(b"PK\x01\x02");
        push16(&mut out, &[0x0314, 20, 0x0800, 0, 0, 33]);
        for v in [entry.crc, u32::try_from(entry.data.len()).unwrap(), entry.central_size] {
            out.extend(v.to_le_bytes());
        }
        push16(&mut out, &[entry.central_name.len(), 0, 0, 0, 0]);
        out.extend((entry.mode << 16).to_le_bytes());
        out.extend(offsets[entry.shares.unwrap_or(*n)].to_le_bytes());
        out.extend(&entry.central_name);
    }
    let size = out.len() - start;
    out.extend(b"PK\x05\x06");
    push16(&mut out, &[0, 0, listed.len() & 0xffff, listed.len() & 0xffff]);
    out.extend(u32::try_from(size).unwrap().to_le_bytes());
    out.extend(u32::try_from(start).unwrap().to_le_bytes());
    push16(&mut out, &[0]);
    out
}

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}
