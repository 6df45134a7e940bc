//! Names that share a verdict are judged alike by every engine: the guard of `reuse::judged_name`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::collections::HashMap;

use common::{Case, crc32, eicar, encrypted, zip};
use portcullis_core::domain::report::{AnalysisReport, EngineReport, FileReport, Timing};
use portcullis_core::domain::verdict::Code;
use portcullis_engines::reuse::{is_repeatable, judged_name, rename};

/// Extensions that engines know, and some they do not; alone and before one another.
const EXTENSIONS: &[&str] = &[
    "pdf", "exe", "docx", "docm", "doc", "xls", "js", "jse", "hta", "vbs", "ps1", "zip", "gz", "tar.gz", "pdf.gz", "pdf.exe", "txt.js", "jpg", "png",
    "txt", "html", "eml", "msg", "msi", "lnk", "iso", "bin", "unknown", "PDF", "pdf.zip", "exe.txt", "7z", "rtf", "csv.scr",
];
/// What stands before the extension.
const STEMS: &[&str] = &["a", "Invoice 2026-01 (copy)", "winmail", "in/deep/folder/x", "c:\\users\\grün", "مرحبا"];
/// Names that deceive, or nearly do.
const ODD: &[&str] = &[
    "annexe\u{202e}fdp.exe",
    "annexe\u{202e}fdp.docx",
    "a.pdf          .exe",
    "a.pdf .exe",
    "a.exe. ",
    "a.exe ",
    ".htaccess",
    ".pdf",
    "a\u{200b}.pdf.exe",
    "a..exe",
    "x;y.pdf",
    "[Content_Types].xml",
    "noextension",
    "",
];

fn contents() -> Vec<Vec<u8>> {
    let dropper = format!("var s = new ActiveXObject('WScript.Shell'); eval({});", ["String.fromCharCode(65,66)"; 40].join("+"));
    vec![
        b"plain text".to_vec(),
        eicar(),
        b"%PDF-1.7\n1 0 obj <<>> endobj\n%%EOF".to_vec(),
        b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".to_vec(),
        dropper.into_bytes(),
        format!("iex ({})", ["[char]65"; 60].join("+")).into_bytes(),
        zip(&[("eicar.com", &eicar()), ("b.pdf.exe", b"x")]),
        gzip(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
        b"{\\rtf1 hello}".to_vec(),
        b"From: a@b\r\nTo: c@d\r\nSubject: x\r\nMIME-Version: 1.0\r\n\r\nhello\r\n".to_vec(),
        Vec::new(),
    ]
}

fn timeless(mut report: AnalysisReport) -> AnalysisReport {
    for file in std::iter::once(&mut report.root).chain(&mut report.children) {
        timeless_file(file);
    }
    report
}

fn timeless_file(file: &mut FileReport) {
    file.timing = Timing::default();
    for row in &mut file.engines {
        (row.scan_ms, row.wait_ms) = (0, 0);
    }
}

/// What was found, without names.
fn findings(report: &AnalysisReport) -> Vec<(Vec<Code>, Vec<EngineReport>)> {
    std::iter::once(&report.root).chain(&report.children).map(|file| (file.verdict.all.clone(), file.engines.clone())).collect()
}

/// A gzip file without compression (RFC 1951 §3.2.4, RFC 1952).
fn gzip(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(content);
    out.extend(crc32(content).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

#[test]
fn names_with_the_same_judged_part_are_judged_alike() {
    let plain = STEMS.iter().flat_map(|stem| EXTENSIONS.iter().map(move |extension| format!("{stem}.{extension}")));
    let names: Vec<String> = plain.chain(ODD.iter().map(|name| (*name).to_owned())).collect();
    let mut shared = 0;
    for content in contents() {
        let mut case = Case::new("", &content);
        let mut seen: HashMap<String, AnalysisReport> = HashMap::new();
        for name in &names {
            case.job.name.clone_from(name);
            let report = timeless(case.run());
            match seen.get(&judged_name(name)) {
                None => drop(seen.insert(judged_name(name), report)),
                Some(first) => {
                    let (mut moved, from) = (first.clone(), first.root.name.clone());
                    if rename(&mut moved, name) {
                        assert_eq!(moved, report, "`{from}` and `{name}` are judged differently");
                        shared += 1;
                    } else {
                        // What is in it is named after it: not taken over, but judged alike all the same.
                        assert_eq!(findings(&moved), findings(&report), "`{from}` and `{name}` are judged differently");
                    }
                }
            }
        }
        // And the key tells apart what is judged differently at all.
        assert!(seen.len() >= EXTENSIONS.len());
    }
    assert!(shared > 500, "the names share nothing: {shared}");
}

#[test]
fn only_what_another_analysis_would_find_is_repeatable() {
    let clean = Case::new("a.txt", b"text").run();
    assert!(is_repeatable(&clean) && clean.root.verdict.code == Code::NoThreatDetected);
    assert!(is_repeatable(&Case::new("a.zip", &zip(&[("e.com", &eicar()), ("t.txt", b"t")])).run()));
    assert!(is_repeatable(&Case::new("a.pdf", b"MZ\x90\0").run()), "a mismatch repeats");
    let many = Case::new("a.zip", &zip(&[("1", b"1"), ("2", b"2")])).rule(|rule| rule.extraction.max_entries = 1).run();
    assert_eq!(many.root.verdict.code, Code::ExceededArchiveFileNumber);
    assert!(is_repeatable(&many));

    let locked = Case::new("a.zip", &encrypted("x", b"x", "secret", true)).run();
    assert_eq!(locked.root.verdict.code, Code::EncryptedArchive);
    assert!(!is_repeatable(&locked), "a password may come with the next submission");
    let broken = Case::new("a.zip", &zip(&[("1", b"1")])[..20]).run();
    assert_eq!(broken.root.verdict.code, Code::Failed);
    assert!(!is_repeatable(&broken), "nobody knows why it failed");
    let mut late = Case::new("a.zip", &zip(&[("1", b"1")]));
    late.job.time_budget_ms = 0;
    assert!(!is_repeatable(&late.run()), "time that ran out");
    let mut optional = clean;
    optional.root.engines[0].code = Code::Failed;
    assert!(!is_repeatable(&optional), "an engine that failed, even if the rule can do without it");
}
