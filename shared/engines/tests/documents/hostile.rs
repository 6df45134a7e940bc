//! Documents made to exhaust, confuse or crash: each ends soon, with a code, and never as clean by accident.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use portcullis_core::domain::verdict::Code;

use crate::common::{Case, eicar};
use crate::make::{compound, hexadecimal, mail, native, object, package, pdf, zlib};
use crate::report;

/// What the issue grants.
const LIMIT: Duration = Duration::from_secs(10);

fn ends_with(name: &str, content: &[u8], expected: &[Code]) {
    let start = Instant::now();
    let code = report(name, content).root.verdict.code;
    assert!(expected.contains(&code), "{name}: {code:?}");
    assert!(start.elapsed() < LIMIT, "{name} took {:?}", start.elapsed());
}

#[test]
fn mails_of_ten_thousand_parts() {
    let mut many = String::from("From: a@b\r\nTo: c@d\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n");
    for n in 0..10_000 {
        let _ = write!(many, "--B\r\nContent-Type: text/plain; name=\"{n}.txt\"\r\n\r\n{n}\r\n");
    }
    many.push_str("--B--\r\n");
    let start = Instant::now();
    let report = Case::new("a.eml", many.as_bytes()).rule(|rule| rule.extraction.max_entries = 1_000).run();
    assert_eq!(report.root.verdict.code, Code::ExceededArchiveFileNumber);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[test]
fn messages_nested_a_hundred_deep() {
    let mut nested = mail();
    for _ in 0..100 {
        nested = format!("From: a@b\r\nTo: c@d\r\nContent-Type: message/rfc822\r\n\r\n{nested}");
    }
    ends_with("a.eml", nested.as_bytes(), &[Code::ExceededArchiveDepth]);
    let multiparts: String = (0..5_000).fold(String::from("From: a@b\r\nTo: c@d\r\n"), |mut text, n| {
        let _ = write!(text, "Content-Type: multipart/mixed; boundary=B{n}\r\n\r\n--B{n}\r\n");
        text
    });
    ends_with("a.eml", multiparts.as_bytes(), &[Code::ExceededArchiveDepth]);
    let lost: String = (0..20_000).fold(String::from("From: a@b\r\nTo: c@d\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"), |mut text, n| {
        let _ = write!(text, "--B\r\nContent-Type: multipart/mixed; boundary=none{n}\r\n\r\n");
        text
    });
    let case = Case::new("a.eml", lost.as_bytes()).rule(|rule| rule.extraction.max_entries = 100).run();
    assert!(case.root.verdict.code.is_blocked());
}

#[test]
fn objects_that_swallow_one_another() {
    let half = b"9 0 obj << /A (".repeat(60_000);
    ends_with("a.pdf", &[b"%PDF-1.7\n", &half[..]].concat(), &[Code::Failed]);
    let open = b"9 0 obj << >> stream\n".repeat(50_000);
    ends_with("a.pdf", &[b"%PDF-1.7\n", &open[..]].concat(), &[Code::NoThreatDetected, Code::Suspicious]);
    let brackets = [b"%PDF-1.7\n9 0 obj ".to_vec(), b"[<<".repeat(500_000)].concat();
    ends_with("a.pdf", &brackets, &[Code::Failed]);
}

#[test]
fn bombs_in_documents() {
    let zeros = zlib(&vec![0; 100 * 1024 * 1024]);
    let bomb = pdf(&[(9, "/Type /ObjStm /N 1 /First 10 /Filter /FlateDecode", Some(&zeros))]);
    // The engine for PDF does not look at all of it either.
    ends_with("a.pdf", &bomb, &[Code::Failed, Code::ExceededArchiveSize]);
    let twice = zlib(&zeros);
    let bomb = pdf(&[(9, "/Type /EmbeddedFile /Filter [/FlateDecode /FlateDecode]", Some(&twice))]);
    ends_with("a.pdf", &bomb, &[Code::Failed, Code::ExceededArchiveSize]);
    let mut record = vec![0x10, 0, 0x11, 0x10];
    record.extend(u32::try_from(zeros.len() + 4).unwrap().to_le_bytes());
    record.extend([0; 4]);
    record.extend(&zeros);
    ends_with("a.ppt", &compound(&[("/PowerPoint Document", &record)]), &[Code::ExceededArchiveSize]);
}

#[test]
fn groups_and_objects_without_end() {
    let groups = [b"{\\rtf1 ".to_vec(), b"{\\objdata 41".repeat(200_000)].concat();
    ends_with("a.rtf", &groups, &[Code::Failed]);
    let names: Vec<String> = (0..3_000).map(|n| format!("/s{n}/Workbook")).collect();
    let streams: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let start = Instant::now();
    let report = Case::new("a.doc", &compound(&streams)).rule(|rule| rule.extraction.max_entries = 500).run();
    assert_eq!(report.root.verdict.code, Code::ExceededArchiveFileNumber);
    assert!(start.elapsed() < LIMIT);
    let deep = "/s".repeat(200);
    ends_with("a.doc", &compound(&[(&deep, b"x")]), &[Code::Failed]);
}

#[test]
fn names_are_display_text() {
    let name = "a\u{202e}moc.txt\r\n../../x";
    let doc = compound(&[("/\u{1}Ole10Native", &native(name, b"hello"))]);
    let report = report("a.doc", &doc);
    assert!(report.children.iter().all(|child| !child.name.chars().any(|c| c.is_control() || c == '\u{202e}')), "{report:?}");
}

/// Damages a document in a few hundred ways. No parser may panic, and as long as all of `needed` is intact (what a
/// reader needs to get at the file) and nothing hides it from readers as well, the document must not be clean.
fn mutate(name: &str, whole: &[u8], needed: &[&[u8]], is_hidden: fn(&[u8]) -> bool) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let is_there = |content: &[u8], what: &[u8]| memchr::memmem::find(content, what).is_some();
    assert!(needed.iter().all(|what| is_there(whole, what)), "{name}");
    assert_eq!(report(name, whole).root.verdict.code, Code::Infected, "{name}");
    let mut readable = 0;
    for round in 0..300 {
        let mut damaged = whole.to_vec();
        match random(4) {
            0 => damaged.truncate(random(whole.len())),
            1 => {
                let (from, to) = (random(whole.len()), random(whole.len()));
                let count = random(64).min(whole.len() - from.max(to));
                damaged.copy_within(from..from + count, to);
            }
            _ => (0..=random(4)).for_each(|_| damaged[random(whole.len())] = u8::try_from(random(256)).unwrap()),
        }
        let start = Instant::now();
        let found = report(name, &damaged).root.verdict;
        assert!(!found.detail.contains("panicked"), "{name}, round {round}: {}", found.detail);
        assert!(start.elapsed() < LIMIT, "{name}, round {round}");
        if needed.iter().all(|what| is_there(&damaged, what)) && !is_hidden(&damaged) {
            readable += 1;
            assert!(found.code.is_blocked(), "{name}, round {round}: {}", String::from_utf8_lossy(&damaged));
        }
    }
    assert!(readable > 20, "{name}: only {readable} of the damaged documents could be read");
}

#[test]
fn damaged_documents_never_panic() {
    let file = native("eicar.com", &eicar());
    mutate("a.doc", &compound(&[("/WordDocument", &[0; 300]), ("/ObjectPool/_1/\u{1}Ole10Native", &file)]), &[&eicar()], |_| false);

    let packed = zlib(&eicar());
    let names = zlib(b"10 0 << /EF << /F 11 0 R >> /UF (eicar.com) >>");
    let document = pdf(&[(9, "/Type /ObjStm /N 1 /First 5 /Filter /FlateDecode", Some(&names)), (11, "/Filter /FlateDecode", Some(&packed))]);
    let start = memchr::memmem::find(&document, b"11 0 obj").unwrap();
    let end = memchr::memmem::rfind(&document, b"endobj").unwrap();
    mutate("a.pdf", &document, &[b"%PDF-", &document[start..end]], |_| false);

    let mail = mail();
    let part = &mail[mail.find("Content-Type: application").unwrap()..mail.find("--XX--").unwrap()];
    // An empty line in front of the field that tells of parts makes it text; behind the last boundary nobody looks.
    let is_hidden = |mail: &[u8]| {
        let before = |what: &[u8]| mail.get(..memchr::memmem::find(mail, what).unwrap_or(0)).unwrap_or_default();
        let has = |text: &[u8], what: &[u8]| memchr::memmem::find(text, what).is_some();
        has(before(b"Content-Type: multipart"), b"\n\r\n") || has(before(b"Content-Type: app"), b"--XX--")
    };
    let field = b"\r\nContent-Type: multipart/mixed; boundary=\"XX\"\r\n\r\n";
    mutate("a.eml", mail.as_bytes(), &[field, b"\r\n--XX\r\nContent-Type: app", part.as_bytes()], is_hidden);

    let text = format!(
        "{{\\rtf1 some words {{\\b more}}{{\\*\\objdata {}}} and more words {{\\i here}}}}",
        hexadecimal(&object("Package", &package("eicar.com", &eicar())))
    );
    let data = &text[text.find("\\objdata").unwrap()..text.find("} and").unwrap()];
    mutate("a.rtf", text.as_bytes(), &[b"{\\rtf1 ", data.as_bytes()], |_| false);
}
