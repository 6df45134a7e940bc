//! Whether a verdict holds for the same content again, and for which names.
//!
//! What always holds: what is taken over would have come out of an analysis under the same rule and definitions.
//! Findings that depend on time, on passwords or on luck are not, and two names share a verdict only if no engine can
//! tell them apart ([`judged_name`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use portcullis_core::domain::report::{AnalysisReport, FileReport};
use portcullis_core::domain::verdict::Code;
use sha2::{Digest, Sha256};

use crate::names::{self, MAX_CHARS};

/// SHA-256 of a file, lower-case hex.
///
/// # Errors
/// The file can not be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// One digest of several texts, 32 hex characters; where one text ends counts.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize()).chars().take(32).collect()
}

/// The part of a file's name that the verdict may depend on: two names with the same part are judged alike.
///
/// Engines look at extensions (mismatches, kinds of scripts), at extensions before extensions (`x.pdf.exe`, `x.pdf.gz`),
/// and at characters that deceive. So of an ordinary name it is everything from its first dot; a name with anything
/// unusual in it stands for itself. `tests/reuse.rs` compares all engines on names that share a part.
pub fn judged_name(name: &str) -> String {
    let file = names::file_name(name);
    let usual = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')');
    let ordinary = file.len() <= 255 && file.chars().all(usual) && !file.contains("  ") && !file.starts_with('.') && !file.ends_with([' ', '.']);
    if ordinary { format!("*{}", file.find('.').and_then(|dot| file.get(dot..)).unwrap_or_default()) } else { format!("={file}") }
}

/// Whether another analysis of the same content would come to the same report: nothing failed, no time ran out, no
/// password was missing, nobody cancelled.
pub fn is_repeatable(report: &AnalysisReport) -> bool {
    std::iter::once(&report.root).chain(&report.children).all(|file| {
        !file.engines.is_empty() && file.engines.iter().all(|row| row.code != Code::Failed) && file.verdict.all.iter().all(|code| repeats(*code))
            || is_refused_entry(file)
    })
}

fn repeats(code: Code) -> bool {
    matches!(
        code,
        Code::NoThreatDetected
            | Code::Infected
            | Code::Suspicious
            | Code::Allowlisted
            | Code::Blocklisted
            | Code::ExceededArchiveDepth
            | Code::ExceededArchiveSize
            | Code::ExceededArchiveFileNumber
            | Code::FileTypeMismatch
            | Code::Vulnerable
            | Code::SensitiveDataFound
            | Code::YaraRuleMatched
            | Code::PotentiallyUnwanted
            | Code::UnsupportedFileType
    )
}

/// An entry that no engine saw because its own header exceeds a limit: that repeats.
fn is_refused_entry(file: &FileReport) -> bool {
    file.depth > 0 && matches!(file.verdict.code, Code::ExceededArchiveSize | Code::ExceededArchiveFileNumber) && file.verdict.all.len() == 1
}

/// Gives a report another name for the submitted file, in the names of its children too. `false`: the report can not be
/// told from one that was made under the new name only by names, so it must not be used.
pub fn rename(report: &mut AnalysisReport, to: &str) -> bool {
    let from = std::mem::replace(&mut report.root.name, to.to_owned());
    if from == to {
        return true;
    }
    if from.chars().count() >= MAX_CHARS || to.chars().count() >= MAX_CHARS {
        return false;
    }
    let (old, new) = (names::clean(&from), names::clean(to));
    // Some formats name what is in them after themselves (`x.tar` in `x.tar.gz`): nobody sees another's name, or the wrong one.
    let stem = names::file_name(&old).split('.').next().unwrap_or_default();
    report.children.iter_mut().all(|child| {
        // A name as long as they get may have lost its middle: nobody knows what it was.
        let whole = child.name.chars().count() < MAX_CHARS;
        let Some(inside) = child.name.strip_prefix(&old).filter(|inside| whole && inside.starts_with('/')) else { return false };
        let named_after = !stem.is_empty() && inside.contains(stem);
        let name = format!("{new}{inside}");
        let fits = name.chars().count() < MAX_CHARS;
        child.name = name;
        fits && !named_after
    })
}

#[cfg(test)]
mod tests {
    use portcullis_core::domain::verdict::Verdict;

    use super::*;

    fn report(root: &str, children: &[&str]) -> AnalysisReport {
        let file = |name: &str| FileReport::unscanned(name, 1, Verdict::decide(&[Code::NoThreatDetected], &[]));
        AnalysisReport { root: file(root), children: children.iter().map(|name| file(name)).collect() }
    }

    #[test]
    fn ordinary_names_share_their_extensions_and_unusual_ones_nothing() {
        for (name, part) in [
            ("a.pdf", "*.pdf"),
            ("bucket/key/Report 7.pdf", "*.pdf"),
            ("x.tar.gz", "*.tar.gz"),
            ("x.pdf.exe", "*.pdf.exe"),
            ("README", "*"),
            ("a\u{202e}fdp.exe", "=a\u{202e}fdp.exe"),
            ("a.pdf      .exe", "=a.pdf      .exe"),
            (".pdf", "=.pdf"),
            ("x.exe. ", "=x.exe. "),
            ("a;b.pdf", "=a;b.pdf"),
        ] {
            assert_eq!(judged_name(name), part, "{name}");
        }
    }

    #[test]
    fn children_move_with_their_archive() {
        let mut moved = report("a.zip", &["a.zip/x", "a.zip/b.zip/y"]);
        assert!(rename(&mut moved, "in\u{7}/c.zip"));
        assert!(!rename(&mut report("own.tar.gz", &["own.tar.gz/own.tar", "own.tar.gz/own.tar/x"]), "other.tar.gz"));
        assert_eq!(moved.root.name, "in\u{7}/c.zip");
        assert_eq!(moved.children.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["in_/c.zip/x", "in_/c.zip/b.zip/y"]);
        assert!(!rename(&mut report("a.zip", &["other/x"]), "b.zip"));
        let long = format!("a.zip/{}", "x".repeat(MAX_CHARS - 6));
        assert!(!rename(&mut report("a.zip", &[&long]), "b.zip"), "it may have been cut");
        assert!(!rename(&mut report("a.zip", &["a.zip/x"]), &"y".repeat(MAX_CHARS)));
    }

    #[test]
    fn nothing_scanned_is_not_repeatable() {
        assert!(!is_repeatable(&report("a", &[])));
    }
}
