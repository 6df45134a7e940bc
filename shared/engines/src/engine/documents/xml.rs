//! Parts of Open XML and OpenDocument packages, and documents that are one XML file.
//!
//! Sources: ECMA-376 part 1 §17.16 (fields), part 2 §9.3 (relationships), [MS-OFFMACRO2] (macro sheets), OpenDocument 1.3 part 3 §14.4 (scripts).
//! What always holds: what stands in front of a fault is judged; Office does not open XML that is not well-formed.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{dde, excel4};

/// Bytes of a part that are read.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// Words of which one must occur, for a part to be read at all.
const WORTH: &[&[u8]] = &[b"elationship", b"instr", b"dde", b"DDE", b"macrosheet", b"script:module"];

/// The threat name of an XML part.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    let content = content.get(..MAX_BYTES).unwrap_or(content);
    let text: Cow<'_, [u8]> = match content {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        // Without a mark (XML 1.0, appendix F).
        [b'<', 0, ..] => utf16(content, u16::from_le_bytes).into(),
        [0, b'<', ..] => utf16(content, u16::from_be_bytes).into(),
        _ => content.into(),
    };
    let body = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start();
    if !body.starts_with(b"<") || !WORTH.iter().any(|word| memchr::memmem::find(body, word).is_some()) {
        return None;
    }
    read(body).map(Into::into)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    char::decode_utf16(bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair))).map(|c| c.unwrap_or('\u{fffd}')).collect::<String>().into_bytes()
}

/// What the reader is inside of.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "one for each kind of element that may be open")]
struct State {
    /// Nested fields, and the instruction of the outermost one.
    fields: usize,
    instruction: String,
    in_instruction: bool,
    in_macro_sheet: bool,
    in_formula: bool,
    in_module: bool,
    text: String,
}

fn read(body: &[u8]) -> Option<&'static str> {
    let mut reader = Reader::from_reader(body);
    reader.config_mut().check_end_names = false;
    let mut state = State::default();
    loop {
        let found = match reader.read_event() {
            Ok(Event::Start(tag)) => open(&mut state, &tag, false),
            Ok(Event::Empty(tag)) => open(&mut state, &tag, true),
            Ok(Event::End(tag)) => close(&mut state, tag.local_name().as_ref()),
            Ok(Event::Text(text)) => {
                take(&mut state, &String::from_utf8_lossy(&text));
                None
            }
            Ok(Event::CData(text)) => {
                take(&mut state, &String::from_utf8_lossy(&text));
                None
            }
            Ok(Event::GeneralRef(reference)) => {
                take(&mut state, &unescape(&format!("&{};", String::from_utf8_lossy(&reference))));
                None
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => None,
        };
        if found.is_some() {
            return found;
        }
    }
}

fn unescape(text: &str) -> String {
    quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), Cow::into_owned)
}

fn attribute(tag: &BytesStart<'_>, name: &[u8]) -> String {
    let value = tag.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name).map(|a| a.value);
    value.map_or_else(String::new, |value| unescape(&String::from_utf8_lossy(&value)))
}

fn take(state: &mut State, text: &str) {
    if state.in_instruction && state.instruction.len() < 100_000 {
        state.instruction.push_str(text);
    }
    if (state.in_formula || state.in_module) && state.text.len() < 4 * 1024 * 1024 {
        state.text.push_str(text);
    }
}

fn open(state: &mut State, tag: &BytesStart<'_>, empty: bool) -> Option<&'static str> {
    match tag.local_name().as_ref() {
        b"Relationship" => return relationship(tag),
        b"fldSimple" => return dde::judge_field(&attribute(tag, b"instr")),
        b"ddeLink" => return dde::judge_service(&attribute(tag, b"ddeService"), &attribute(tag, b"ddeTopic")),
        b"fldChar" => match attribute(tag, b"fldCharType").as_str() {
            "begin" => state.fields += 1,
            "end" => {
                state.fields = state.fields.saturating_sub(1);
                if state.fields == 0 {
                    return dde::judge_field(&std::mem::take(&mut state.instruction));
                }
            }
            _ => {}
        },
        b"instrText" => state.in_instruction = !empty,
        b"macrosheet" => state.in_macro_sheet = true,
        b"f" => state.in_formula = state.in_macro_sheet && !empty,
        b"module" if !attribute(tag, b"language").is_empty() => state.in_module = !empty,
        _ => {}
    }
    None
}

fn close(state: &mut State, name: &[u8]) -> Option<&'static str> {
    match name {
        b"instrText" => state.in_instruction = false,
        b"f" if state.in_formula => {
            state.in_formula = false;
            return excel4::judge_formula(&std::mem::take(&mut state.text));
        }
        b"module" if state.in_module => {
            state.in_module = false;
            return basic(&std::mem::take(&mut state.text).to_lowercase());
        }
        // A field that nobody closes.
        b"body" | b"document" if state.fields > 0 => return dde::judge_field(&std::mem::take(&mut state.instruction)),
        _ => {}
    }
    None
}

fn relationship(tag: &BytesStart<'_>) -> Option<&'static str> {
    if !attribute(tag, b"TargetMode").eq_ignore_ascii_case("external") {
        return None;
    }
    let kind = attribute(tag, b"Type").to_lowercase();
    let target = attribute(tag, b"Target").trim().to_lowercase();
    let remote = ["http:", "https:", "ftp:", "mhtml:", "script:"].iter().any(|scheme| target.starts_with(scheme));
    match kind.rsplit('/').next().unwrap_or_default() {
        "attachedtemplate" if remote => Some("Heur.Document.RemoteTemplate"),
        "oleobject" if remote => Some("Heur.Document.RemoteObject"),
        "frame" | "subdocument" if remote => Some("Heur.Document.RemoteFrame"),
        _ if ["ms-msdt:", "search-ms:", "ms-officecmd:", "mhtml:"].iter().any(|scheme| target.starts_with(scheme)) => Some("Heur.Document.Protocol"),
        _ => None,
    }
}

/// LibreOffice Basic that starts a program and brings or names one.
fn basic(code: &str) -> Option<&'static str> {
    let runs = code.contains("shell(") || code.contains("shell (") || code.contains("systemshellexecute") || code.contains("wscript.shell");
    let what =
        ["http://", "https://", "powershell", "cmd.exe", "cmd /c", "/bin/sh", "/bin/bash", "curl ", "wget "].iter().any(|word| code.contains(word));
    (runs && what).then_some("Heur.Macro.Basic.Shell")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(xml: &str) -> Option<String> {
        judge(xml.as_bytes())
    }

    fn relationship(kind: &str, target: &str, mode: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><r:Relationships xmlns:r=\"x\"><r:Relationship Type='http://x/relationships/{kind}' Target='{target}'{mode}/></r:Relationships>"
        )
    }

    #[test]
    fn parts_from_servers() {
        let external = " TargetMode=\"External\"";
        for (kind, target) in [
            ("attachedTemplate", "https://192.0.2.1/a.dotm"),
            ("attachedTemplate", "&#104;ttp://192.0.2.1/a.dotm"),
            ("oleObject", "mhtml:http://192.0.2.1/a!x-usc:http://192.0.2.1/a"),
            ("frame", "http://192.0.2.1/"),
            ("hyperlink", "ms-msdt:/id PCWDiagnostic"),
        ] {
            assert!(judged(&relationship(kind, target, external)).is_some(), "{kind} {target}");
        }
        for (kind, target, mode) in [
            ("attachedTemplate", "file:///C:\\x\\Normal.dotm", external),
            ("hyperlink", "https://example.org/", external),
            ("image", "http://example.org/a.png", external),
            ("oleObject", "embeddings/oleObject1.bin", ""),
            ("oleObject", "file:///C:\\x\\Book1.xlsx", external),
        ] {
            assert_eq!(judged(&relationship(kind, target, mode)), None, "{kind} {target}");
        }
        let wide: Vec<u8> =
            [0xfeff].into_iter().chain(relationship("frame", "http://x/", external).encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert!(judge(&wide).is_some());
    }

    #[test]
    fn fields_are_put_together_from_their_runs() {
        let field = |parts: &[&str]| {
            let runs = parts.iter().map(|p| format!("<w:r><w:instrText xml:space=\"preserve\">{p}</w:instrText></w:r>")).collect::<Vec<_>>().concat();
            format!(
                "<w:document xmlns:w='x'><w:body><w:fldChar w:fldCharType=\"begin\"/>{runs}<w:fldChar w:fldCharType=\"end\"/></w:body></w:document>"
            )
        };
        assert!(judged(&field(&["DDE", "AUTO c:\\\\windows\\\\system32\\\\c", "md.exe &quot;/k x&quot;"])).is_some());
        assert!(judged("<w:p xmlns:w='x'><w:fldSimple w:instr=\"DDEAUTO &quot;mshta&quot; x\"/></w:p>").is_some());
        assert!(judged("<w:body xmlns:w='x'><w:fldChar w:fldCharType='begin'/><w:instrText>DDE cmd x</w:instrText></w:body>").is_some());
        assert_eq!(judged(&field(&["PAGE"])), None);
        assert_eq!(judged(&field(&["DDE Excel.Sheet.8 ", "Book1.xls"])), None);
        assert!(judged("<externalLink><ddeLink ddeService=\"cmd\" ddeTopic=\"/c calc\"/></externalLink>").is_some());
    }

    #[test]
    fn macro_sheets_and_basic() {
        assert!(judged("<xm:macrosheet xmlns:xm='x'><c><f>EXEC(\"x\")</f></c></xm:macrosheet>").is_some());
        assert_eq!(judged("<worksheet><f>EXEC(\"macrosheet\")</f></worksheet>"), None);
        let module = |code: &str| format!("<script:module xmlns:script='x' script:language=\"StarBasic\">{code}</script:module>");
        assert!(judged(&module("Sub Main\nShell(&quot;cmd.exe /c x&quot;)\nEnd Sub")).is_some());
        assert_eq!(judged(&module("Sub Main\nMsgBox &quot;http://x&quot;\nEnd Sub")), None);
    }
}
