//! Contents that contain themselves, or say so: each ends with its own code, within ten seconds and 256 MB.

use std::fmt::Write as _;
use std::io::{Cursor, Read, Write as _};

use portcullis_core::domain::verdict::Code;

use crate::common::{RawEntry, crc32, eicar, raw_zip, zip};
use crate::tricks::{bounded, ends};

/// A gzip file whose content is itself, after Russ Cox, "Zip Files All The Way Down": in units of five bytes, `L n` prints
/// the next n, `R n` the last n once more. The checksum, which is in the file and of the file, is a system of linear equations.
fn quine() -> Vec<u8> {
    // Stored blocks of 20, 5 and 0 bytes, and of 13; copies of the last 20 bytes (twice 10), and of the last 13 (10 and 3).
    let (l4, l1, l0, ls) = ([0, 20, 0, 0xeb, 0xff], [0, 5, 0, 0xfa, 0xff], [0, 0, 0, 0xff, 0xff], [0, 13, 0, 0xf2, 0xff]);
    let (r4, rs) = (copy(false, &[10, 10], 20), copy(true, &[10, 3], 13));
    let made = |time: u32, crc: u32, size: u32| {
        let head = [&b"\x1f\x8b\x08\x08"[..], &time.to_le_bytes(), b"\0\xff", b"a.gz\0"].concat();
        let tail = [crc.to_le_bytes(), size.to_le_bytes()].concat();
        // The head has 15 bytes: with one unit, 20, so that its copy is an R4.
        let program: Vec<&[u8]> = vec![
            &head, &l4, &head, &l4, &r4, &l1, &r4, &l1, &l1, &l4, &r4, &l1, &l1, &l4, &r4, &l4, &r4, &l4, &r4, &l4, &r4, &l4, &r4, &l0, &l0, &ls,
            &r4, &l0, &l0, &ls, &rs, &tail, &rs, &tail,
        ];
        program.concat()
    };
    let size = made(0, 0, 0).len() as u32;
    (0..1_000).find_map(|time| solve(|crc| crc32(&made(time, crc, size))).map(|crc| made(time, crc, size))).unwrap()
}

/// A block with fixed codes: these lengths (3 to 10), each from so far back (13 to 24). Five bytes.
fn copy(last: bool, lengths: &[u32], distance: u32) -> [u8; 5] {
    let (mut bits, mut count) = (0_u64, 0);
    let mut push = |value: u32, width: u32| {
        bits |= u64::from(value) << count;
        count += width;
    };
    // Huffman codes go from their highest bit on, everything else from its lowest.
    let reversed = |value: u32, width: u32| value.reverse_bits() >> (32 - width);
    push(u32::from(last), 1);
    push(1, 2);
    for length in lengths {
        push(reversed(length - 2, 7), 7);
        let (code, first, extra) = if distance < 17 { (7, 13, 2) } else { (8, 17, 3) };
        push(reversed(code, 5), 5);
        push(distance - first, extra);
    }
    push(0, 7);
    assert!(count <= 40);
    bits.to_le_bytes()[..5].try_into().unwrap()
}

/// x with f(x) = x, for an f that is affine over GF(2).
fn solve(f: impl Fn(u32) -> u32) -> Option<u32> {
    let constant = f(0);
    // Row n: coefficients of the unknown bits in equation n, and its right side in bit 32.
    let mut rows: Vec<u64> = (0..32).map(|n| u64::from(constant >> n & 1) << 32).collect();
    for bit in 0..32 {
        let column = f(1 << bit) ^ constant ^ (1 << bit);
        for (n, row) in rows.iter_mut().enumerate() {
            *row |= u64::from(column >> n & 1) << bit;
        }
    }
    for bit in 0..32 {
        let pivot = (bit..32).find(|n| rows[*n] >> bit & 1 == 1)?;
        rows.swap(bit, pivot);
        for n in 0..32 {
            if n != bit && rows[n] >> bit & 1 == 1 {
                rows[n] ^= rows[bit];
            }
        }
    }
    Some((0..32).fold(0, |x, bit| x | ((rows[bit] >> 32 & 1) as u32) << bit))
}

#[test]
fn a_file_whose_content_is_itself_ends_at_the_depth() {
    let quine = quine();
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(&quine[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out, quine, "it is one");
    ends("a quine", "a.gz", &quine, Code::ExceededArchiveDepth);
    ends("a quine in a ZIP", "a.zip", &zip(&[("a.gz", &quine)]), Code::ExceededArchiveDepth);
}

#[test]
fn thousands_of_entries_over_the_same_bytes_are_refused() {
    // David Fifield, "A better zip bomb": the directory lists one large entry over and over.
    let mut entries = vec![RawEntry::new("0", &vec![0; 4 << 20])];
    entries.extend((1..5_000).map(|n| RawEntry { shares: Some(0), ..RawEntry::new(n.to_string(), b"") }));
    ends("overlapping entries", "a.zip", &raw_zip(&entries), Code::Failed);
}

#[test]
fn objects_of_a_pdf_that_lead_to_themselves_end() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"a script that is none").unwrap();
    let stream = encoder.finish().unwrap();
    let looped = |dictionary: &str| {
        let mut out = b"%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 2 0 R /Names 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [2 0 R] /Parent 2 0 R >> endobj\n".to_vec();
        out.extend(b"5 0 obj 6 0 R endobj\n6 0 obj 5 0 R endobj\n7 0 obj [7 0 R] endobj\n");
        out.extend(format!("9 0 obj << {dictionary} >>\nstream\n").bytes());
        out.extend(&stream);
        out.extend(b"\nendstream\nendobj\ntrailer << /Root 1 0 R /Prev 9 >>\nstartxref\n9\n%%EOF\n");
        out
    };
    for dictionary in [
        "/Length 5 0 R /Filter /FlateDecode",
        "/Type /EmbeddedFile /Length 9 0 R /Filter 5 0 R",
        "/Type /ObjStm /N 1 /First 0 /Extends 9 0 R /Filter /FlateDecode",
        "/Type /EmbeddedFile /Filter 7 0 R /DecodeParms 7 0 R",
        &format!("/Filter [{}]", "/FlateDecode ".repeat(5_000)),
    ] {
        let report = bounded("a.pdf", &looped(dictionary));
        assert!(matches!(report.root.verdict.code, Code::NoThreatDetected | Code::Failed), "{dictionary}: {:?}", report.root.verdict);
        // What hides behind a loop of filters is not known.
        assert!(report.root.verdict.code == Code::Failed || !dictionary.contains("Filter 5") && !dictionary.contains("Filter 7"), "{dictionary}");
    }
}

#[test]
fn chains_and_trees_of_ole_files_that_lead_to_themselves_fail() {
    let mut file = cfb::CompoundFile::create_with_version(cfb::Version::V3, Cursor::new(Vec::new())).unwrap();
    file.create_stream("/WordDocument").unwrap().write_all(&[0; 9_000]).unwrap();
    file.create_stream("/1Table").unwrap().write_all(&[0; 9_000]).unwrap();
    let whole = file.into_inner().into_inner();
    ends("whole", "a.doc", &whole, Code::NoThreatDetected);
    let sector = 1_usize << u16::from_le_bytes([whole[30], whole[31]]);
    let at = |sectors: u32| (sectors as usize + 1) * sector;
    let number = |offset: usize| u32::from_le_bytes(whole[offset..offset + 4].try_into().unwrap());
    // The first sector of the allocation table: every chain that ends goes on at its own end.
    let table = at(number(76));
    let mut chains = whole.clone();
    for entry in 0..sector / 4 {
        if number(table + entry * 4) == 0xffff_fffe {
            chains[table + entry * 4..][..4].copy_from_slice(&(entry as u32).to_le_bytes());
        }
    }
    ends("chains", "a.doc", &chains, Code::Failed);
    // The directory: the first entry below the root has itself on both sides, and as its child.
    let entry = at(number(48)) + 128;
    let mut tree = whole;
    for link in [68, 72, 76] {
        tree[entry + link..][..4].copy_from_slice(&1_u32.to_le_bytes());
    }
    ends("a tree", "a.doc", &tree, Code::Failed);
}

#[test]
fn a_mail_of_ten_thousand_parts_is_judged_whole() {
    let mut mail = String::from("From: a@b\r\nTo: c@d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n");
    for n in 0..10_000 {
        let _ = write!(mail, "--B\r\nContent-Type: text/plain; name=\"{n}.txt\"\r\n\r\n{n}\r\n");
    }
    let clean = format!("{mail}--B--\r\n");
    let report = bounded("a.eml", clean.as_bytes());
    assert_eq!((report.root.verdict.code, report.children.len()), (Code::NoThreatDetected, 10_000), "{:?}", report.root.verdict);
    let last = format!("{mail}--B\r\nContent-Type: text/plain; name=\"last.txt\"\r\n\r\n{}\r\n--B--\r\n", String::from_utf8_lossy(&eicar()));
    ends("the last part", "a.eml", last.as_bytes(), Code::Infected);
}

#[test]
fn what_is_two_things_is_judged_as_both() {
    let (pdf, archive) = (&b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"[..], zip(&[("eicar.com", &eicar())]));
    ends("PDF and ZIP", "a.pdf", &[pdf, &archive].concat(), Code::Infected);
    let program = std::fs::read("/proc/self/exe").unwrap()[..100_000].to_vec();
    ends("a program and a ZIP", "tool", &[program, archive].concat(), Code::Infected);
}
