//! Bytes inside archives that no entry owns, and work that gives nothing.

use portcullis_core::domain::verdict::Code;

use crate::common::{Case, crc32, eicar, lines, stored, zip_with};
use crate::hidden::{clean, evil, found};
use crate::make;

/// The archive that the programs for RAR look for in any file.
fn rar() -> Vec<u8> {
    make::rar(&[("eicar.com", eicar())], rars::ArchiveVersion::Rar50, |builder| builder)
}

/// The same with `more` in front of its header, and what the start header says of it.
fn sevenz_with(archive: &[u8], more: &[u8]) -> Vec<u8> {
    let offset = u64::from_le_bytes(archive[12..20].try_into().unwrap());
    let header = 32 + offset as usize;
    let mut out = [&archive[..header], more, &archive[header..]].concat();
    out[12..20].copy_from_slice(&(offset + more.len() as u64).to_le_bytes());
    let sum = crc32(&out[12..32]).to_le_bytes();
    out[8..12].copy_from_slice(&sum);
    out
}

#[test]
fn what_no_stream_of_a_7z_owns_is_looked_at() {
    for (name, method) in [("copy", sevenz_rust2::EncoderMethod::COPY), ("LZMA2", sevenz_rust2::EncoderMethod::LZMA2)] {
        let plain = make::sevenz(&clean(), &[method.into()]);
        let report = Case::new("a.7z", &plain).run();
        assert_eq!(lines(&report), ["0 a.7z", "0 a.7z/text.txt"], "{name}");
        found(name, "a.7z", &sevenz_with(&plain, &rar()));
    }
}

#[test]
fn what_no_part_of_a_cabinet_owns_is_looked_at() {
    let plain = make::cab(&clean(), cab::CompressionType::MsZip);
    let report = Case::new("a.cab", &plain).run();
    assert_eq!(lines(&report), ["0 a.cab", "0 a.cab/text.txt"]);
    // Behind the data, where the cabinet says that it goes on.
    let mut behind = [plain.clone(), rar()].concat();
    let size = (behind.len() as u32).to_le_bytes();
    behind[8..12].copy_from_slice(&size);
    found("behind the data", "a.cab", &behind);
    // Between the tables and the data.
    let data = u32::from_le_bytes(plain[36..40].try_into().unwrap()) as usize;
    let mut between = [&plain[..data], &rar(), &plain[data..]].concat();
    let (size, moved) = ((between.len() as u32).to_le_bytes(), ((data + rar().len()) as u32).to_le_bytes());
    between[8..12].copy_from_slice(&size);
    between[36..40].copy_from_slice(&moved);
    found("in front of the data", "a.cab", &between);
    // In what the header reserves for others.
    let more = rar().len() + 4;
    let moved = |at: usize| (u32::from_le_bytes(plain[at..at + 4].try_into().unwrap()) + more as u32).to_le_bytes();
    let mut reserved = [&plain[..36], &(rar().len() as u16).to_le_bytes(), &[0, 0], &rar(), &plain[36..]].concat();
    [8, 16, 36].into_iter().for_each(|at| reserved[if at == 36 { at + more } else { at }..][..4].copy_from_slice(&moved(at)));
    reserved[30] = 4;
    found("in what is reserved", "a.cab", &reserved);
}

#[test]
fn what_is_behind_a_locked_rar_is_looked_at() {
    for version in [rars::ArchiveVersion::Rar50, rars::ArchiveVersion::Rar40] {
        let locked = make::rar(&clean(), version, |builder| builder.password(Some(b"right".to_vec())).header_encryption(true));
        let report = Case::new("a.rar", &locked).passwords(&["right"]).run();
        assert_eq!(lines(&report), ["0 a.rar", "0 a.rar/text.txt"], "{version:?}");
        for behind in [evil(), make::gzip(&eicar())] {
            let report = Case::new("a.rar", &[&locked[..], &behind].concat()).passwords(&["right"]).run();
            let shown = report.children.iter().any(|child| child.verdict.code == Code::Infected);
            assert!(shown, "{version:?}: {:?} {:?}", report.root.verdict, lines(&report));
        }
    }
}

#[test]
fn entries_that_break_at_their_last_byte_are_charged_in_the_end() {
    let content = vec![b'x'; 1 << 20];
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), content.as_slice())).collect();
    let mut broken = zip_with(&entries, stored());
    let sum = crc32(&content).to_le_bytes();
    let places: Vec<usize> = broken.windows(4).enumerate().filter(|(_, window)| *window == sum).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 40);
    places.iter().for_each(|at| broken[*at] ^= 1);
    let case = |limit: u64| Case::new("a.zip", &broken).rule(|rule| rule.extraction.max_total_bytes = limit);
    assert_eq!(case(64 << 20).run().root.verdict.code, Code::Failed);
    let report = case(4 << 20).run();
    assert!(report.root.verdict.all.contains(&Code::ExceededArchiveSize), "{:?}", report.root.verdict);
}
