//! Mails: eml, mbox, TNEF, wrapped uploads.

use portcullis_core::domain::verdict::Code;

use crate::common::eicar;
use crate::make::{base64, mail};
use crate::{code, found, report};

const ATTACHED: [&str; 2] = ["1 a.eml", "1 a.eml/eicar.com"];

#[test]
fn attachments_are_found_and_bodies_are_not_listed() {
    assert_eq!(found("a.eml", mail().as_bytes()), ATTACHED);
    let clean = mail().replace(&base64(&eicar()), &base64(b"MZ is not here"));
    let report = report("a.eml", clean.as_bytes());
    assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{:?}", report.root.verdict);
    assert_eq!(report.children.len(), 1);
    let plain = b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\nhello\r\n";
    let report = crate::report("a.eml", plain);
    assert!(report.root.verdict.code == Code::NoThreatDetected && report.children.is_empty() && !report.root.is_archive);
}

#[test]
fn line_ends_and_headers_may_be_odd() {
    let mail = mail();
    let changes: &[(&str, &str)] = &[
        ("\r\n", "\n"),
        ("boundary=\"XX\"", "boundary=XX"),
        ("boundary=\"XX\"", "boundary*0=X; boundary*1=X"),
        ("boundary=\"XX\"", "boundary=YY; boundary=XX"),
        ("boundary=\"XX\"", "charset=x"),
        ("Content-Transfer-Encoding: base64", "content-transfer-encoding : BASE64"),
        ("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64"),
        ("--XX--", ""),
        ("Subject: x", "no field at all"),
        ("Content-Disposition: attachment", "broken line\r\nContent-Disposition: attachment"),
        ("--XX--\r\n", "--XX--\r\nepilogue\r\n"),
        ("Content-Type: multipart/mixed;", "Content-Type: multipart/mixed\r\nContent-Type: multipart/mixed;"),
    ];
    for (from, to) in changes {
        let lines = found("a.eml", mail.replace(from, to).as_bytes());
        assert!(lines.contains(&ATTACHED[1].into()) && lines[0] == ATTACHED[0], "{from} → {to}: {lines:?}");
    }
    // A text part keeps its bytes, whatever its character set.
    let text = mail.replace("application/octet-stream", "text/plain; charset=utf-16; name=\"eicar.com\"");
    assert_eq!(found("a.eml", text.as_bytes()), ATTACHED);
}

#[test]
fn other_encodings_are_decoded() {
    let head = "From: a@b\r\nTo: c@d\r\nContent-Type: application/octet-stream; name=\"eicar.com\"\r\nContent-Transfer-Encoding: ";
    let quoted: String = hex::encode_upper(eicar()).as_bytes().chunks(2).flat_map(|pair| ['=', char::from(pair[0]), char::from(pair[1])]).collect();
    assert_eq!(found("a.eml", format!("{head}quoted-printable\r\n\r\n{quoted}").as_bytes()), ATTACHED);
    let mut lines = String::from("begin 644 eicar.com\r\n");
    for part in eicar().chunks(45) {
        lines.push(char::from(b' ' + u8::try_from(part.len()).unwrap()));
        for three in part.chunks(3) {
            let word = (0..3).fold(0_u32, |word, n| word << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
            lines.extend((0..4).map(|n| char::from(b' ' + u8::try_from(word >> (18 - 6 * n) & 63).unwrap())));
        }
        lines.push_str("\r\n");
    }
    lines.push_str("`\r\nend\r\n");
    assert_eq!(found("a.eml", format!("{head}x-uuencode\r\n\r\n{lines}").as_bytes()), ATTACHED);
    assert_eq!(found("a.txt", format!("see below\r\n{lines}").as_bytes()), ["1 a.txt", "1 a.txt/eicar.com"]);
    let body = format!("From: a@b\r\nSubject: x\r\n\r\nsee below\r\n{lines}");
    assert!(found("a.eml", body.as_bytes()).contains(&"1 a.eml/body.txt/eicar.com".into()));
}

#[test]
fn messages_within_messages_and_mailboxes() {
    let outer = format!(
        "From: x@y\r\nTo: z@w\r\nContent-Type: multipart/mixed; boundary=O\r\n\r\n--O\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--O--\r\n",
        mail()
    );
    assert_eq!(found("a.eml", outer.as_bytes()), ["1 a.eml", "1 a.eml/message.eml", "1 a.eml/message.eml/eicar.com"]);
    // Without the fields that make a text a mail.
    let bare = mail().replace("From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n", "");
    assert!(code("a.txt", bare.as_bytes()) == Code::Infected);
    let mailbox = format!("From a Mon Jan 1\r\nFrom: q@q\r\nSubject: one\r\n\r\nhello\r\n\r\nFrom b Mon Jan 1\r\n{}", mail());
    let lines = found("a.mbox", mailbox.as_bytes());
    assert!(lines.contains(&"1 a.mbox/message-2.eml/eicar.com".into()) && lines.contains(&"0 a.mbox/message-1.eml".into()), "{lines:?}");
}

#[test]
fn what_can_not_be_read_is_not_clean() {
    let head = "From: a@b\r\nTo: c@d\r\nSubject: x\r\n";
    let cases = [
        ("Content-Type: multipart/related\r\n\r\nQUJD\r\n", Code::Failed),
        ("Content-Type: multipart/mixed; boundary=Q\r\n\r\nno part here\r\n", Code::Failed),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAA\r\n",
            Code::PasswordProtectedDocument,
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAA\r\n",
            Code::UnsupportedFileType,
        ),
        (
            "Content-Type: multipart/encrypted; boundary=Q\r\n\r\n--Q\r\nContent-Type: text/plain\r\n\r\nx\r\n--Q--\r\n",
            Code::PasswordProtectedDocument,
        ),
        ("Content-Type: message/partial; number=1; total=2; id=x\r\n\r\nFrom: a@b\r\n\r\nx", Code::UnsupportedFileType),
        // Bounces bring mails without their bodies.
        ("Content-Type: multipart/mixed; boundary=Q\r\n\r\n", Code::NoThreatDetected),
    ];
    for (rest, expected) in cases {
        assert_eq!(code("a.eml", format!("{head}{rest}").as_bytes()), expected, "{rest}");
    }
}

/// An attribute of TNEF.
fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
    [&[level][..], &id.to_le_bytes(), &u32::try_from(data.len()).unwrap().to_le_bytes(), data, &[0, 0]].concat()
}

#[test]
fn tnef_attachments_are_found() {
    let head = [&0x223e_9f78_u32.to_le_bytes()[..], &[1, 0]].concat();
    let name: Vec<u8> = "eicar.com\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = [&[1, 0, 0, 0, 0x1f, 0, 0x07, 0x37, 1, 0, 0, 0, 20, 0, 0, 0][..], &name].concat();
    let file = [attribute(2, 0x0006_9002, &[0; 14]), attribute(2, 0x0001_8010, b"EICAR~1.COM\0"), attribute(2, 0x0006_800f, &eicar())].concat();
    assert_eq!(found("a.dat", &[&head[..], &file].concat()), ["1 a.dat", "1 a.dat/EICAR~1.COM"]);
    let named = [&head[..], &file, &attribute(2, 0x0006_9005, &long)].concat();
    assert_eq!(found("a.dat", &named), ["1 a.dat", "1 a.dat/eicar.com"]);
    let inner = [&head[..], &file].concat();
    let size = u32::try_from(inner.len() + 16).unwrap().to_le_bytes();
    let object = [&[1, 0, 0, 0, 0x0d, 0, 0x01, 0x37, 1, 0, 0, 0][..], &size, &[0; 16], &inner, &vec![0; (4 - inner.len() % 4) % 4]].concat();
    let nested = [&head[..], &attribute(2, 0x0006_9002, &[0; 14]), &attribute(2, 0x0006_9005, &object)].concat();
    assert_eq!(found("a.dat", &nested), ["1 a.dat", "1 a.dat/attachment-1.tnef", "1 a.dat/attachment-1.tnef/EICAR~1.COM"]);
    // Cut within an attribute; between two of them nothing is missing that anybody could see.
    for cut in [8, 20, 27, 40, 60, inner.len() - 3, inner.len() + 1, named.len() - 4] {
        assert!(code("a.dat", &named[..cut]).is_blocked(), "cut at {cut}");
    }
}

#[test]
fn files_in_data_uris_are_found() {
    let program = [b"MZ".as_slice(), &[0x90; 60], &eicar()].concat();
    let page = format!("<html><a href=\"data:application/octet-stream;base64,{}\">x</a></html>", base64(&program).replace("\r\n", ""));
    assert_eq!(found("a.html", page.as_bytes()), ["1 a.html", "1 a.html/data-1"]);
    let picture = format!("<html><img src=\"data:image/png;base64,{}\"></html>", base64(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
    assert_eq!(found("a.html", picture.as_bytes()), ["0 a.html"]);
}

#[test]
fn wrapped_uploads_are_unwrapped() {
    let wrapped = [
        b"--------------------------0123\r\nContent-Disposition: form-data; name=\"file\"; filename=\"eicar.com\"\r\nContent-Type: x/y\r\n\r\n",
        &eicar()[..],
        b"\r\n--------------------------0123--\r\n",
    ]
    .concat();
    assert_eq!(found("upload", &wrapped), ["1 upload", "1 upload/eicar.com"]);
    let clean = String::from_utf8(wrapped).unwrap().replace(&String::from_utf8(eicar()).unwrap(), "hello");
    let report = report("upload", clean.as_bytes());
    assert_eq!(report.children.first().map(|child| (child.name.as_str(), child.size)), Some(("upload/eicar.com", 5)));
    assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{:?}", report.root.verdict);
}
