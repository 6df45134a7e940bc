//! Archives, mostly bad ones: every one of them must end with the right code, soon, and never as clean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

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
    assert!(report.children.iter().all(|c| c.engines.len() == report.root.engines.len() && c.digests.sha256.len() == 64));
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
    assert_eq!(over.children[1].engines.len(), over.root.engines.len(), "it is not opened, but scanned");
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
    assert_eq!(lines(&report), ["23 a.zip"], "what was not looked into is not clean");
    assert!(!report.root.is_archive);
    let tolerated = Case::new("a.zip", &archive).rule(|rule| {
        rule.extraction.enabled = false;
        rule.tolerate = vec![Code::UnsupportedFileType];
    });
    assert_eq!(lines(&tolerated.run()), ["0 a.zip"]);
    assert_eq!(lines(&Case::new("a", b"x").rule(|rule| rule.extraction.enabled = false).run()), ["0 a"]);
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
        assert_eq!(code(name, content), Code::Failed, "{name} is opened, and broken");
    }
    let lzip = [&b"LZIP\x01\x0c"[..], &[7; 50]].concat();
    let ace = [&[1; 7][..], b"**ACE**", &[7; 50]].concat();
    for (name, content) in [("a.lz", lzip.as_slice()), ("a.ace", ace.as_slice())] {
        let report = Case::new(name, content).run();
        assert_eq!(report.root.verdict.code, Code::UnsupportedFileType, "{:?}", report.root);
        let tolerated = Case::new(name, content).rule(|rule| rule.tolerate = vec![Code::UnsupportedFileType]).run();
        assert_eq!(tolerated.root.verdict.code, Code::NoThreatDetected);
        assert_eq!(lines(&Case::new("o.zip", &zip(&[(name, content)])).run())[0], "23 o.zip");
    }
}

/// The parts of an archive, put together by hand: what a reader that ignores the directory finds in it.
struct Parts {
    name: &'static [u8],
    content: Vec<u8>,
    /// Compressed data, and what shall pass for them.
    data: Vec<u8>,
    method: u16,
    flags: u16,
    /// Zeros for sizes and checksum in the local header.
    later: bool,
    extra: Vec<u8>,
}

impl Parts {
    /// A deflated file.
    fn new(name: &'static [u8], content: &[u8]) -> Self {
        Self { name, data: deflated_data(content), content: content.into(), method: 8, flags: 0, later: false, extra: Vec::new() }
    }

    /// A stored file of unknown length.
    fn streamed(content: &[u8]) -> Self {
        Self { data: content.into(), method: 0, flags: 8, later: true, ..Self::new(b"a.txt", content) }
    }

    fn evil() -> Self {
        Self::new(b"evil.com", &eicar())
    }

    fn clean() -> Self {
        Self::new(b"a.txt", &b"hello clean\n".repeat(3))
    }

    fn sizes(&self) -> Vec<u8> {
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        [common::crc32(&self.content), size(&self.data), size(&self.content)].iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn local(&self) -> Vec<u8> {
        let sizes = if self.later { vec![0; 12] } else { self.sizes() };
        let head = [&b"PK\x03\x04"[..], &words(&[20, self.flags, self.method, 0, 33]), &sizes].concat();
        [head, words(&[len(self.name), len(&self.extra)]), self.name.into(), self.extra.clone(), self.data.clone()].concat()
    }

    fn central(&self, offset: usize) -> Vec<u8> {
        let head = [&b"PK\x01\x02"[..], &words(&[20, 20, self.flags, self.method, 0, 33]), &self.sizes()].concat();
        let offset = u32::try_from(offset).unwrap().to_le_bytes();
        [head, words(&[len(self.name), 0, 0, 0, 0, 0, 0]), offset.into(), self.name.into()].concat()
    }

    fn descriptor(&self) -> Vec<u8> {
        [&b"PK\x07\x08"[..], &self.sizes()].concat()
    }
}

fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn len(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap()
}

/// What the compressor makes of a content, cut out of an archive.
fn deflated_data(content: &[u8]) -> Vec<u8> {
    let archive = zip(&[("x", content)]);
    let size = u32::from_le_bytes(archive[18..22].try_into().unwrap()) as usize;
    let start = 30 + 1 + usize::from(u16::from_le_bytes(archive[28..30].try_into().unwrap()));
    archive[start..start + size].into()
}

fn end(entries: u16, size: usize, offset: usize, comment: u16) -> Vec<u8> {
    let long = |v: usize| u32::try_from(v).unwrap().to_le_bytes();
    [&b"PK\x05\x06"[..], &words(&[0, 0, entries, entries]), &long(size), &long(offset), &words(&[comment])].concat()
}

/// An archive that lists `listed` (the first thing in `body`) only.
fn listing(listed: &Parts, body: &[u8]) -> Vec<u8> {
    let central = listed.central(0);
    [body, &central, &end(1, central.len(), body.len(), 0)].concat()
}

fn fails(what: &str, content: &[u8]) {
    for (name, content) in [("a.zip", content.to_vec()), ("outer.zip", zip(&[("a.zip", content)]))] {
        let report = Case::new(name, &content).run();
        assert_eq!(report.root.verdict.code, Code::Failed, "{what}, {name}: {:?}", report.root.verdict);
    }
}

#[test]
fn an_end_record_that_denies_the_entries_fails() {
    let evil = Parts::evil();
    let (local, central) = (evil.local(), evil.central(0));
    fails("no directory", &[local.clone(), end(0, 0, local.len(), 0)].concat());
    fails("a directory", &[local.clone(), central.clone(), end(0, 0, local.len() + central.len(), 0)].concat());
    let real = listing(&evil, &local);
    fails("after the real one", &[&real[..], &end(0, 0, 0, 0)].concat());
    let behind_other = [b"junk".to_vec(), local.clone(), central.clone(), end(0, 0, 0, 0)].concat();
    assert_eq!(code("a.bin", &behind_other), Code::Failed);
    let behind_other = [b"junk".to_vec(), local.clone(), central.clone(), end(0, central.len(), 4 + local.len(), 0)].concat();
    assert_eq!(code("a.bin", &behind_other), Code::Failed);
    let commented = [end(0, 0, 0, 5), b"hello".to_vec()].concat();
    assert_eq!(code("empty.zip", &commented), Code::NoThreatDetected, "nothing in it is nothing in it");
}

#[test]
fn a_second_archive_behind_the_first_fails_whatever_its_comment_says() {
    let (clean, evil) = (Parts::clean(), Parts::evil());
    let first = listing(&clean, &clean.local());
    for comment in [0, 99, u16::MAX] {
        let (local, central) = (evil.local(), evil.central(first.len()));
        let second = [local.clone(), central.clone(), end(1, central.len(), first.len() + local.len(), comment)].concat();
        fails(&format!("comment of {comment}"), &[&first[..], &second].concat());
    }
    fails("an entry in the comment", &[&first[..first.len() - 2], &words(&[len(&evil.local())]), &evil.local()].concat());
}

#[test]
fn bytes_that_the_decoder_does_not_need_fail() {
    let mut listed = Parts::clean();
    (listed.flags, listed.later) = (8, true);
    let honest = [listed.local(), listed.descriptor()].concat();
    assert_eq!(code("a.zip", &listing(&listed, &honest)), Code::NoThreatDetected);
    let data = listed.data.clone();
    let hidden = [listed.descriptor(), Parts::evil().local()].concat();
    listed.data.extend(&hidden);
    fails("an entry behind the data", &listing(&listed, &listed.local()));
    for slack in [2, 100, 8_192, 32_768, 40_000] {
        listed.data = [&data[..], &vec![0; slack]].concat();
        fails(&format!("{slack} bytes behind the data"), &listing(&listed, &listed.local()));
    }
    let hides = Parts::streamed(&[b"text ".to_vec(), Parts::streamed(b"text ").descriptor(), Parts::evil().local()].concat());
    fails("stored data of unknown length", &listing(&hides, &hides.local()));
    let plain = Parts::streamed(b"plain text");
    let streamed = [plain.local(), plain.descriptor()].concat();
    assert_eq!(code("a.zip", &listing(&plain, &streamed)), Code::NoThreatDetected, "some writers do that");
}

#[test]
fn large_deflated_entries_are_read_to_their_end() {
    let noise: Vec<u8> = (0..400_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[1]).collect();
    for size in [0, 1, 8_191, 8_192, 65_536, 400_000] {
        let report = Case::new("a.zip", &zip(&[("a", &noise[..size])])).run();
        assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{size}: {:?}", report.root.verdict);
    }
}

#[test]
fn nothing_hides_between_the_entries() {
    let clean = Parts::clean();
    let mut beyond = Parts::evil().local();
    beyond[28..30].copy_from_slice(&60_000_u16.to_le_bytes());
    let hidden: [(&str, Vec<u8>); 5] = [
        ("a control character in the name", Parts { name: b"\x01evil.com", ..Parts::evil() }.local()),
        ("a reserved flag", Parts { flags: 0x4000, ..Parts::evil() }.local()),
        ("an extra field beyond the gap", beyond),
        ("only the signature", b"PK\x03\x04".to_vec()),
        ("other data", b"something".to_vec()),
    ];
    for (what, gap) in &hidden {
        fails(what, &listing(&clean, &[&clean.local()[..], gap].concat()));
    }
    let extra = Parts { extra: Parts::evil().local(), ..Parts::clean() };
    fails("in the extra field", &listing(&extra, &extra.local()));
    let signed = {
        let pairs = [7_u8; 100];
        let length = (pairs.len() as u64 + 24).to_le_bytes();
        [&length[..], &pairs, &length, b"APK Sig Block 42"].concat()
    };
    for gap in [vec![0; 50], signed] {
        assert_eq!(code("a.zip", &listing(&clean, &[&clean.local()[..], &gap].concat())), Code::NoThreatDetected);
    }
}

#[test]
fn an_entry_in_front_of_the_archive_is_not_hidden_by_its_looks() {
    let inner = zip(&[("a.txt", b"x")]);
    for evil in [Parts { name: b"\x01evil.com", ..Parts::evil() }, Parts { flags: 0x4000, ..Parts::evil() }] {
        fails("at the start", &[evil.local(), inner.clone()].concat());
        assert_eq!(code("a.run", &[b"#!/bin/sh\n".to_vec(), evil.local(), inner.clone()].concat()), Code::Failed);
    }
    let knows = [&b"MZ PK\x03\x04PK\x01\x02PK\x05\x06 PK\x03\x04"[..], &[0; 40], &inner].concat();
    assert_eq!(code("setup.exe", &knows), Code::NoThreatDetected, "programs know the signature");
}

#[test]
fn padding_does_not_hide_an_archive() {
    let archive = zip(&[("eicar.com", &eicar())]);
    for prefix in [&b""[..], &b"junk".repeat(20)] {
        let found = code("a.bin", &[prefix, &archive, &vec![0; 70_000]].concat());
        assert!(found.is_blocked(), "{found:?}");
    }
}

#[test]
fn containers_by_other_marks_are_not_clean() {
    let padded = |magic: &[u8], bytes: usize| [magic, &vec![0; bytes]].concat();
    let koly = [&[1; 4_000][..], b"koly\0\0\0\x04\0\0\x02\0", &[0; 500]].concat();
    let vhd = [&[0; 2_048][..], b"conectix", &[0; 504]].concat();
    let program = [&b"MZ"[..], &[0; 58], &64_u32.to_le_bytes(), b"PE\0\0", &[0; 300], b"7z\xbc\xaf\x27\x1c\0\x04", &[0; 60]].concat();
    let picture = |magic: &[u8]| [&b"\xff\xd8\xff\xe0\0\x10JFIF\0"[..], &[0; 50], b"\xff\xd9", magic, &[1; 40]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a.chm", padded(b"ITSF\x03\0\0\0", 90)),
        ("a.pst", padded(b"!BDN", 100)),
        ("a.arj", padded(b"\x60\xea\x2c\0\x1e\x07\x01\0\0", 60)),
        ("a.dmg", koly),
        ("a.vhd", vhd),
        ("a.jpg", picture(b"Rar!\x1a\x07\x01\0")),
        ("a.jpg", picture(b"7z\xbc\xaf\x27\x1c")),
        ("a.exe", program),
    ];
    for (name, content) in cases {
        let report = Case::new(name, &content).run();
        assert_eq!(report.root.verdict.code, Code::UnsupportedFileType, "{name}: {:?} {:?}", report.root.verdict, report.root.file_type);
        let tolerated = Case::new(name, &content).rule(|rule| rule.tolerate = vec![Code::UnsupportedFileType]).run();
        assert_eq!(tolerated.root.verdict.code, Code::NoThreatDetected, "{name}");
    }
    assert_eq!(code("a.jpg", &picture(b"")), Code::NoThreatDetected);
    let elf = [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0"[..], &[0; 100], b"7z\xbc\xaf\x27\x1c"].concat();
    assert_eq!(code("a", &elf), Code::NoThreatDetected, "a program that knows the format");
}
