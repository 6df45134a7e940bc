//! Bombs and tricks: each ends with its own code, within ten seconds and 256 MB.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_core::domain::verdict::Code;
use portcullis_engines::{AnalysisReport, WorkerConfig, WorkerPool};

use crate::common::{Case, RawEntry, eicar, lines, raw_zip, zip};
use crate::make::{self, TEXT};

/// In a worker that may have 256 MB, and must be done within ten seconds.
pub(crate) fn bounded(name: &str, content: &[u8]) -> AnalysisReport {
    bounded_case(name, &Case::new(name, content))
}

fn bounded_case(name: &str, case: &Case) -> AnalysisReport {
    static BUSY: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = BUSY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let config = WorkerConfig {
        clamd: None,
        executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-worker")),
        workers: 1,
        definitions_dir: None,
        cache_dir: std::env::temp_dir().join(format!("portcullis-test-{}", std::process::id())),
        scratch_dir: case.dir().to_path_buf(),
        memory_limit_bytes: 256 * 1024 * 1024,
        test_hooks: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = WorkerPool::new(config);
        pool.analyse(Case::new("warm-up", b"x").job.clone()).await.unwrap();
        let start = Instant::now();
        let report = pool.analyse(case.job.clone()).await.unwrap_or_else(|death| panic!("{name}: {death}"));
        assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
        report
    })
}

pub(crate) fn ends(what: &str, name: &str, content: &[u8], code: Code) {
    let report = bounded(name, content);
    assert_eq!(report.root.verdict.code, code, "{what}: {:?} {:?}", report.root.verdict, lines(&report).iter().take(5).collect::<Vec<_>>());
}

fn zeros(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

#[test]
fn bombs_of_every_decoder_are_stopped() {
    let large = zeros(128 << 20);
    for (name, bomb) in [
        ("a.gz", make::gzip(&large)),
        ("a.bz2", make::bzip2(&large)),
        ("a.xz", make::xz(&large)),
        ("a.zst", make::zstd(&large)),
        ("a.lz4", make::lz4(&large)),
        ("a.7z", make::sevenz(&[("zeros", large.clone())], &[sevenz_rust2::EncoderMethod::LZMA2.into()])),
    ] {
        ends("a bomb", name, &bomb, Code::ExceededArchiveSize);
    }
    ends("cab", "a.cab", &make::cab(&[("zeros", zeros(64 << 20))], cab::CompressionType::MsZip), Code::ExceededArchiveSize);
    ends("rar", "a.rar", &make::rar(&[("zeros", zeros(64 << 20))], rars::ArchiveVersion::Rar50, |builder| builder), Code::ExceededArchiveSize);
}

#[test]
fn nesting_ends_at_its_depth() {
    let mut content = TEXT.to_vec();
    for _ in 0..20 {
        content = make::gzip(&content);
    }
    ends("gzip x 20", "a.gz", &content, Code::ExceededArchiveDepth);
}

/// Stored blocks in stored blocks: nothing is compressed, each level is hardly smaller than the one around it.
#[test]
fn fifteen_stored_levels_end_at_the_depth() {
    ends("stored levels", "a.gz", &nested_stored(), Code::ExceededArchiveDepth);
}

fn stored(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), content].concat()
}

/// A gzip stream that decodes to a gzip stream that decodes to … as deep as anyone looks: each level holds the next one stored.
fn nested_stored() -> Vec<u8> {
    let mut content = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for _ in 0..15 {
        let mut block = stored(&content);
        block[0] = 1;
        let tail = [crate::common::crc32(&content).to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
        content = [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], &block, &tail].concat();
    }
    content
}

fn tar_with(change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("a.txt").unwrap();
    header.set_size(TEXT.len() as u64);
    header.set_mode(0o644);
    change(&mut header);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(TEXT);
    out.resize(out.len().next_multiple_of(512) + 1024, 0);
    out
}

#[test]
fn tar_sizes_that_lie_are_refused() {
    assert_eq!(bounded("a.tar", &tar_with(|_| ())).root.verdict.code, Code::NoThreatDetected);
    let size = |field: [u8; 12]| tar_with(move |header| header.as_old_mut().size = field);
    ends("negative", "a.tar", &size([0xff; 12]), Code::Failed);
    ends("no number", "a.tar", &size(*b"12x45678901\0"), Code::Failed);
    ends("8 EiB", "a.tar", &size([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Code::Failed);
    ends("more than there is", "a.tar", &size(*b"77777777777\0"), Code::Failed);
    ends("a directory with a size", "a.tar", &tar_with(|header| header.set_entry_type(tar::EntryType::Directory)), Code::Failed);
    let sparse = tar_with(|header| {
        header.set_entry_type(tar::EntryType::GNUSparse);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize = *b"77777777777\0";
        gnu.sparse[0].offset = *b"00000000000\0";
        gnu.sparse[0].numbytes = *b"00000000001\0";
    });
    ends("a hole of 8 GiB", "a.tar", &sparse, Code::ExceededArchiveSize);
}

#[test]
fn headers_that_ask_for_memory_are_refused() {
    // xz: a dictionary of 1.5 GiB. The filter's byte stands in the block header, whose checksum is made new.
    let mut xz = make::xz(&vec![b'x'; 10_000]);
    let size = (usize::from(xz[12]) + 1) * 4;
    let at = 12 + xz[12..12 + size].windows(2).position(|pair| pair == [0x21, 1]).unwrap() + 2;
    xz[at] = 37;
    let crc = crate::common::crc32(&xz[12..12 + size - 4]).to_le_bytes();
    xz[12 + size - 4..12 + size].copy_from_slice(&crc);
    ends("xz", "a.xz", &xz, Code::Failed);
    // zstd: a window of 2 GiB in the frame header.
    let zstd = [&b"\x28\xb5\x2f\xfd\0"[..], &[21 << 3], b"\x01\0\0"].concat();
    ends("zstd", "a.zst", &zstd, Code::Failed);
    let mut lzma = make::lzma(&vec![b'x'; 10_000]);
    lzma[1..5].copy_from_slice(&(1_u32 << 31).to_le_bytes());
    ends("lzma", "a.lzma", &lzma, Code::Failed);
    // 7z: a header that says it has 2⁶⁰ bytes, and one whose counts are absurd.
    let mut sevenz = make::sevenz(&[("a", TEXT.to_vec())], &[sevenz_rust2::EncoderMethod::LZMA2.into()]);
    sevenz[20..28].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let crc = crate::common::crc32(&sevenz[12..32]).to_le_bytes();
    sevenz[8..12].copy_from_slice(&crc);
    ends("7z header of 2^60 bytes", "a.7z", &sevenz, Code::Failed);
    let counts = [&[1, 4, 6, 0][..], &[0xff; 9], &[0xff; 9]].concat();
    let start = [&0_u64.to_le_bytes()[..], &(counts.len() as u64).to_le_bytes(), &crate::common::crc32(&counts).to_le_bytes()].concat();
    let sevenz = [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], &crate::common::crc32(&start).to_le_bytes(), &start, &counts].concat();
    ends("7z with absurd counts", "a.7z", &sevenz, Code::Failed);
}

#[test]
fn a_rar_with_a_wrong_checksum_fails_and_shows_the_rest() {
    let mut rar = make::rar(&[("a.txt", TEXT.to_vec()), ("eicar.com", eicar())], rars::ArchiveVersion::Rar50, |builder| builder.store(true));
    let at = rar.windows(TEXT.len()).position(|window| window == TEXT).unwrap();
    rar[at] ^= 1;
    let report = bounded("a.rar", &rar);
    assert_eq!(lines(&report), ["3 a.rar", "3 a.rar/a.txt", "1 a.rar/eicar.com"], "{:?}", report.root.verdict);
}

#[test]
fn volumes_are_told_apart_from_whole_archives() {
    let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar50).volume_size(Some(2_000)).store(true);
    builder.add_bytes(b"big".to_vec(), (0..5_000_u32).flat_map(u32::to_le_bytes).collect(), None, None).unwrap();
    let volumes = builder.build_volumes(None).unwrap();
    assert!(volumes.len() > 1);
    for volume in &volumes[..2] {
        let report = bounded("a.part1.rar", volume);
        assert_eq!(report.root.verdict.code, Code::Failed, "{:?} {:?}", report.root.verdict, lines(&report));
        assert!(report.root.verdict.detail.contains("volume"), "{:?}", report.root.verdict);
    }
}

#[test]
fn names_and_types_that_deceive_are_told() {
    let report = bounded("a.tar", &make::tar(&[("x\u{202e}gpj.exe", TEXT.to_vec()), ("../../etc/passwd", TEXT.to_vec())][..1]));
    assert_eq!(report.children[0].name, "a.tar/x_gpj.exe");
    assert_eq!(report.root.verdict.code, Code::Suspicious, "{:?}", report.root.verdict);
    ends(
        "7z named as a picture",
        "a.png",
        &make::sevenz(&[("a", TEXT.to_vec())], &[sevenz_rust2::EncoderMethod::LZMA2.into()]),
        Code::FileTypeMismatch,
    );
    let twice = [RawEntry::new("a", b"x"), RawEntry { shares: Some(0), ..RawEntry::new("b", b"x") }];
    ends("overlap", "a.zip", &raw_zip(&twice), Code::Failed);
    let links = {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "link", "/etc/passwd").unwrap();
        builder.into_inner().unwrap()
    };
    ends("a link", "a.tar", &links, Code::NoThreatDetected);
}

#[test]
fn many_entries_and_many_empty_members_are_stopped() {
    let entries: Vec<(String, Vec<u8>)> = (0..3_000).map(|n| (n.to_string(), Vec::new())).collect();
    let entries: Vec<(&str, Vec<u8>)> = entries.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    for (name, archive) in [("a.cpio", make::cpio_odc(&entries)), ("a.tar", make::tar(&entries)), ("a.a", make::ar(&entries))] {
        let case = Case::new(name, &archive).rule(|rule| rule.extraction.max_entries = 1_000);
        assert_eq!(bounded_case(name, &case).root.verdict.code, Code::ExceededArchiveFileNumber, "{name}");
    }
    let empty = make::gzip(b"").repeat(200_000);
    ends("empty members", "a.gz", &empty, Code::NoThreatDetected);
    ends("a zip in it", "a.zip", &zip(&[("a.gz", &empty)]), Code::NoThreatDetected);
}
