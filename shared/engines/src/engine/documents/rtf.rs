//! RTF: objects are read the way Word does, past everything that is strewn between their digits.
//!
//! Source: Rich Text Format 1.9.1, "Objects" and "Destinations". What always holds: `\bin` skips as many bytes as it says,
//! so data can not pose as control words, and the other way round.

use super::{dde, ole};

/// Bytes of one object that are decoded.
const MAX_OBJECT: usize = 16 * 1024 * 1024;
/// Bytes of text kept for fields and templates.
const MAX_TEXT: usize = 1024 * 1024;
/// Class identifier of the old equation editor, as stored (CVE-2017-11882).
const EQUATION: [u8; 16] = [0x02, 0xce, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

/// Word opens everything that begins with `{\rt`.
pub(super) fn is_rtf(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"{\\rt")
}

#[derive(Default)]
struct Found {
    objects: Vec<Vec<u8>>,
    /// Text of `\fldinst` and `\template` destinations, in that order.
    fields: Vec<String>,
    templates: Vec<String>,
    /// An object that loads itself.
    updates: bool,
    /// Control words inside the digits of objects: nothing that writes RTF puts any there.
    strewn: usize,
}

/// The threat name of an RTF file.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    let found = read(content);
    if found.templates.iter().any(|target| ["http:", "https:", "ftp:", "\\\\"].iter().any(|scheme| target.trim().to_lowercase().starts_with(scheme)))
    {
        return Some("Heur.RTF.RemoteTemplate".into());
    }
    if let Some(threat) = found.fields.iter().find_map(|field| dde::judge_field(field)) {
        return Some(threat.into());
    }
    if let Some(threat) = found.objects.iter().find_map(|object| judge_object(object, found.updates)) {
        return Some(threat.into());
    }
    let has_object = found.objects.iter().any(|object| object.len() > 16);
    (has_object && found.strewn > 20).then(|| "Heur.RTF.HiddenObject".into())
}

/// OLE 1 object: version (4), format (4), length of the class name (4), class name ([MS-OLEDS] §2.2.4).
fn judge_object(object: &[u8], updates: bool) -> Option<&'static str> {
    if let Some(threat) = ole::judge_embedded(object) {
        return Some(threat);
    }
    let length = object.get(8..12).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
    let class = object.get(12..).and_then(|rest| rest.get(..length.min(64).min(rest.len()))).unwrap_or_default().to_ascii_lowercase();
    if class.starts_with(b"equation.") || memchr::memmem::find(object, &EQUATION).is_some() {
        return Some("Heur.RTF.Equation");
    }
    if class.starts_with(b"package") {
        // Topic and item (each a length and text), size of the data, data. The size stands where a stream has its own.
        let mut at = 12 + length;
        for _ in 0..2 {
            at += 4 + object.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
        }
        return object.get(at..).and_then(ole::judge_package);
    }
    (updates && class.starts_with(b"ole2link")).then_some("Heur.RTF.UpdatingLink")
}

fn read(content: &[u8]) -> Found {
    #[derive(Clone, Copy, PartialEq)]
    enum Into {
        Nothing,
        Object,
        Field,
        Template,
    }
    let mut found = Found::default();
    // What text goes into, and the depth of the group that began it.
    let (mut into, mut since, mut depth) = (Into::Nothing, 0_usize, 0_usize);
    let (mut digits, mut text): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(byte) = content.get(at).copied() {
        at += 1;
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if into != Into::Nothing && depth < since {
                    match into {
                        Into::Object => found.objects.push(unhex(&std::mem::take(&mut digits))),
                        Into::Field => found.fields.push(String::from_utf8_lossy(&std::mem::take(&mut text)).into_owned()),
                        Into::Template => found.templates.push(String::from_utf8_lossy(&std::mem::take(&mut text)).into_owned()),
                        Into::Nothing => {}
                    }
                    into = Into::Nothing;
                }
                if found.objects.len() + found.fields.len() > 10_000 {
                    break;
                }
            }
            b'\\' => match content.get(at) {
                Some(b'\'') => {
                    if let (Into::Field | Into::Template, Some(pair)) = (into, content.get(at + 1..at + 3)) {
                        text.extend(unhex(pair));
                    }
                    at += 3;
                }
                Some(first) if first.is_ascii_alphabetic() => {
                    let rest = content.get(at..).unwrap_or_default();
                    let word = rest.get(..rest.iter().take_while(|b| b.is_ascii_alphabetic()).count()).unwrap_or_default();
                    at += word.len();
                    let rest = content.get(at..).unwrap_or_default();
                    let sign = usize::from(rest.first() == Some(&b'-'));
                    let number = rest.get(sign..).unwrap_or_default();
                    let number = number.get(..number.iter().take_while(|b| b.is_ascii_digit()).count()).unwrap_or_default();
                    if !number.is_empty() {
                        at += sign + number.len();
                    }
                    at += usize::from(content.get(at) == Some(&b' '));
                    found.strewn += usize::from(into == Into::Object && !word.starts_with(b"par"));
                    match word {
                        b"objdata" => (into, since) = (Into::Object, depth),
                        b"fldinst" if into == Into::Nothing => (into, since) = (Into::Field, depth),
                        b"template" if into == Into::Nothing => (into, since) = (Into::Template, depth),
                        b"objupdate" | b"objautlink" => found.updates = true,
                        b"bin" => at = at.saturating_add(std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).unwrap_or(0)),
                        _ => {}
                    }
                }
                Some(symbol) => {
                    if into == Into::Field || into == Into::Template {
                        text.push(*symbol);
                    }
                    at += 1;
                }
                None => break,
            },
            digit if into == Into::Object && digit.is_ascii_hexdigit() && digits.len() < 2 * MAX_OBJECT => digits.push(digit),
            _ if into == Into::Object => {}
            letter if into != Into::Nothing && text.len() < MAX_TEXT && !matches!(letter, b'\r' | b'\n') => text.push(letter),
            _ => {}
        }
    }
    // A group that is never closed still counts for Word.
    if into == Into::Object {
        found.objects.push(unhex(&digits));
    }
    found
}

fn unhex(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok()).unwrap_or(0);
    digits.as_chunks::<2>().0.iter().map(|[high, low]| value(*high) << 4 | value(*low)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: &[u8], data: &[u8]) -> String {
        let length = u32::try_from(class.len() + 1).unwrap().to_le_bytes();
        hex::encode([b"\x01\x05\0\0\x02\0\0\0", &length[..], class, b"\0\0\0\0\0\0\0\0\0\x10\0\0\0", data].concat())
    }

    fn judged(rtf: &str) -> Option<String> {
        judge(rtf.as_bytes())
    }

    #[test]
    fn objects_are_found_behind_what_is_strewn_between_their_digits() {
        let equation = object(b"Equation.3", b"x");
        assert_eq!(judged(&format!("{{\\rt{{\\object\\objemb{{\\*\\objdata {equation}}}}}}}")).unwrap(), "Heur.RTF.Equation");
        let strewn = equation.chars().map(|c| format!("{{\\*\\abc{c}9 }}{c}\r\n")).collect::<Vec<_>>().concat();
        assert_eq!(judged(&format!("{{\\rtf1{{\\object{{\\*\\objdata {strewn}")).unwrap(), "Heur.RTF.Equation");
        for names in [b"a.txt\0C:\\a.vbs\0".as_slice(), b"a.js\0C:\\x.tmp\0"] {
            let script = object(b"Package", &[b"\x02\0".as_slice(), names].concat());
            assert_eq!(judged(&format!("{{\\rtf1{{\\objdata {script}}}}}")).unwrap(), "Heur.Document.PackagedProgram");
        }
        let link = object(b"OLE2Link", b"");
        assert_eq!(judged(&format!("{{\\rtf1{{\\object\\objautlink\\objupdate{{\\objdata {link}}}}}}}")).unwrap(), "Heur.RTF.UpdatingLink");
        let hidden = object(b"Unknown", &[0; 90]).chars().map(|c| format!("\\q{c}")).collect::<Vec<_>>().concat();
        assert_eq!(judged(&format!("{{\\rtf1{{\\objdata {}{hidden}}}}}", object(b"Unknown", &[0; 90]))).unwrap(), "Heur.RTF.HiddenObject");
    }

    #[test]
    fn templates_and_fields() {
        assert_eq!(judged("{\\rtf1{\\*\\template http://192.0.2.1/a.dotm}}").unwrap(), "Heur.RTF.RemoteTemplate");
        assert_eq!(judged("{\\rtf1{\\*\\template \\'68ttp://192.0.2.1/a}}").unwrap(), "Heur.RTF.RemoteTemplate");
        assert_eq!(judged("{\\rtf1{\\field{\\*\\fldinst {DDEAUTO c:\\\\windows\\\\cmd.exe \"/c x\"}}}}").unwrap(), "Heur.Document.DDE");
    }

    #[test]
    fn ordinary_files() {
        let sheet = object(b"Excel.Sheet.8", &[0xd0; 200]);
        for honest in [
            "{\\rtf1\\ansi hello \\b world\\b0 {\\*\\template C:\\\\x\\\\Normal.dotm}{\\field{\\*\\fldinst PAGE}}}",
            &format!("{{\\rtf1{{\\object\\objemb{{\\*\\objclass Excel.Sheet.8}}{{\\*\\objdata {sheet}}}}}}}"),
            "{\\rtf1 \\bin30 {\\*\\template http://192.0.2.1/}\\objdata }",
            "{\\rtf1 \\",
            "{\\rt",
        ] {
            assert_eq!(judged(honest), None, "{honest}");
        }
    }
}
