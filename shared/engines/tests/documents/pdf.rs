//! PDF: embedded files, scripts, encryption.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use lopdf::encryption::crypt_filters::{Aes128CryptFilter, CryptFilter};
use lopdf::{Document, EncryptionState, EncryptionVersion, Permissions};
use portcullis_core::domain::verdict::Code;

use crate::common::{Case, eicar, lines, zip};
use crate::make::{hexadecimal, pdf, zlib};
use crate::{code, found};

const NAMED: &str = "<< /Type /Filespec /F (x) /UF (eicar.com) /EF << /F 11 0 R >> >>";

#[test]
fn a_plain_document_lists_nothing() {
    let lines = found("a.pdf", &pdf(&[(10, "/Filter /FlateDecode", Some(&zlib(b"BT (hello) Tj ET")))]));
    assert_eq!(lines, ["0 a.pdf"]);
}

#[test]
fn embedded_files_are_found_through_every_filter() {
    let hex = format!("{}>", hexadecimal(&zlib(&eicar()))).into_bytes();
    let run = [&[67_u8][..], &eicar(), &[128]].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        ("/Type /EmbeddedFile", eicar()),
        ("/Filter /FlateDecode", zlib(&eicar())),
        ("/Filter [ /ASCIIHexDecode /FlateDecode ]", hex.clone()),
        ("/Filter [/AHx/Fl]", hex.clone()),
        ("/Fi#6cter [ /ASCIIHexDecode 12 0 R ]", hex),
        ("/Filter /RunLengthDecode", run),
        ("/Filter 12 0 R", zlib(&eicar())),
        ("/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 68 >>", zlib(&[&[0][..], &eicar()].concat())),
    ];
    for (dictionary, data) in cases {
        let lines = found("a.pdf", &pdf(&[(10, NAMED, None), (11, dictionary, Some(data)), (12, "/FlateDecode", None)]));
        assert_eq!(lines, ["1 a.pdf", "1 a.pdf/eicar.com"], "{dictionary}");
    }
    let lines = found("a.pdf", &pdf(&[(10, NAMED, None), (11, "/Filter /Unheard", Some(b"x"))]));
    assert_eq!(lines, ["3 a.pdf", "3 a.pdf/eicar.com"], "a file that can not be had");
}

#[test]
fn names_and_scripts_in_object_streams_are_found() {
    let objects = format!("10 0 20 {} {NAMED} << /S /JavaScript /JS <{}> >>", NAMED.len() + 1, hexadecimal(&eicar()));
    let first = objects.find("<<").unwrap();
    let dictionary = format!("/Type /ObjStm /N 2 /First {first} /Filter /FlateDecode");
    let lines = found("a.pdf", &pdf(&[(9, &dictionary, Some(&zlib(objects.as_bytes())))]));
    assert_eq!(lines, ["1 a.pdf", "1 a.pdf/javascript-1.js"], "the script only, without the file");
    let lines = found("a.pdf", &pdf(&[(9, &dictionary, Some(&zlib(objects.as_bytes()))), (11, "/Filter /FlateDecode", Some(&zlib(&eicar())))]));
    assert_eq!(lines, ["1 a.pdf", "1 a.pdf/javascript-1.js", "1 a.pdf/eicar.com"]);
    let referred = pdf(&[(9, "<< /JS 11 0 R >>", None), (11, "/Filter /FlateDecode", Some(&zlib(&eicar())))]);
    assert_eq!(found("a.pdf", &referred), ["1 a.pdf", "1 a.pdf/javascript-object-11.js"]);
}

#[test]
fn files_that_nothing_names_and_old_revisions_are_found() {
    let program = [b"MZ".as_slice(), &[0x90; 100], &eicar()].concat();
    let lines = found("a.pdf", &pdf(&[(11, "/Filter /FlateDecode", Some(&zlib(&program)))]));
    assert!(lines.iter().any(|line| line.ends_with("a.pdf/stream-11")), "{lines:?}");
    let mut revised = pdf(&[(10, NAMED, None), (11, "/Filter /FlateDecode", Some(&zlib(&eicar())))]);
    revised.extend(pdf(&[(10, "<< >>", None), (11, "/Filter /FlateDecode", Some(&zlib(b"harmless")))]));
    assert_eq!(code("a.pdf", &revised), Code::Infected);
}

/// Readers find these files by the cross-reference table, by lengths that stand elsewhere, over other objects.
#[test]
fn what_readers_find_is_found_however_it_is_written() {
    let mut evil = flate2::GzBuilder::new().filename("a\nendstream\nendobj\n8 0 obj").write(Vec::new(), flate2::Compression::best());
    evil.write_all(&eicar()).unwrap();
    let evil = evil.finish().unwrap();
    // Without compression the words stand in the data as they are.
    let mut stored = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    stored.write_all(&evil).unwrap();
    let stored = stored.finish().unwrap();
    let length = evil.len();
    let (file, packed) = ("/Filter /FlateDecode", zlib(&evil));
    let rows = zlib(&evil.chunks(8).flat_map(|row| [&[0], row].concat()).chain(std::iter::repeat_n(0, (8 - evil.len() % 8) % 8)).collect::<Vec<_>>());
    let filespec = format!("10 0 obj {NAMED} endobj\n");
    let stream = |number: &str, dictionary: &str, data: &[u8]| {
        [number.as_bytes(), b" obj <<", dictionary.as_bytes(), b">>\nstream\n", data, b"\nendstream endobj\n"].concat()
    };
    let list = |objects: &str| format!("10 0 obj << /Type /Filespec /UF (eicar.com) /EF 13 0 R >> endobj\n{objects}\n");
    let spaces = format!("11{}0", " ".repeat(60));
    let cases: Vec<(&str, String, Vec<u8>)> = vec![
        ("a word in the data", filespec.clone(), stream("11 0", &format!("{file} /Length 9 0 R"), &stored)),
        (
            "a word in the data, and a length that fits it",
            filespec.clone() + "9 0 obj 19 endobj ",
            stream("11 0", &format!("{file} /Length 9 0 R"), &stored),
        ),
        ("a length elsewhere", format!("{filespec}9 0 obj 2 endobj 9 0 obj {length} endobj\n"), stream("11 0", "/Length 9 0 R", &evil)),
        ("a number far off", filespec.clone(), stream(&spaces, file, &packed)),
        ("a comment in the number", filespec.clone(), stream("11 % 5 0 R\n0", file, &packed)),
        ("a list with other entries", list("13 0 obj << /F 11 0 R /Z 1 /A 1 /B 2 /C 3 /D 4 >> endobj"), stream("11 0", file, &packed)),
        ("a list elsewhere", list("13 0 obj 14 0 R endobj 14 0 obj << /F 15 0 R >> endobj 15 0 obj 11 0 R endobj"), stream("11 0", file, &packed)),
        ("an object that is a reference as well", filespec.clone() + "11 0 obj 99 0 R endobj\n", stream("11 0", file, &packed)),
        (
            "parameters elsewhere",
            filespec.clone() + "9 0 obj << /Predictor 12 /Columns 8 >> endobj\n",
            stream("11 0", &format!("{file} /DecodeParms 9 0 R"), &rows),
        ),
    ];
    for (what, objects, stream) in cases {
        let pdf = [b"%PDF-1.7\n".as_slice(), objects.as_bytes(), &stream].concat();
        let lines = found("a.pdf", &pdf);
        assert!(lines.iter().any(|line| line.starts_with("1 a.pdf/")), "{what}: {lines:?}");
    }
    let deep = format!("/X {}{}", "<< /X ".repeat(60), ">>".repeat(60));
    let cases: Vec<(&str, String, Vec<u8>)> = vec![
        ("too deep", filespec.clone(), stream("11 0", &format!("{deep} /Type /EmbeddedFile {file}"), &packed)),
        ("a number that is none", filespec.clone(), stream("99999999999 0", file, &packed)),
        ("one short and one long", filespec.clone(), stream("11 0", "/F /FlateDecode /Filter /RunLengthDecode", &packed)),
        ("a file that is cut off", filespec.clone(), stream("11 0", file, &zlib(&b"harmless ".repeat(3_000))[..40])),
        ("a file that is not compressed at all", filespec.clone(), stream("11 0", file, b"no zlib")),
        ("two filters", filespec.clone(), stream("11 0", &format!("/Filter /ASCIIHexDecode {file}"), &packed)),
        (
            "a filter of two kinds",
            filespec.clone() + "9 0 obj /FlateDecode endobj 9 0 obj /RunLengthDecode endobj\n",
            stream("11 0", "/Filter 9 0 R", &packed),
        ),
        ("parameters nobody finds", filespec, stream("11 0", &format!("{file} /DecodeParms << /Predictor 9 0 R /Columns 8 >>"), &rows)),
    ];
    for (what, objects, stream) in cases {
        let pdf = [b"%PDF-1.7\n".as_slice(), objects.as_bytes(), &stream].concat();
        assert!(code("a.pdf", &pdf).is_blocked(), "{what}: {:?}", found("a.pdf", &pdf));
    }
}

/// Where a dictionary ends for one reader and goes on for another, the stream is not overlooked; nor is where it begins.
#[test]
fn dictionaries_that_seem_to_end_early_do_not_hide_a_stream() {
    let data = zlib(&eicar());
    for odd in ["> ", "endobj ", "obj ", "objx ", "/A [ 1 > ", "stream ", "/A >> ", "/A >> 9 9 obj null "] {
        let head = format!("%PDF-1.7\n7 0 obj <<{odd}/Type/EmbeddedFile/Filter/FlateDecode/Length {}>>stream\n", data.len());
        let content = [head.as_bytes(), &data, b"\nendstream endobj\n8 0 obj 1 endobj"].concat();
        assert!(code("a.pdf", &content).is_blocked(), "{odd}: {:?}", found("a.pdf", &content));
    }
    for gap in ["  \r\n", " %x\n", "\t\n"] {
        let head = format!("%PDF-1.7\n10 0 obj {NAMED} endobj\n11 0 obj <</Filter/FlateDecode/Length {}>>stream{gap}", data.len());
        let content = [head.as_bytes(), &data, b"\nendstream endobj"].concat();
        let lines = found("a.pdf", &content);
        assert!(lines.iter().any(|line| line == "1 a.pdf/eicar.com"), "{gap:?}: {lines:?}");
    }
}

#[test]
fn a_wrong_checksum_of_a_file_that_is_whole_is_passed_over_as_readers_do() {
    let whole = zlib(&b"harmless ".repeat(3_000));
    let checksum = [&whole[..whole.len() - 4], b"\0\0\0\0"].concat();
    assert_eq!(code("a.pdf", &pdf(&[(10, NAMED, None), (11, "/Filter/FlateDecode", Some(&checksum))])), Code::NoThreatDetected);
    let page = pdf(&[(11, "/Filter/FlateDecode", Some(&whole[..whole.len() - 20]))]);
    assert_eq!(code("a.pdf", &page), Code::NoThreatDetected, "a page that is cut off");
}

fn encrypted(password: &str) -> Vec<u8> {
    let mut document = Document::load_mem(&pdf(&[(10, NAMED, None), (11, "/Filter /FlateDecode", Some(&zlib(&eicar())))])).unwrap();
    let id = lopdf::Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", lopdf::Object::Array(vec![id.clone(), id]));
    let filter: Arc<dyn CryptFilter> = Arc::new(Aes128CryptFilter);
    let version = EncryptionVersion::V4 {
        document: &document,
        encrypt_metadata: true,
        crypt_filters: BTreeMap::from([(b"StdCF".to_vec(), filter)]),
        stream_filter: b"StdCF".to_vec(),
        string_filter: b"StdCF".to_vec(),
        owner_password: "owner",
        user_password: password,
        permissions: Permissions::PRINTABLE,
    };
    let state = EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    let mut out = Vec::new();
    document.save_to(&mut out).unwrap();
    out
}

#[test]
fn encrypted_documents_are_opened_or_told() {
    assert_eq!(found("a.pdf", &encrypted("")), ["1 a.pdf", "1 a.pdf/eicar.com"], "only its use is restricted");
    assert_eq!(found("a.pdf", &encrypted("secret")), ["15 a.pdf"]);
    let case = Case::new("a.pdf", &encrypted("secret")).passwords(&["wrong", "secret"]);
    assert_eq!(lines(&case.run()), ["1 a.pdf", "1 a.pdf/eicar.com"]);
}

#[test]
fn a_document_that_is_an_archive_as_well_is_opened_as_both() {
    let document = pdf(&[(10, NAMED, None), (11, "/Filter /FlateDecode", Some(&zlib(&eicar())))]);
    let archive = zip(&[("b.txt", b"x")]);
    let lines = found("a.pdf", &[document, archive].concat());
    assert!(lines.contains(&"1 a.pdf/eicar.com".into()) && lines.contains(&"0 a.pdf/b.txt".into()), "{lines:?}");
}

#[test]
fn what_only_says_it_is_a_document_is_not_clean() {
    assert_eq!(code("a.pdf", b"%PDF-1.7\nnothing"), Code::Failed);
    assert_eq!(code("a.txt", b"see %PDF-1.7 for more"), Code::NoThreatDetected);
    // An encryption that nobody can undo.
    let mut unknown = pdf(&[]);
    unknown.extend(b"trailer << /Root 1 0 R /Encrypt << /Filter /Mine >> >>");
    assert_eq!(code("a.pdf", &unknown), Code::PasswordProtectedDocument);
}

#[test]
fn loops_end() {
    let objects: Vec<(u32, String)> = (10..2_000).map(|n| (n, format!("<< /Kids [{n} 0 R] /EF {n} 0 R /JS {n} 0 R /Length {n} 0 R >>"))).collect();
    let objects: Vec<(u32, &str, Option<&[u8]>)> = objects.iter().map(|(n, text)| (*n, text.as_str(), None)).collect();
    assert_eq!(code("a.pdf", &pdf(&objects)), Code::NoThreatDetected);
    let stream = pdf(&[(9, "/Type /ObjStm /First 4 /Extends 9 0 R /Length 9 0 R", Some(b"9 0 << /Type /ObjStm /EF << /F 9 0 R >> >>"))]);
    let _ = code("a.pdf", &stream);
}
