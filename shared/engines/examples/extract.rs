//! Opens files and lists what is in them: `cargo run --example extract -- <file>…`
//!
//! One line per content: code, depth, SHA-256, name, what is to be told about it; tabs between. The files
//! themselves have depth 0.

#![allow(clippy::print_stdout, reason = "a tool of developers")]

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis_core::domain::rule::Rule;
use portcullis_core::overrides::Overrides;
use portcullis_engines::{Definitions, Job, analyse};

fn main() -> ExitCode {
    let definitions = Definitions::load(None, None);
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        println!("usage: extract <file>…");
        return ExitCode::FAILURE;
    }
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let job = Job {
            path,
            name,
            passwords: Vec::new(),
            rule: Rule::default(),
            time_budget_ms: 60_000,
            scratch_dir: std::env::temp_dir(),
            overrides: Overrides::default(),
        };
        let report = analyse(&definitions, &job);
        for file in std::iter::once(&report.root).chain(&report.children) {
            let detail = file.verdict.detail.replace(['\t', '\n'], " ");
            println!("{}\t{}\t{}\t{}\t{detail}", file.verdict.code.value(), file.depth, file.digests.sha256, file.name);
        }
    }
    ExitCode::SUCCESS
}
