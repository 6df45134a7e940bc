//! Contents in places that an extractor does not read by itself.

use std::io::Cursor;

use portcullis_core::domain::verdict::Code;
use zip::ZipWriter;

use crate::common::{Case, eicar, lines, stored, zip, zip_with};
use crate::make::{self, TEXT};

pub(crate) fn clean() -> Vec<(&'static str, Vec<u8>)> {
    vec![("text.txt", TEXT.to_vec())]
}

/// An archive that no engine sees through: only whoever opens it finds something.
pub(crate) fn evil() -> Vec<u8> {
    make::sevenz(&[("eicar.com", eicar())], &[sevenz_rust2::EncoderMethod::LZMA2.into()])
}

pub(crate) fn found(what: &str, name: &str, content: &[u8]) {
    let report = Case::new(name, content).run();
    // Where nothing tells data behind an archive from a damaged one, the archive has failed as well.
    let shown = report.root.verdict.all.contains(&Code::Infected) && report.children.iter().any(|child| child.verdict.code == Code::Infected);
    assert!(shown && report.root.verdict.code.is_blocked(), "{what}: {:?} {:?}", report.root.verdict, lines(&report));
}

#[test]
fn archives_behind_archives_are_opened() {
    let text = clean();
    let fronts = vec![
        ("a.gz", make::gzip(TEXT)),
        ("a.bz2", make::bzip2(TEXT)),
        ("a.xz", make::xz(TEXT)),
        ("a.zst", make::zstd(TEXT)),
        ("a.lz4", make::lz4(TEXT)),
        ("a.lzma", make::lzma(TEXT)),
        ("a.tar", make::tar(&text)),
        ("a.a", make::ar(&text)),
        ("a.cpio", make::cpio_newc(&text)),
        ("a.7z", make::sevenz(&text, &[sevenz_rust2::EncoderMethod::LZMA2.into()])),
        ("a.rar", make::rar(&text, rars::ArchiveVersion::Rar50, |builder| builder)),
        ("b.rar", make::rar(&text, rars::ArchiveVersion::Rar29, |builder| builder)),
        ("a.cab", make::cab(&text, cab::CompressionType::MsZip)),
        ("a.iso", make::iso(&text)),
        ("a.zip", zip(&[("text.txt", TEXT)])),
        ("a.doc", make::compound("/WordDocument")),
        ("a.msg", make::compound("/__properties_version1.0")),
    ];
    for (name, front) in &fronts {
        let alone = Case::new(name, front).run();
        assert_eq!(alone.root.verdict.code, Code::NoThreatDetected, "{name}: {:?}", alone.root.verdict);
        for (behind, what) in
            [(evil(), "7z"), (zip(&[("eicar.com", &eicar())]), "zip"), (make::gzip(&eicar()), "gz"), (make::tar(&[("e", eicar())]), "tar")]
        {
            for padding in [0, 1_024] {
                let both = [&front[..], &vec![0; padding], &behind].concat();
                let report = Case::new(name, &both).run();
                assert!(report.root.verdict.code.is_blocked(), "{what} behind {name}, {padding} zeros: {:?}", lines(&report));
                if what == "7z" {
                    found(&format!("{what} behind {name}, {padding} zeros"), name, &both);
                }
            }
        }
    }
}

/// RAR and 7-Zip look for the beginning of their archives in whole files.
#[test]
fn archives_in_the_spaces_of_a_zip_are_opened() {
    let stored = zip_with(&[("text.txt", TEXT)], stored());
    let at = stored.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let with_comment = |archive: &[u8]| {
        let comment = [&evil()[..], b" and more"].concat();
        let (front, length) = archive.split_at(archive.len() - 2);
        assert_eq!(length, [0, 0]);
        [front, &u16::try_from(comment.len()).unwrap().to_le_bytes(), &comment].concat()
    };
    let with_field = || {
        // A local header's extra field: the directory moves with it.
        let evil = evil();
        let field = [&0xcafe_u16.to_le_bytes()[..], &u16::try_from(evil.len()).unwrap().to_le_bytes(), &evil].concat();
        let mut archive = [&stored[..38], &field, &stored[38..]].concat();
        archive[28..30].copy_from_slice(&u16::try_from(field.len()).unwrap().to_le_bytes());
        let end = archive.len() - 22;
        archive[end + 16..end + 20].copy_from_slice(&u32::try_from(at + field.len()).unwrap().to_le_bytes());
        archive
    };
    assert_eq!(&stored[30..38], b"text.txt");
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    for (what, content) in [
        ("a comment", with_comment(&stored)),
        ("the comment of an empty archive", with_comment(&empty)),
        ("a field of a header", with_field()),
        ("what only begins like a ZIP", [b"PK, then ", &evil()[..]].concat()),
        ("what begins like a ZIP and ends like one", [b"PK, then ", &evil()[..], &stored].concat()),
    ] {
        found(what, "a.bin", &content);
    }
    let comment = [&stored[..stored.len() - 2], &[5, 0], b"hello"].concat();
    let report = Case::new("a.zip", &comment).run();
    assert_eq!(lines(&report), ["0 a.zip", "0 a.zip/text.txt"]);
}

#[test]
fn all_members_of_a_stream_are_read() {
    let streams: [(&str, fn(&[u8]) -> Vec<u8>); 5] =
        [("a.gz", make::gzip), ("a.bz2", make::bzip2), ("a.xz", make::xz), ("a.zst", make::zstd), ("a.lz4", make::lz4)];
    for (name, compress) in streams {
        let eicar = eicar();
        let (left, right) = eicar.split_at(30);
        let report = Case::new(name, &[compress(left), compress(b""), compress(right)].concat()).run();
        assert_eq!(lines(&report), [format!("1 {name}"), format!("1 {name}/a")], "{name}");
    }
    let skippable = |content: &[u8]| [&0x184d_2a53_u32.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), content].concat();
    found("a skippable frame", "a.zst", &[make::zstd(TEXT), skippable(&evil()), make::zstd(TEXT)].concat());
    found("a skippable frame", "a.lz4", &[make::lz4(TEXT), skippable(&evil()), make::lz4(TEXT)].concat());
    found("a frame behind a skippable one", "a.zst", &[skippable(b"x"), make::zstd(&eicar())].concat());
}

#[test]
fn an_empty_block_does_not_end_an_lz4_frame() {
    let whole = make::lz4(&eicar());
    let plain = [&whole[..7], &0x8000_0000_u32.to_le_bytes(), &whole[7..]].concat();
    found("an empty block", "a.lz4", &plain);
}

#[test]
fn programs_that_extract_themselves_are_opened() {
    let program = [&b"MZ"[..], &[0; 58], &64_u32.to_le_bytes(), b"PE\0\0", &[0; 300]].concat();
    let elf = [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0"[..], &[0; 300]].concat();
    let picture = [&b"\xff\xd8\xff\xe0\0\x10JFIF\0"[..], &[0; 50], b"\xff\xd9"].concat();
    let entries = [("eicar.com", eicar())];
    let payloads = [
        evil(),
        make::rar(&entries, rars::ArchiveVersion::Rar50, |builder| builder),
        make::rar(&entries, rars::ArchiveVersion::Rar29, |builder| builder),
        make::cab(&entries, cab::CompressionType::MsZip),
        zip(&[("eicar.com", &eicar())]),
    ];
    for payload in &payloads {
        for (name, front) in [("setup.exe", &program), ("setup", &elf), ("a.jpg", &picture), ("a.bin", &vec![7; 999])] {
            found(&format!("{:?} in {name}", &payload[..4]), name, &[&front[..], payload, b"signature"].concat());
        }
    }
    let two = [&program[..], &make::cab(&clean(), cab::CompressionType::MsZip), &evil()].concat();
    found("the second of two", "setup.exe", &two);
    let knows = [&elf[..], b"7z\xbc\xaf\x27\x1c", &[1; 60], b"Rar!\x1a\x07\x01\0", &[1; 60]].concat();
    assert_eq!(Case::new("7zr", &knows).run().root.verdict.code, Code::NoThreatDetected, "a program that knows the formats");
}

#[test]
fn a_polyglot_is_opened_as_everything_it_is() {
    let pdf = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n";
    found("PDF and ZIP", "a.pdf", &[&pdf[..], &zip(&[("eicar.com", &eicar())])].concat());
    found("gzip and ZIP", "a.gz", &[make::gzip(TEXT), zip(&[("eicar.com", &eicar())])].concat());
    let mut image = make::iso(&clean());
    image[..7].copy_from_slice(b"!<arch>");
    image[7] = b'\n';
    let report = Case::new("a.iso", &image).run();
    assert!(report.children.iter().any(|child| child.name.ends_with("TEXT.TXT")), "{:?}", lines(&report));
}

#[test]
fn every_tree_of_an_image_is_read() {
    let mut image = make::iso(&clean());
    let joliet = make::volume(2, 30, 40);
    image[17 * 2048..18 * 2048].copy_from_slice(&joliet);
    image[18 * 2048..19 * 2048].copy_from_slice(&make::volume(255, 0, 0));
    image.resize(30 * 2048, 0);
    let name: Vec<u8> = "only here.com".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut root = make::record(&name, 31, eicar().len(), 0);
    root.resize(2048, 0);
    image.extend(root);
    image.extend(eicar());
    image.resize(32 * 2048, 0);
    let report = Case::new("a.iso", &image).run();
    assert_eq!(lines(&report), ["1 a.iso", "1 a.iso/only here.com", "0 a.iso/TEXT.TXT"]);
}

#[test]
fn a_second_session_is_refused_and_unlisted_sectors_are_looked_at() {
    let mut image = make::iso(&clean());
    image.resize(64 * 2048, 0);
    image.extend(&make::iso(&[("eicar.com", eicar())])[16 * 2048..]);
    let report = Case::new("a.iso", &image).run();
    assert_eq!(report.root.verdict.code, Code::Failed, "{:?}", lines(&report));
    let mut image = make::iso(&clean());
    image.extend(evil());
    found("sectors of no file", "a.iso", &image);
    let mut udf = make::iso(&clean());
    udf[18 * 2048 + 1..18 * 2048 + 6].copy_from_slice(b"NSR03");
    assert_eq!(Case::new("a.iso", &udf).run().root.verdict.code, Code::UnsupportedFileType);
}

/// An image of one tree: its root directory in sector 20, these contents from these sectors on.
pub(crate) fn image(root: &[Vec<u8>], sectors: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0; 40 * 2048];
    let mut put = |sector: usize, bytes: &[u8]| out[sector * 2048..sector * 2048 + bytes.len()].copy_from_slice(bytes);
    put(16, &make::volume(1, 20, 40));
    put(17, &make::volume(255, 0, 0));
    put(20, &[make::record(&[0], 20, 2048, 2), make::record(&[1], 20, 2048, 2), root.concat()].concat());
    sectors.iter().for_each(|(sector, bytes)| put(*sector, bytes));
    out
}

/// A directory record with entries of SUSP: signature and data.
pub(crate) fn with_susp(record: Vec<u8>, entries: &[(&[u8; 2], Vec<u8>)]) -> Vec<u8> {
    let mut out = [record, susp(entries)].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out[0] = u8::try_from(out.len()).unwrap();
    out
}

pub(crate) fn susp(entries: &[(&[u8; 2], Vec<u8>)]) -> Vec<u8> {
    entries.iter().flat_map(|(kind, data)| [&kind[..], &[u8::try_from(data.len() + 4).unwrap(), 1], data].concat()).collect()
}

pub(crate) fn both(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| [value.to_le_bytes(), value.to_be_bytes()].concat()).collect()
}

#[test]
fn files_and_directories_of_an_image_do_not_hide_one_another() {
    let below = [make::record(&[0], 25, 2048, 2), make::record(&[1], 20, 2048, 2), make::record(b"EVIL.7Z;1", 26, evil().len(), 0)].concat();
    let directory = make::record(b"DIR", 25, 2048, 2);
    let contents = [(25, below), (26, evil())];
    // As if it were a file, before the directory itself; the evil file begins behind what is none.
    let content = image(&[make::record(b"A.;1", 25, 2048, 0), directory], &contents);
    found("a directory that is a file as well", "a.iso", &content);
    // Relocated: named by a record that is a file's (RRIP `CL`), and stored where no directory tells.
    let content = image(&[with_susp(make::record(b"DEEP.;1", 0, 0, 0), &[(b"CL", both(&[25]))])], &contents);
    found("a directory that was moved", "a.iso", &content);
    let content = image(&[with_susp(make::record(b"DEEP.;1", 0, 0, 0), &[(b"CL", both(&[30]))])], &contents);
    assert_eq!(Case::new("a.iso", &content).run().root.verdict.code, Code::Failed);

    // Of two files that begin and end alike one has a part more.
    let parts = |sectors: &[usize]| {
        let last = sectors.len() - 1;
        let part = |(n, sector): (usize, &usize)| make::record(b"PARTS.;1", *sector, 2048, if n < last { 0x80 } else { 0 });
        sectors.iter().enumerate().flat_map(part).collect::<Vec<u8>>()
    };
    // Not compressed: only the whole is an archive that opens.
    let whole = make::sevenz(&[("big", vec![b'.'; 3_000]), ("eicar.com", eicar())], &[sevenz_rust2::EncoderMethod::COPY.into()]);
    let mut whole = [&whole[..], &vec![0; 3 * 2048 - whole.len()]].concat();
    whole.truncate(3 * 2048);
    let content = image(&[parts(&[30, 32]), parts(&[30, 31, 32])], &[(30, whole)]);
    let report = Case::new("a.iso", &content).run();
    assert!(report.children.iter().any(|child| child.verdict.code == Code::Infected && child.depth == 2), "{:?}", lines(&report));
}

#[test]
fn what_linux_decompresses_on_reading_is_not_clean() {
    let compressed = |at_once: bool| {
        let zf = (b"ZF", [&b"pz\x04\x0f"[..], &both(&[100])].concat());
        let entries =
            if at_once { vec![zf.clone()] } else { vec![(b"CE", both(&[35, 8, u32::try_from(susp(std::slice::from_ref(&zf)).len()).unwrap()]))] };
        image(
            &[make::record(b"A.TXT;1", 30, TEXT.len(), 0), with_susp(make::record(b"A.TXT;1", 30, TEXT.len(), 0), &entries)],
            &[(30, TEXT.to_vec()), (35, [vec![0; 8], susp(&[zf])].concat())],
        )
    };
    for at_once in [true, false] {
        assert_eq!(Case::new("a.iso", &compressed(at_once)).run().root.verdict.code, Code::Failed, "at once: {at_once}");
    }
    let round = with_susp(make::record(b"A.TXT;1", 30, TEXT.len(), 0), &[(b"CE", both(&[35, 0, 28]))]);
    let content = image(&[round], &[(30, TEXT.to_vec()), (35, susp(&[(b"CE", both(&[35, 0, 28]))]))]);
    assert_eq!(Case::new("a.iso", &content).run().root.verdict.code, Code::Failed);
    let mut hybrid = make::iso(&clean());
    hybrid[1024..1028].copy_from_slice(b"H+\0\x04");
    assert_eq!(Case::new("a.iso", &hybrid).run().root.verdict.code, Code::UnsupportedFileType);
}

#[test]
fn data_of_a_cabinet_that_belong_to_no_file_are_looked_at_and_refused() {
    let cabinet = make::cab(&[("text.txt", TEXT.to_vec()), ("eicar.com", eicar())], cab::CompressionType::None);
    let size_of = |name: &[u8]| cabinet.windows(name.len()).position(|found| found == name).unwrap() - 16;
    for (name, size) in [(&b"text.txt\0"[..], TEXT.len() - 10), (b"eicar.com\0", 5)] {
        let mut content = cabinet.clone();
        content[size_of(name)..][..4].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        let report = Case::new("a.cab", &content).run();
        assert!(lines(&report).iter().any(|line| line.ends_with("a.cab/[data of no file]")), "{:?}", lines(&report));
        assert!(report.root.verdict.all.contains(&Code::Failed), "{:?}", report.root.verdict);
    }
    // The payload of a package with large files.
    assert_eq!(Case::new("payload", b"07070X00000000evil").run().root.verdict.code, Code::UnsupportedFileType);
}

#[test]
fn sparse_files_are_put_together() {
    let eicar = eicar();
    let (left, right) = eicar.split_at(30);
    let map = format!("2\n0\n{}\n{}\n{}\n", left.len(), 30, right.len());
    let mut body = map.into_bytes();
    body.resize(512, 0);
    body.extend_from_slice(&eicar);
    let record = |key: &str, value: &str| {
        let bare = key.len() + value.len() + 3;
        let length = (bare + 1..).find(|length| bare + length.to_string().len() == *length).unwrap();
        format!("{length} {key}={value}\n")
    };
    let pax = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "eicar.com"), ("GNU.sparse.realsize", "68")];
    let pax: String = pax.iter().map(|(key, value)| record(key, value)).collect();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(pax.len() as u64);
    header.set_cksum();
    builder.append(&header, pax.as_bytes()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("GNUSparseFile.0/x").unwrap();
    header.set_size(body.len() as u64);
    header.set_cksum();
    builder.append(&header, body.as_slice()).unwrap();
    let report = Case::new("a.tar", &builder.into_inner().unwrap()).run();
    let expected = ["1 a.tar", "1 a.tar/eicar.com", "1 a.tar/[stored data of a sparse file]"];
    assert_eq!(lines(&report), expected, "{:?}", report.root.verdict);
}

/// A tar of one entry with a changed header, whose checksum is right again.
fn changed(tar: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut tar = tar.to_vec();
    change(&mut tar[..512]);
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}

/// GNU tar passes over one NUL in front of the digits of a number; other programs read nothing, or no header.
#[test]
fn numbers_of_tar_with_a_nul_in_front_hide_nothing() {
    let tar = make::tar(&[("e.gz", make::gzip(&eicar()))]);
    let size = changed(&tar, |header| header[124..136].rotate_right(1));
    assert_eq!(Case::new("a.tar", &size).run().root.verdict.code, Code::Failed);
    let mut sum = changed(&tar, |header| header[257..265].fill(0));
    sum[148..156].rotate_right(1);
    assert_eq!(sum[148], b' ');
    sum[148] = 0;
    assert_eq!(sum[155], 0);
    found("a checksum behind a NUL", "a.tar", &sum);
}

#[test]
fn sparse_files_that_programs_read_differently_are_refused() {
    let tar = make::tar(&[("e.gz", make::gzip(&eicar()))]);
    let unsigned = changed(&tar, |header| {
        header[156] = b'S';
        header[257..265].copy_from_slice(b"ustar\x0000");
    });
    assert_eq!(Case::new("a.tar", &unsigned).run().root.verdict.code, Code::Failed);
    let mut extended = tar::Builder::new(Vec::new());
    extended.append_pax_extensions([("path", &b"a"[..])]).unwrap();
    let one = extended.into_inner().unwrap();
    let header = one[..1024].to_vec();
    let twice = [&header[..], &header, &tar].concat();
    assert_eq!(Case::new("a.tar", &[&header[..], &tar].concat()).run().root.verdict.code, Code::Infected);
    assert_eq!(Case::new("a.tar", &twice).run().root.verdict.code, Code::Failed);
}

/// What is stored of a sparse file is what programs without sparse files give out.
#[test]
fn the_stored_data_of_a_sparse_file_is_looked_at() {
    let content = make::gzip(&eicar());
    let tar = make::tar(&[("e.gz", content.clone())]);
    let sparse = changed(&tar, |header| {
        header[156] = b'S';
        // One byte, a hole, the rest.
        let numbers = [0, 1, 513, content.len() - 1];
        for (n, number) in numbers.iter().enumerate() {
            header[386 + n * 12..398 + n * 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
        }
        header[483..495].copy_from_slice(format!("{:011o}\0", 513 + content.len() - 1).as_bytes());
    });
    found("a gzip in pieces", "a.tar", &sparse);
}

/// `gzip` and `zstd` decode more than the formats of today, and one format behind the other.
#[test]
fn streams_that_some_programs_decode_on_are_refused() {
    let (front, behind) = (make::gzip(TEXT), make::zstd(TEXT));
    for (what, content, code) in [
        ("a frame behind a member", [&front[..], &behind].concat(), Code::Failed),
        ("members with zeros between", [&front[..], &[0; 512], &front].concat(), Code::Failed),
        ("members alone", [&front[..], &front].concat(), Code::NoThreatDetected),
    ] {
        assert_eq!(Case::new("a.gz", &content).run().root.verdict.code, code, "{what}");
    }
    for mark in [
        &b"\x1f\x9e\x08\0"[..],
        b"\x1f\x1e\0\0\0\x44\x05",
        b"\x1f\xa0",
        b"\x25\xb5\x2f\xfd",
        b"\x02\x21\x4c\x18",
        b"\x50\x2a\x4d\x18\0\0\0\0\x02\x21\x4c\x18",
        b"0.939000\n42\n",
        b"\x28\xcd\x3d\x45",
        b"\x8f\xaf\xac\x84",
    ] {
        let content = [mark, &[b'x'; 4_096]].concat();
        assert_eq!(Case::new("a.bin", &content).run().root.verdict.code, Code::UnsupportedFileType, "{mark:?}");
    }
}
