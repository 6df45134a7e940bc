//! Archives, mostly bad ones: every one of them must end with the right code, soon, and never as clean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use common::{Case, RawEntry, eicar, encrypted, lines, raw_zip, stored, zip, zip_with};
use portcullis_core::domain::verdict::Code;
use zip::ZipWriter;

fn code(name: &str, content: &[u8]) -> Code {
    Case::new(name, content).run().root.verdict.code
}

#[test]
fn a_clean_archive_is_clean_and_lists_its_children() {
    let inner = zip(&[("deep.txt", b"deep")]);
    let report = Case::new("a.zip", &zip(&[("b.txt", b"hello"), ("dir/", b""), ("c.zip", &inner), ("empty", b"")])).run();
    assert_eq!(lines(&report), ["0 a.zip", "0 a.zip/b.txt", "0 a.zip/c.zip", "0 a.zip/c.zip/deep.txt", "0 a.zip/empty"]);
    assert_eq!(report.children.iter().map(|c| c.depth).collect::<Vec<_>>(), [1, 1, 2, 1]);
    assert!(report.root.is_archive && report.children[1].is_archive && !report.children[0].is_archive);
    assert!(report.children.iter().all(|c| c.engines.len() == 3 && c.digests.sha256.len() == 64));
    assert_eq!(report.children[3].file_type.mime, "application/x-empty");
}

#[test]
fn eicar_plain_zipped_and_nested_five_deep_is_infected() {
    let plain = Case::new("eicar.com", &eicar()).run();
    assert_eq!(plain.root.verdict.code, Code::Infected);
    assert_eq!(plain.root.file_type.description, "EICAR virus test files");
    assert_eq!(plain.root.file_type.mime, "text/plain");
    assert!(plain.root.engines.iter().any(|e| e.name == "YARA-X" && e.threat == "EICAR-Test-File" && e.code == Code::Infected));

    let mut content = eicar();
    let mut name = "eicar.com".to_string();
    for level in 0..5 {
        content = zip(&[(&name, &content)]);
        name = format!("{level}.zip");
    }
    let report = Case::new("outer.zip", &content).run();
    assert_eq!(report.children.len(), 5);
    assert!(lines(&report).iter().all(|line| line.starts_with("1 ")), "{:?}", lines(&report));
    assert_eq!(report.children[4].name, "outer.zip/3.zip/2.zip/1.zip/0.zip/eicar.com");
    assert!(report.root.verdict.detail.contains("3.zip"), "{}", report.root.verdict.detail);
}

#[test]
fn every_method_is_extracted() {
    use zip::CompressionMethod as Method;
    let body = [&eicar()[..], &b"\n".repeat(20)[..]].concat();
    for method in [Method::Stored, Method::Deflated, Method::Bzip2, Method::Zstd, Method::Xz, Method::Ppmd] {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        let report = Case::new("a.zip", &zip_with(&[("eicar.com", &body)], options)).run();
        assert_eq!(report.root.verdict.code, Code::Infected, "{method}: {:?}", report.root.verdict);
    }
}

#[test]
fn passwords() {
    for aes in [true, false] {
        let archive = encrypted("eicar.com", &eicar(), "right", aes);
        let missing = Case::new("a.zip", &archive).run();
        assert_eq!(lines(&missing), ["12 a.zip", "12 a.zip/eicar.com"], "aes {aes}");
        assert!(missing.root.verdict.detail.contains("password"), "{}", missing.root.verdict.detail);
        let wrong = Case::new("a.zip", &archive).passwords(&["wrong", "", "Right"]).run();
        assert_eq!(lines(&wrong), ["12 a.zip", "12 a.zip/eicar.com"], "aes {aes}");
        let right = Case::new("a.zip", &archive).passwords(&["wrong", "right"]).run();
        assert_eq!(lines(&right), ["1 a.zip", "1 a.zip/eicar.com"], "aes {aes}");
    }
}

#[test]
fn many_wrong_passwords_never_open_an_entry() {
    // ZipCrypto accepts 1 of 256 wrong passwords at first sight.
    let archive = encrypted("a.txt", &b"some text that compresses. ".repeat(40), "right", false);
    let passwords: Vec<String> = (0..1_500).map(|n| format!("wrong{n}")).collect();
    let passwords: Vec<&str> = passwords.iter().map(String::as_str).collect();
    assert_eq!(lines(&Case::new("a.zip", &archive).passwords(&passwords).run()), ["12 a.zip", "12 a.zip/a.txt"]);
}

#[test]
fn a_rule_may_tolerate_encrypted_entries_but_not_what_else_is_in_the_archive() {
    let archive = encrypted("a.txt", b"x", "p", true);
    let report = Case::new("a.zip", &archive).rule(|rule| rule.tolerate = vec![Code::EncryptedArchive]).run();
    assert_eq!(report.root.verdict.code, Code::NoThreatDetected);
    assert_eq!(report.root.verdict.all, [Code::NoThreatDetected, Code::EncryptedArchive]);
    assert!(report.children[0].verdict.code.is_blocked(), "nobody looked into it");
}

#[test]
fn truncated_archives_fail() {
    let whole = zip(&[("a.txt", &b"hello ".repeat(100)), ("b.txt", b"world")]);
    for cut in (4..whole.len()).step_by(3) {
        let found = code("a.zip", &whole[..cut]);
        assert!(found.is_blocked(), "cut at {cut}: {found:?}");
    }
}

#[test]
fn no_single_damaged_byte_panics_and_damaged_content_is_never_clean() {
    let whole = zip_with(&[("eicar.com", &eicar())], stored());
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let report = Case::new("a.zip", &damaged).run();
        assert!(!report.root.verdict.detail.contains("panicked"), "byte {at}");
    }
}

#[test]
fn sizes_that_lie_fail() {
    let mut small = RawEntry::new("a.txt", &b"x".repeat(1_000));
    (small.local_size, small.central_size) = (10, 10);
    assert_eq!(code("a.zip", &raw_zip(&[small])), Code::Failed);
    let mut large = RawEntry::new("a.txt", b"x");
    (large.local_size, large.central_size) = (1_000, 1_000);
    assert_eq!(code("a.zip", &raw_zip(&[large])), Code::Failed);
    let mut wrong = RawEntry::new("a.txt", b"x");
    wrong.crc ^= 1;
    assert_eq!(code("a.zip", &raw_zip(&[wrong])), Code::Failed);
}

#[test]
fn overlapping_entries_fail() {
    let first = RawEntry::new("a.txt", b"x");
    let second = RawEntry { shares: Some(0), ..first.clone() };
    let report = Case::new("a.zip", &raw_zip(&[first, second])).run();
    assert_eq!(report.root.verdict.code, Code::Failed);
    assert_eq!(report.root.verdict.detail, "overlapping entries");
}

#[test]
fn disagreeing_headers_fail() {
    let honest = RawEntry::new("a.txt", b"x");
    assert_eq!(code("a.zip", &raw_zip(std::slice::from_ref(&honest))), Code::NoThreatDetected);
    let name = RawEntry { local_name: b"a.exe".into(), ..honest.clone() };
    let size = RawEntry { local_size: 2, ..honest.clone() };
    let hidden = RawEntry { listed: false, ..RawEntry::new("hidden.txt", b"y") };
    for (what, entries) in [("name", vec![name]), ("size", vec![size]), ("missing from the central", vec![honest, hidden])] {
        let report = Case::new("a.zip", &raw_zip(&entries)).run();
        assert_eq!(report.root.verdict.code, Code::Failed, "{what}");
        assert!(report.root.verdict.detail.contains(what), "{}", report.root.verdict.detail);
    }
}

#[test]
fn an_archive_in_front_of_another_is_not_hidden_by_it() {
    let both = [zip(&[("eicar.com", &eicar())]), zip(&[("a.txt", b"x")])].concat();
    assert_eq!(code("a.zip", &both), Code::Failed);
}

#[test]
fn names_are_display_text_only() {
    let names: [&[u8]; 8] = [b"../../etc/passwd", b"/abs", b"a\r\nb", "x\u{202e}txt.exe".as_bytes(), b"\xff\xfe\xfd", b"C:\\x\\y", b"nul\0name", b""];
    let entries: Vec<_> = names.iter().map(|name| RawEntry::new(*name, b"x")).collect();
    let report = Case::new("a.zip", &raw_zip(&entries)).run();
    assert_eq!(report.children.len(), names.len());
    let shown: Vec<_> = report.children.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(shown[..3], ["a.zip/../../etc/passwd", "a.zip//abs", "a.zip/a__b"]);
    assert_eq!(shown[3], "a.zip/x_txt.exe");
    assert_eq!(report.children[3].verdict.code, Code::Suspicious, "a reversed extension is a finding");
    assert!(shown.iter().all(|name| name.starts_with("a.zip/")));
}

#[test]
fn duplicate_names_are_all_scanned() {
    let report = Case::new("a.zip", &raw_zip(&[RawEntry::new("a", b"x"), RawEntry::new("a", &eicar()), RawEntry::new("a", b"y")])).run();
    assert_eq!(lines(&report), ["1 a.zip", "0 a.zip/a", "1 a.zip/a", "0 a.zip/a"]);
}

#[test]
fn symbolic_links_are_not_followed() {
    let link = RawEntry { mode: 0o120_777, ..RawEntry::new("link", b"/etc/passwd") };
    let report = Case::new("a.zip", &raw_zip(&[link])).run();
    assert_eq!(lines(&report), ["0 a.zip", "0 a.zip/link"]);
    assert_eq!(report.children[0].size, 11);
    assert!(report.children[0].verdict.detail.contains("symbolic link"));
}

#[test]
fn archives_behind_other_content_are_opened() {
    let archive = zip(&[("eicar.com", &eicar())]);
    for prefix in [&b"#!/bin/sh\nexit\n"[..], &[0x90; 5_000]] {
        let report = Case::new("setup.run", &[prefix, &archive[..]].concat()).run();
        assert_eq!(report.root.verdict.code, Code::Infected, "{:?}", report.root.verdict);
        assert_eq!(report.children.len(), 1);
    }
    let trailing = [&archive[..], &[0; 1_000]].concat();
    assert_eq!(code("a.zip", &trailing), Code::Infected);
}

#[test]
fn content_around_the_entries_is_scanned() {
    let archive = zip(&[("a.txt", b"x")]);
    let behind = [&archive[..], &eicar()[..]].concat();
    assert_eq!(code("a.zip", &behind), Code::Infected);
    let before = [&eicar()[..], &archive[..]].concat();
    assert_eq!(code("a.zip", &before), Code::Infected);
}

#[test]
fn a_hundred_thousand_empty_entries_are_answered_fast() {
    // The count field has 16 bits; without ZIP64 records the archive says 34 464 and has more.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..100_000 {
        writer.start_file(format!("{n}"), stored()).unwrap();
    }
    let archive = writer.finish().unwrap().into_inner();
    let start = Instant::now();
    let report = Case::new("a.zip", &archive).run();
    assert_eq!(report.root.verdict.code, Code::ExceededArchiveFileNumber);
    assert!(report.children.is_empty());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    let lying = raw_zip(&(0..70_000).map(|n| RawEntry::new(format!("{n}"), b"")).collect::<Vec<_>>());
    let found = code("a.zip", &lying);
    assert!(found.is_blocked(), "{found:?}");
}

#[test]
fn entries_are_counted_over_all_levels() {
    let inner = zip(&[("1", b"x"), ("2", b"x"), ("3", b"x")]);
    let archive = zip(&[("a.zip", &inner), ("b.zip", &inner), ("c", b"x")]);
    let report = Case::new("o.zip", &archive).rule(|rule| rule.extraction.max_entries = 6).run();
    assert_eq!(report.root.verdict.code, Code::ExceededArchiveFileNumber);
    assert_eq!(lines(&report)[1..5], ["0 o.zip/a.zip", "0 o.zip/a.zip/1", "0 o.zip/a.zip/2", "0 o.zip/a.zip/3"]);
    assert_eq!(lines(&report)[5], "14 o.zip/b.zip", "the archive that went over, and what is around it");
    assert_eq!(report.children.len(), 5);
}

fn zeros(bytes: u64) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros", common::deflated().large_file(true)).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes), &mut writer).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_gigabyte_of_zeros_is_stopped() {
    let bomb = zeros(1024 * 1024 * 1024);
    let start = Instant::now();
    let report = Case::new("bomb.zip", &bomb).run();
    assert_eq!(lines(&report), ["13 bomb.zip", "13 bomb.zip/zeros"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    // The same, but the headers say it is small: then the decoder's output is what counts.
    let nested = zip_with(&[("1.zip", &bomb), ("2.zip", &bomb)], stored());
    let outer = zip(&[("deep.zip", &nested)]);
    let report = Case::new("outer.zip", &outer).run();
    assert_eq!(report.root.verdict.code, Code::ExceededArchiveSize);
    assert_eq!(lines(&report)[1..3], ["13 outer.zip/deep.zip", "13 outer.zip/deep.zip/1.zip"]);
    assert!(report.children.len() <= 4, "nothing is read after the limit: {:?}", lines(&report));
}

#[test]
fn output_is_counted_when_headers_lie() {
    // Headers that say 1 000 bytes for 64 MiB of output: the decoder is stopped at once, and the archive fails.
    let mut archive = zeros(64 * 1024 * 1024);
    let size = (64_u32 * 1024 * 1024).to_le_bytes();
    let places: Vec<_> = archive.windows(4).enumerate().filter(|(_, w)| **w == size).map(|(at, _)| at).collect();
    for at in places {
        archive[at..at + 4].copy_from_slice(&1_000_u32.to_le_bytes());
    }
    assert!(code("a.zip", &archive).is_blocked());
}

#[test]
fn total_size_is_counted_over_all_levels() {
    let noise: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let inner = zip_with(&[("a", &noise[..1_000_000]), ("b", &noise[1_000_000..2_000_000])], stored());
    let outer = zip_with(&[("i.zip", &inner), ("c", &noise[2_000_000..])], stored());
    let with = |max| Case::new("o.zip", &outer).rule(move |rule| rule.extraction.max_total_bytes = max).run();
    assert_eq!(with(5_100_000).root.verdict.code, Code::NoThreatDetected);
    let over = with(4_500_000);
    assert_eq!(lines(&over), ["13 o.zip", "0 o.zip/i.zip", "0 o.zip/i.zip/a", "0 o.zip/i.zip/b", "13 o.zip/c"]);
}

#[test]
fn depth_is_limited() {
    let mut content = b"x".to_vec();
    for _ in 0..4 {
        content = zip(&[("in.zip", &content)]);
    }
    let with = |max| Case::new("o.zip", &content).rule(move |rule| rule.extraction.max_depth = max).run();
    assert_eq!(with(4).root.verdict.code, Code::NoThreatDetected);
    let over = with(2);
    assert_eq!(over.root.verdict.code, Code::ExceededArchiveDepth);
    assert_eq!(over.children.len(), 2);
    assert!(over.children.iter().all(|c| c.verdict.code == Code::ExceededArchiveDepth));
    assert_eq!(over.children[1].engines.len(), 3, "it is not opened, but scanned");
}

#[test]
fn an_archive_is_opened_within_its_time_only() {
    let files: Vec<(String, Vec<u8>)> = (0..3_000).map(|n| (n.to_string(), vec![b'a'; 100_000])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let archive = zip(&files);
    let case = Case::new("a.zip", &archive).rule(|rule| {
        rule.extraction.timeout_seconds = 0;
        rule.extraction.max_ratio = 100_000;
    });
    assert_eq!(case.run().root.verdict.code, Code::ExceededArchiveTimeout);
}

#[test]
fn extraction_can_be_off() {
    let archive = zip(&[("eicar.com", &eicar())]);
    let report = Case::new("a.zip", &archive).rule(|rule| rule.extraction.enabled = false).run();
    assert_eq!(lines(&report), ["0 a.zip"]);
    assert!(!report.root.is_archive);
}

#[test]
fn large_children_are_spilled_and_scanned() {
    let mut large = vec![b' '; 6 * 1024 * 1024];
    let at = large.len() - 100;
    large[at..at + 68].copy_from_slice(&eicar());
    let report = Case::new("a.zip", &zip(&[("large.txt", &large), ("small", b"x")])).rule(|rule| rule.extraction.max_ratio = 100_000).run();
    assert_eq!(lines(&report), ["1 a.zip", "1 a.zip/large.txt", "0 a.zip/small"]);
}

#[test]
fn many_children_keep_the_order_of_extraction() {
    let files: Vec<(String, Vec<u8>)> = (0..2_000).map(|n| (format!("{n:05}"), format!("content {n}").repeat(n % 50).into_bytes())).collect();
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let report = Case::new("a.zip", &zip(&borrowed)).run();
    assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{:?}", report.root.verdict);
    let names: Vec<_> = report.children.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, files.iter().map(|(name, _)| format!("a.zip/{name}")).collect::<Vec<_>>());
}

#[test]
fn the_empty_archive_is_clean() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.flush().unwrap();
    let report = Case::new("a.zip", &writer.finish().unwrap().into_inner()).run();
    assert_eq!(lines(&report), ["0 a.zip"]);
    assert!(report.root.is_archive);
}

#[test]
fn containers_that_can_not_be_opened_are_not_clean() {
    let gzip = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[7; 50]].concat();
    let seven: &[u8] = b"7z\xbc\xaf\x27\x1c\0\x04aaaaaaaaaaaaaaaaaaaaaaaa";
    for (name, content) in [("a.gz", gzip.as_slice()), ("a.7z", seven)] {
        let report = Case::new(name, content).run();
        assert_eq!(report.root.verdict.code, Code::UnsupportedFileType, "{:?}", report.root);
        let tolerated = Case::new(name, content).rule(|rule| rule.tolerate = vec![Code::UnsupportedFileType]).run();
        assert_eq!(tolerated.root.verdict.code, Code::NoThreatDetected);
        assert_eq!(lines(&Case::new("o.zip", &zip(&[(name, content)])).run())[0], "23 o.zip");
    }
}
