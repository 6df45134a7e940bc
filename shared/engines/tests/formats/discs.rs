//! Images of discs, made so that one program finds in them what another does not.

use std::ops::Range;

use portcullis_core::domain::verdict::Code;

use crate::common::{Case, eicar, lines};
use crate::hidden::{both, evil, found, image, susp, with_susp};
use crate::make::{self, TEXT};

const SECTOR: usize = 2048;

/// Found only by who knows where it begins: nobody looks for gzip in the middle of sectors that belong to no file.
fn lost() -> Vec<u8> {
    make::gzip(&eicar())
}

/// A directory that holds [`lost`] in sector 26.
fn below() -> Vec<u8> {
    [make::record(&[0], 25, SECTOR, 2), make::record(&[1], 20, SECTOR, 2), make::record(b"E.GZ;1", 26, lost().len(), 0)].concat()
}

/// Sectors 24 to 26: what keeps gzip from being at the beginning of what is left, the directory, and its file.
fn contents() -> Vec<(usize, Vec<u8>)> {
    vec![(24, b"not the beginning".to_vec()), (25, below()), (26, lost())]
}

fn put(image: &mut [u8], range: Range<usize>, bytes: &[u8]) {
    image[range].copy_from_slice(bytes);
}

fn code(content: &[u8]) -> Code {
    Case::new("a.iso", content).run().root.verdict.code
}

#[test]
fn a_directory_that_only_the_path_table_names_is_read() {
    // Windows looks directories up in the path table.
    let table = |is_big: bool, at: u32| {
        let place = |sector: u32| if is_big { sector.to_be_bytes() } else { sector.to_le_bytes() };
        let parent = if is_big { [0, 1] } else { [1, 0] };
        [&[1, 0][..], &place(20), &parent, &[0, 0], &[3, 0], &place(at), &parent, b"DIR\0"].concat()
    };
    for (field, is_big) in [(140, false), (144, false), (148, true), (152, true)] {
        let with = |at: u32| {
            let mut content = image(&[], &contents());
            let table = table(is_big, at);
            put(&mut content, 22 * SECTOR..22 * SECTOR + table.len(), &table);
            put(&mut content, 16 * SECTOR + 132..16 * SECTOR + 136, &(table.len() as u32).to_le_bytes());
            let place = if is_big { 22_u32.to_be_bytes() } else { 22_u32.to_le_bytes() };
            put(&mut content, 16 * SECTOR + field..16 * SECTOR + field + 4, &place);
            content
        };
        found("a directory of the path table", "a.iso", &with(25));
        assert_eq!(code(&with(26)), Code::Failed, "where the table leads to is no directory");
    }
    // A table that says it is as long as the image hides nothing.
    let mut content = image(&[], &[(26, evil())]);
    put(&mut content, 16 * SECTOR + 132..16 * SECTOR + 136, &(20 * SECTOR as u32).to_le_bytes());
    put(&mut content, 16 * SECTOR + 140..16 * SECTOR + 144, &20_u32.to_le_bytes());
    assert!(code(&content).is_blocked());
}

#[test]
fn both_ends_of_a_link_to_a_moved_directory_are_read() {
    let link = [(b"CL", both(&[25]))];
    let empty = [make::record(&[0], 28, SECTOR, 2), make::record(&[1], 20, SECTOR, 2)].concat();
    let mut both_ends = contents();
    both_ends.push((28, empty.clone()));
    found("the moved one", "a.iso", &image(&[with_susp(make::record(b"D", 28, SECTOR, 2), &link)], &both_ends));
    // Who knows nothing of Rock Ridge sees a file.
    let file = with_susp(make::record(b"E.GZ;1", 26, lost().len(), 0), &[(b"CL", both(&[28]))]);
    found("its file", "a.iso", &image(&[file], &[(24, b"not the beginning".to_vec()), (26, lost()), (28, empty)]));
    let directory = with_susp(make::record(b"D", 25, SECTOR, 2), &[(b"CL", both(&[28]))]);
    found("its directory", "a.iso", &image(&[directory], &both_ends));
}

#[test]
fn a_directory_is_read_with_the_blocks_of_every_tree() {
    // The same directory, first with blocks of 512 bytes: its records lead elsewhere than with blocks of 2048.
    let file = make::record(b"E.GZ;1", 31, lost().len(), 0);
    let directory = [make::record(&[0], 25, SECTOR, 2), make::record(&[1], 20, SECTOR, 2), file].concat();
    let sectors = [(25, directory), (30, b"not the beginning".to_vec()), (31, lost())];
    let mut content = image(&[make::record(b"D", 25, SECTOR, 2)], &sectors);
    content.resize(110 * SECTOR, 0);
    let mut other = make::volume(2, 27 * 4, 110);
    other[128..132].copy_from_slice(&[0, 2, 2, 0]);
    put(&mut content, 17 * SECTOR..18 * SECTOR, &other);
    put(&mut content, 18 * SECTOR..19 * SECTOR, &make::volume(255, 0, 0));
    let root = make::record(b"D", 25 * 4, SECTOR, 2);
    put(&mut content, 27 * SECTOR..27 * SECTOR + root.len(), &root);
    found("blocks of 512 bytes", "a.iso", &content);
}

#[test]
fn rock_ridge_is_read_as_linux_does() {
    let zf = (b"ZF", [&b"pz\x04\x0f"[..], &both(&[100])].concat());
    let file = || make::record(b"A.TXT;1", 30, TEXT.len(), 0);
    let text = || vec![(30, TEXT.to_vec())];
    let raw = |system: &[u8]| {
        let mut out = [file(), system.to_vec()].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out[0] = out.len() as u8;
        out
    };
    assert_eq!(code(&image(&[raw(b"")], &text())), Code::NoThreatDetected);
    let entry = susp(std::slice::from_ref(&zf));
    assert_eq!(code(&image(&[raw(&[b"XX\x03", &entry[..]].concat())], &text())), Code::Failed, "an entry of three bytes");
    assert_eq!(code(&image(&[raw(&[&[0; 14], &entry[..]].concat())], &text())), Code::Failed, "behind attributes of CD-ROM XA");
    // `SP` in the root's own record: skip 6 bytes of all others.
    let sp = with_susp(make::record(&[0], 20, SECTOR, 2), &[(b"SP", b"\xbe\xef\x06".to_vec())]);
    let root = [sp, make::record(&[1], 20, SECTOR, 2), raw(&[&[1; 6], &entry[..]].concat())].concat();
    let mut content = image(&[], &text());
    put(&mut content, 20 * SECTOR..20 * SECTOR + root.len(), &root);
    assert_eq!(code(&content), Code::Failed, "behind bytes that are to be skipped");
    // What is said of the first part of a file counts for it.
    let mut first = with_susp(make::record(b"A.TXT;1", 30, SECTOR, 0), &[zf]);
    first[25] = 0x80;
    assert_eq!(code(&image(&[first, make::record(b"A.TXT;1", 31, 5, 0)], &text())), Code::Failed, "the first part");
    let mut first = make::record(b"A.TXT;1", 30, SECTOR, 0x80);
    first[26] = 1;
    assert_eq!(code(&image(&[first, make::record(b"A.TXT;1", 31, 5, 0)], &text())), Code::Failed, "the first part is interleaved");
    // For Linux the mode decides what is a directory.
    let mode = |mode: u32| [(b"PX", both(&[mode, 1, 0, 0]))];
    assert_eq!(code(&image(&[with_susp(file(), &mode(0o100_644))], &text())), Code::NoThreatDetected);
    assert_eq!(code(&image(&[with_susp(make::record(b"D", 25, SECTOR, 0), &mode(0o040_755))], &contents())), Code::Failed);
    assert_eq!(code(&image(&[with_susp(make::record(b"D", 25, SECTOR, 2), &mode(0o100_644))], &contents())), Code::Failed);
}

#[test]
fn continuation_areas_are_bounded_and_belong_to_their_file() {
    let name = (b"NM", b"\0long name.txt".to_vec());
    let area = susp(std::slice::from_ref(&name));
    let with = |size: usize| with_susp(make::record(b"A.TXT;1", 30, TEXT.len(), 0), &[(b"CE", both(&[35, 0, size as u32]))]);
    let sectors = || vec![(30, TEXT.to_vec()), (35, area.clone())];
    let report = Case::new("a.iso", &image(&[with(area.len())], &sectors())).run();
    assert_eq!(lines(&report), ["0 a.iso", "0 a.iso/long name.txt"]);
    assert_eq!(code(&image(&[with(4 * SECTOR)], &sectors())), Code::Failed, "more than a block");
}

#[test]
fn archives_in_the_slack_of_a_directory_are_looked_at() {
    let mut root = make::record(&[0], 20, 2 * SECTOR, 2);
    root.extend(make::record(&[1], 20, SECTOR, 2));
    let mut content = image(&[], &[(21, [&[0][..], &evil()].concat())]);
    put(&mut content, 20 * SECTOR..20 * SECTOR + root.len(), &root);
    put(&mut content, 16 * SECTOR + 156..16 * SECTOR + 190, &make::record(&[0], 20, 2 * SECTOR, 2));
    found("behind the records", "a.iso", &content);
}

#[test]
fn file_systems_that_nobody_opens_are_not_clean() {
    let plus = |content: &mut Vec<u8>, at: usize| put(content, at + 1024..at + 1028, b"H+\0\x04");
    let plain = || image(&[make::record(b"A.TXT;1", 30, TEXT.len(), 0)], &[(30, TEXT.to_vec())]);
    // An Apple partition map whose second row is a volume; distributions mark their FAT partition like that.
    let mapped = |block: usize| {
        let mut content = plain();
        let map = [&b"PM\0\0\0\0\0\x01"[..], &((32 * SECTOR / block) as u32).to_be_bytes()].concat();
        put(&mut content, 2 * block..2 * block + map.len(), &map);
        content
    };
    assert_eq!(code(&mapped(512)), Code::NoThreatDetected, "no volume of Apple's where the map leads to");
    for block in [512, SECTOR] {
        let mut content = mapped(block);
        plus(&mut content, 32 * SECTOR);
        assert_eq!(code(&content), Code::UnsupportedFileType, "Apple partition map of {block}");
    }
    let mut content = plain();
    put(&mut content, 446 + 8..446 + 12, &(32 * 4_u32).to_le_bytes());
    put(&mut content, 510..512, b"\x55\xaa");
    assert_eq!(code(&content), Code::NoThreatDetected, "a master boot record");
    plus(&mut content, 32 * SECTOR);
    assert_eq!(code(&content), Code::UnsupportedFileType, "a row of the master boot record");
    let mut content = plain();
    put(&mut content, 512..520, b"EFI PART");
    put(&mut content, 584..600, &[&2_u64.to_le_bytes()[..], &[8, 0, 0, 0, 128, 0, 0, 0]].concat());
    put(&mut content, 1024 + 128 + 32..1024 + 128 + 40, &(32 * 4_u64).to_le_bytes());
    assert_eq!(code(&content), Code::NoThreatDetected, "a GUID partition table");
    plus(&mut content, 32 * SECTOR);
    assert_eq!(code(&content), Code::UnsupportedFileType, "a row of the GUID partition table");

    // UDF behind more descriptors than usual; and each as nothing else.
    let mut content = plain();
    content.resize(200 * SECTOR, 0);
    (17..120).for_each(|sector| put(&mut content, sector * SECTOR..sector * SECTOR + 6, b"\0CD001"));
    put(&mut content, 120 * SECTOR + 1..120 * SECTOR + 6, b"NSR02");
    assert!(Case::new("a.iso", &content).run().root.verdict.all.contains(&Code::UnsupportedFileType));
    let at = |place: usize, mark: &[u8]| {
        let mut content = vec![1; 40 * SECTOR];
        put(&mut content, place..place + mark.len(), mark);
        content
    };
    for (what, content) in [
        ("UDF", at(17 * SECTOR + 1, b"NSR03")),
        ("High Sierra", at(16 * SECTOR + 9, b"CDROM\x01")),
        ("raw sectors", at(0, b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0")),
        ("HFS+", at(1024, b"H+\0\x04")),
        ("HFSX", at(1024, b"HX\0\x05")),
        ("APFS", at(32, b"NXSB")),
    ] {
        assert_eq!(code(&content), Code::UnsupportedFileType, "{what}");
    }
    assert_eq!(code(&at(1024, b"BD is how a text goes on")), Code::NoThreatDetected);
}
