//! RTF: embedded objects, however they are written.

use portcullis_core::domain::verdict::Code;

use crate::common::{eicar, zip};
use crate::make::{compound, hexadecimal, native, object, package};
use crate::{code, found};

fn rtf(data: &str) -> Vec<u8> {
    format!("{{\\rtf1\\ansi hello {{\\object\\objemb{{\\*\\objclass Package}}{{\\*\\objdata {data}}}{{\\result x}}}} }}").into_bytes()
}

#[test]
fn packages_are_opened() {
    let hex = hexadecimal(&object("Package", &package("eicar.com", &eicar())));
    assert_eq!(found("a.rtf", &rtf(&hex)), ["1 a.rtf", "1 a.rtf/eicar.com"]);
    let clean = hexadecimal(&object("Package", &package("note.txt", b"hello")));
    assert_eq!(found("a.rtf", &rtf(&clean)), ["0 a.rtf", "0 a.rtf/note.txt"]);
    assert_eq!(found("a.rtf", b"{\\rtf1 just text {\\b and more}}"), ["0 a.rtf"]);
}

#[test]
fn obfuscations_that_word_ignores_are_ignored() {
    let bytes = object("Package", &package("eicar.com", &eicar()));
    let hex = hexadecimal(&bytes);
    let (first, second) = hex.split_at(20);
    let (raw_first, raw_second) = bytes.split_at(20);
    let spaced: String = hex.chars().flat_map(|c| [c, ' ', '\r', '\n']).collect();
    let cases = [
        hex.to_uppercase(),
        spaced,
        format!("{first}{{\\*\\nonsense}}{second}"),
        format!("{first}\\par123 {second}"),
        format!("{first}{{\\*\\x 4142}}{second}"),
        format!("{first}{{\\b {second}}}"),
        format!("{first}\\'41{second}"),
        format!("{{\\b}}{hex}"),
        format!("{first}\\*{second}"),
        format!("\\mhash\\x {hex}"),
    ];
    for data in cases {
        let found = found("a.rtf", &rtf(&data));
        assert!(found.contains(&"1 a.rtf/eicar.com".into()), "{data}: {found:?}");
    }
    let mut binary = format!("{{\\rtf1 {{\\object{{\\*\\objdata {}\\bin{} ", hexadecimal(raw_first), raw_second.len()).into_bytes();
    binary.extend(raw_second);
    binary.extend(b"}}}");
    assert!(found("a.rtf", &binary).contains(&"1 a.rtf/eicar.com".into()));
    // Cut off, as malware often is: Word opens it.
    let whole = rtf(&hex);
    assert!(found("a.rtf", &whole[..whole.len() - 15]).contains(&"1 a.rtf/eicar.com".into()));
}

#[test]
fn storages_are_opened_and_archives_outside_of_objects_found() {
    let storage = compound(&[("/\u{1}Ole10Native", &native("eicar.com", &eicar()))]);
    let lines = found("a.rtf", &rtf(&hexadecimal(&object("Word.Document.8", &storage))));
    assert!(lines.contains(&"1 a.rtf/object-1.ole/eicar.com".into()), "{lines:?}");
    // Headers that are no headers.
    let lines = found("a.rtf", &rtf(&hexadecimal(&[&b"garbage"[..], &storage].concat())));
    assert!(lines.contains(&"1 a.rtf/object-1.ole/eicar.com".into()), "{lines:?}");
    let noise: Vec<u8> = (0..2_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let theme = hexadecimal(&zip(&[("eicar.com", &eicar()), ("padding", &noise)]));
    assert_eq!(code("a.rtf", format!("{{\\rtf1 {{\\*\\themedata {theme}}}}}").as_bytes()), Code::Infected);
}
