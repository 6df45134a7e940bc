//! Obfuscated scripts: several independent signs are needed, because minified code has some of them.

use memchr::memmem::find_iter;
use portcullis_core::domain::report::FileType;

use crate::names;

/// Bytes that are looked at: droppers are small.
const PROBE: usize = 512 * 1024;

/// Languages in which droppers are written for Windows, by extension.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    JavaScript,
    VbScript,
    PowerShell,
}

fn language(name: &str) -> Option<Language> {
    match names::extension(name).as_str() {
        "js" | "jse" | "wsf" | "hta" => Some(Language::JavaScript),
        "vbs" | "vbe" | "vb" => Some(Language::VbScript),
        "ps1" | "psm1" => Some(Language::PowerShell),
        _ => None,
    }
}

/// The threat name of an obfuscated script.
pub(super) fn judge(name: &str, content: &[u8], file_type: &FileType) -> Option<&'static str> {
    let language = language(name)?;
    if file_type.category != "T" || content.len() > PROBE {
        return None;
    }
    let text: Vec<u8> = content.iter().filter(|b| **b != 0).map(u8::to_ascii_lowercase).collect();
    let count = |what: &str| find_iter(&text, what).count();
    let has = |what: &[&str]| what.iter().any(|w| count(w) > 0);
    let per_mille = |n: usize| n * 1_000 / text.len().max(1);
    match language {
        Language::JavaScript => {
            let runs = has(&["eval(", "new function(", "[\"constructor\"](", "execscript("]);
            let host = has(&["wscript.", "activexobject", "shell.application", "adodb.stream", "msxml2."]);
            let codes = count("fromcharcode") > 3 || count("unescape(") > 0 || per_mille(count("\\x")) > 60 || per_mille(count("%u")) > 30;
            // The host's objects only exist outside of browsers: evaluated, encoded code that uses them is no web page.
            (runs && host && codes).then_some("Heur.Script.JS.Obfuscated")
        }
        Language::VbScript => {
            let runs = has(&["execute(", "executeglobal", "eval("]);
            let codes = per_mille(count("chr(") + count("chrw(")) > 20 || count("strreverse") > 2;
            (runs && codes).then_some("Heur.Script.VBS.Obfuscated")
        }
        Language::PowerShell => {
            let runs = has(&["iex ", "iex(", "|iex", "| iex", "invoke-expression", "[scriptblock]::create"]);
            let codes = per_mille(count("[char]")) > 20 || per_mille(count("`")) > 80 || (count("-bxor") > 0 && count("frombase64string") > 0);
            (runs && codes).then_some("Heur.Script.PS.Obfuscated")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filetype::detect;

    fn judged(name: &str, text: &str) -> Option<&'static str> {
        judge(name, text.as_bytes(), &detect(text.as_bytes()))
    }

    #[test]
    fn obfuscated_droppers() {
        let js = format!("var s=new ActiveXObject('WScript.Shell');eval({});", ["String.fromCharCode(97)"; 9].join("+"));
        assert!(judged("a.js", &js).is_some());
        let vbs = format!("Execute({})", ["Chr(65)"; 50].join("&"));
        assert!(judged("a.vbs", &vbs).is_some());
        let ps = format!("iex({})", ["[char]65"; 50].join("+"));
        assert!(judged("a.ps1", &ps).is_some());
    }

    #[test]
    fn ordinary_and_minified_scripts() {
        assert_eq!(judged("a.js", &"function(e){return eval(String.fromCharCode(e))};".repeat(50)), None);
        assert_eq!(judged("a.ps1", "Get-ChildItem | Where-Object { $_.Length -gt 1MB }"), None);
        assert_eq!(judged("a.vbs", "MsgBox \"hi\" & Chr(13)"), None);
    }
}
