//! OLE2: doc, xls, ppt, msg, msi.

use portcullis_core::domain::verdict::Code;

use crate::common::eicar;
use crate::make::{compound, native, zlib};
use crate::{code, found, report};

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_document_without_files_lists_none() {
    let report = report("a.doc", &compound(&[("/WordDocument", &[0; 600]), ("/1Table", b"x"), ("/\u{5}SummaryInformation", b"y")]));
    assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{:?}", report.root.verdict);
    assert!(report.children.is_empty() && !report.root.is_archive);
}

#[test]
fn packages_are_opened_under_their_names() {
    let stream = native("eicar.com", &eicar());
    let doc = compound(&[("/WordDocument", b"x"), ("/ObjectPool/_1/\u{1}Ole10Native", &stream)]);
    let lines = found("a.doc", &doc);
    assert!(lines.contains(&"1 a.doc/eicar.com".into()), "{lines:?}");
    let clean = compound(&[("/WordDocument", b"x"), ("/ObjectPool/_1/\u{1}Ole10Native", &native("note.txt", b"hello"))]);
    assert_eq!(found("a.doc", &clean), ["0 a.doc", "0 a.doc/note.txt"], "the parts of the document are not listed");
}

#[test]
fn embedded_documents_get_a_type_and_their_own_children() {
    let stream = native("eicar.com", &eicar());
    let doc = compound(&[("/WordDocument", b"x"), ("/ObjectPool/_1/Workbook", b"y"), ("/ObjectPool/_1/MBD0/\u{1}Ole10Native", &stream)]);
    let report = report("a.doc", &doc);
    assert_eq!(report.root.verdict.code, Code::Infected);
    let sheet = report.children.iter().find(|child| child.name == "a.doc/ObjectPool/_1.xls").unwrap();
    assert_eq!(sheet.file_type.mime, "application/vnd.ms-excel");
    assert!(report.children.iter().any(|child| child.name == "a.doc/ObjectPool/_1.xls/eicar.com" && child.depth == 2));
}

#[test]
fn objects_in_presentations_are_decompressed() {
    let inner = compound(&[("/\u{1}Ole10Native", &native("eicar.com", &eicar()))]);
    let data = [&u32::try_from(inner.len()).unwrap().to_le_bytes()[..], &zlib(&inner)].concat();
    let header = [0x10, 0, 0x11, 0x10];
    let record = [&header[..], &u32::try_from(data.len()).unwrap().to_le_bytes(), &data].concat();
    let ppt = compound(&[("/PowerPoint Document", &[&[0; 40], &record[..]].concat()), ("/Current User", b"x")]);
    let lines = found("a.ppt", &ppt);
    assert!(lines.contains(&"1 a.ppt/object-1.ole/eicar.com".into()), "{lines:?}");
}

#[test]
fn outlook_messages_give_attachments_messages_and_bodies() {
    let body = utf16("hello");
    let nested = "/__attach_version1.0_#00000001/__substg1.0_3701000D";
    let inner = format!("{nested}/__attach_version1.0_#00000000/__substg1.0_37010102");
    let inner_name = format!("{nested}/__attach_version1.0_#00000000/__substg1.0_3704001E");
    let message = compound(&[
        ("/__properties_version1.0", &[0; 32]),
        ("/__substg1.0_1000001F", &body),
        ("/__attach_version1.0_#00000000/__substg1.0_37010102", b"just text"),
        ("/__attach_version1.0_#00000000/__substg1.0_3707001F", &utf16("note.txt")),
        ("/__attach_version1.0_#00000001/__substg1.0_3001001F", &utf16("Fwd: x")),
        (&format!("{nested}/__properties_version1.0"), &[0; 24]),
        (&inner, &eicar()),
        (&inner_name, b"eicar.com"),
    ]);
    let lines = found("a.msg", &message);
    assert_eq!(lines, ["1 a.msg", "0 a.msg/note.txt", "1 a.msg/Fwd: x.msg", "1 a.msg/Fwd: x.msg/eicar.com"]);
}

#[test]
fn sources_of_macros_are_scanned_decompressed() {
    let source = [b"Attribute VB_Name = \"M\"\r\n' ".as_slice(), &eicar()].concat();
    // [MS-OVBA] §2.4.1 without compression: flag bytes of zero, eight literals each.
    let literals: Vec<u8> = source.chunks(8).flat_map(|eight| [&[0][..], eight].concat()).collect();
    let header = 0xb000 | u16::try_from(literals.len() - 1).unwrap();
    let module = [&[0xfe; 100][..], &[1], &header.to_le_bytes(), &literals].concat();
    let doc = compound(&[("/WordDocument", b"x"), ("/Macros/VBA/dir", b"\x01"), ("/Macros/VBA/M", &module)]);
    let lines = found("a.doc", &doc);
    assert!(lines.contains(&"1 a.doc/Macros/VBA/M.bas".into()), "{lines:?}");
}

#[test]
fn files_in_installer_packages_have_their_names() {
    // `Binary.a`, and the table of tables.
    let msi = compound(&[("/\u{4840}\u{3f7f}\u{4164}\u{422f}\u{4836}", b"\0"), ("/\u{430b}\u{4131}\u{4735}\u{413e}", &eicar())]);
    assert_eq!(found("a.msi", &msi), ["1 a.msi", "1 a.msi/Binary.a"]);
}

#[test]
fn documents_that_need_a_password_are_told() {
    let mut fib = [0_u8; 64];
    fib[..12].copy_from_slice(&[0xec, 0xa5, 0xc1, 0, 0, 0, 9, 4, 0, 0, 0, 0x13]);
    assert_eq!(code("a.doc", &compound(&[("/WordDocument", &fib)])), Code::PasswordProtectedDocument);
    let sheet = [9, 8, 4, 0, 0, 6, 5, 0, 0x2f, 0, 2, 0, 1, 0];
    assert_eq!(code("a.xls", &compound(&[("/Workbook", &sheet)])), Code::PasswordProtectedDocument);
    let user = [&[0; 12][..], &0xf3d1_c4df_u32.to_le_bytes()].concat();
    assert_eq!(code("a.ppt", &compound(&[("/PowerPoint Document", b"x"), ("/Current User", &user)])), Code::PasswordProtectedDocument);
    let packed = compound(&[("/EncryptedPackage", b"x"), ("/EncryptionInfo", b"y")]);
    assert_eq!(code("a.docx", &packed), Code::PasswordProtectedDocument);
}

#[test]
fn damaged_directories_are_never_clean() {
    let doc = compound(&[("/WordDocument", &[0; 5_000]), ("/ObjectPool/_1/\u{1}Ole10Native", &native("eicar.com", &eicar()))]);
    for cut in (8..doc.len()).step_by(509) {
        let found = code("a.doc", &doc[..cut]);
        assert!(found.is_blocked(), "cut at {cut}: {found:?}");
    }
}

#[test]
fn directories_that_lead_in_circles_end() {
    let doc = compound(&[("/a/b/c/d", b"1"), ("/a/e", b"2"), ("/f", b"3")]);
    // Directory entries have 128 bytes; left, right and child stand at 68, 72 and 76.
    let entries: Vec<usize> = (0..doc.len() / 128).map(|n| n * 128).filter(|at| doc[at + 64] > 0 && doc[at + 66] <= 5 && doc[at + 65] == 0).collect();
    let mut tried = 0;
    for entry in entries {
        for field in [68, 72, 76] {
            for target in 0..6_u32 {
                let mut cyclic = doc.clone();
                cyclic[entry + field..entry + field + 4].copy_from_slice(&target.to_le_bytes());
                let _ = code("a.doc", &cyclic);
                tried += 1;
            }
        }
    }
    assert!(tried > 50);
}
