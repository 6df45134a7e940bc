//! What droppers do, language by language. Text is lower case, but for base64.

use super::decode;
use super::language::Language;
use crate::engine::score::Score;

/// Points from which a script is suspicious.
const THRESHOLD: u32 = 4;

/// The threat name of a script.
pub(super) fn judge(language: Language, lower: &str, original: &str) -> Option<String> {
    let text = Text(lower);
    let mut score = Score::default();
    // What PowerShell is told in base64 is judged like what it is told openly.
    if text.has(&["powershell", "pwsh"]) && language != Language::Python {
        for command in decode::commands(original) {
            powershell(&Text(&command), &mut score);
        }
    }
    match language {
        Language::PowerShell => powershell(&text, &mut score),
        Language::JavaScript => javascript(&text, &mut score),
        Language::VbScript => vbscript(&text, &mut score),
        Language::Hta => {
            javascript(&text, &mut score);
            vbscript(&text, &mut score);
            interpreter(&text, &mut score);
        }
        Language::Batch => batch(&text, &mut score),
        Language::Shell => shell(&text, &mut score),
        Language::Python => python(&text, &mut score),
    }
    let name = match language {
        Language::PowerShell => "Heur.Script.PS",
        Language::JavaScript => "Heur.Script.JS",
        Language::VbScript => "Heur.Script.VBS",
        Language::Hta => "Heur.Script.HTA",
        Language::Batch => "Heur.Script.Batch",
        Language::Shell => "Heur.Script.Shell",
        Language::Python => "Heur.Script.Python",
    };
    score.threat(name, THRESHOLD)
}

struct Text<'a>(&'a str);

impl Text<'_> {
    fn has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| memchr::memmem::find(self.0.as_bytes(), word.as_bytes()).is_some())
    }
    fn count(&self, words: &[&str]) -> usize {
        words.iter().map(|word| memchr::memmem::find_iter(self.0.as_bytes(), word.as_bytes()).count()).sum()
    }
    /// Occurrences in a thousand bytes; texts of a few words count as longer ones.
    fn density(&self, words: &[&str]) -> usize {
        self.count(words) * 1_000 / self.0.len().max(200)
    }
    /// An address that begins with four numbers.
    fn has_raw_address(&self) -> bool {
        self.0.match_indices("://").any(|(at, _)| {
            let host: String = self.0.get(at + 3..).unwrap_or_default().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            host.split('.').filter(|part| !part.is_empty()).count() == 4 && !host.starts_with("127.") && !host.starts_with("0.0")
        })
    }
    /// The longest run of letters and digits that base64 is made of.
    fn longest_blob(&self) -> usize {
        self.0.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))).map(str::len).max().unwrap_or(0)
    }
}

fn powershell(text: &Text<'_>, score: &mut Score) {
    let runs = text.has(&[
        "iex ",
        "iex(",
        "|iex",
        "| iex",
        "invoke-expression",
        "[scriptblock]::create",
        ".invoke()",
        "&([",
        "& ([",
        "start-process",
        "[reflection.assembly]::load",
        "[system.reflection.assembly]::load",
    ]);
    let brings = text.has(&[
        "downloadstring(",
        "downloadfile(",
        "downloaddata(",
        "invoke-webrequest",
        "invoke-restmethod",
        "iwr ",
        "irm ",
        "start-bitstransfer",
        "net.webclient",
    ]);
    let hides = text.has(&["-w hidden", "windowstyle hidden", "-win hidden", "-w 1 "]);
    score.add(4, "AmsiBypass", text.has(&["amsiinitfailed", "amsiutils"]) && text.has(&["setvalue(", "getfield("]));
    score.add(4, "Injection", text.has(&["virtualalloc"]) && text.has(&["createthread", "marshal]::copy", "getdelegateforfunctionpointer"]));
    score.add(4, "DownloadAndRun", text.has(&["downloadstring("]) && text.has(&["iex", "invoke-expression"]));
    score.add(2, "Download", brings);
    score.add(2, "RunsText", runs && (brings || text.has(&["frombase64string", "-join", "-bxor", "[char]", "gzipstream", "deflatestream"])));
    score.add(
        2,
        "Obfuscated",
        text.density(&["[char]"]) > 20 || text.count(&["'+'", "\"+\""]) > 40 || text.has(&["-bxor"]) && text.has(&["frombase64string", "[byte[]]"]),
    );
    score.add(
        2,
        "Backticks",
        text.0.as_bytes().windows(3).filter(|w| w[1] == b'`' && w[0].is_ascii_alphabetic() && w[2].is_ascii_alphabetic()).count() > 8,
    );
    score.add(1, "Hidden", hides);
    score.add(1, "RawAddress", text.has_raw_address());
    score.add(1, "Blob", text.longest_blob() > 4_000 && runs);
}

fn javascript(text: &Text<'_>, score: &mut Score) {
    let runs = text.has(&["eval(", "new function(", "[\"constructor\"](", "execscript("]);
    // The host's objects exist only outside of browsers.
    let host = text.has(&["wscript.", "activexobject", "shell.application"]);
    let codes = text.count(&["fromcharcode"]) > 3 || text.has(&["unescape("]) || text.density(&["\\x"]) > 60 || text.density(&["%u"]) > 30;
    let fetches = text.has(&["msxml2.", "winhttp.winhttprequest", "microsoft.xmlhttp"]);
    let starts = text.has(&["wscript.shell", "shell.application"]) && text.has(&[".run(", ".run ", ".exec(", ".shellexecute"]);
    score.add(4, "DownloadAndRun", host && fetches && starts);
    score.add(4, "Obfuscated", runs && host && codes);
    score.add(2, "Drops", host && text.has(&["adodb.stream", "savetofile"]) && starts);
    score.add(2, "Starts", starts);
    score.add(2, "Interpreter", starts && text.has(&["powershell", "cmd /c", "cmd.exe /c", "mshta ", "regsvr32", "rundll32", "certutil"]));
}

fn vbscript(text: &Text<'_>, score: &mut Score) {
    let runs = text.has(&["execute(", "executeglobal", "execute ", "eval("]);
    let codes = text.density(&["chr(", "chrw("]) > 20 || text.count(&["strreverse"]) > 2;
    let fetches = text.has(&["msxml2.", "winhttp.winhttprequest", "microsoft.xmlhttp"]);
    let starts = text.has(&["wscript.shell", "shell.application", "winmgmts:"])
        && text.has(&[".run ", ".run(", ".exec ", ".exec(", ".shellexecute", ".create("]);
    score.add(4, "Obfuscated", runs && codes);
    score.add(4, "DownloadAndRun", fetches && starts && text.has(&["adodb.stream", "savetofile", "responsebody"]));
    score.add(2, "Starts", starts);
    score.add(
        2,
        "Interpreter",
        starts && text.has(&["powershell", "cmd /c", "cmd.exe /c", "mshta ", "regsvr32", "rundll32", "certutil", "bitsadmin"]),
    );
    score.add(1, "Decodes", starts && text.has(&["bin.base64", "xor "]));
}

/// Interpreters that are started with something to fetch or decode.
fn interpreter(text: &Text<'_>, score: &mut Score) {
    let network = text.has(&["http://", "https://", "ftp://"]);
    score.add(4, "Mshta", text.has(&["mshta http", "mshta.exe http", "mshta \"http", "mshta vbscript:", "mshta javascript:"]));
    score.add(4, "Regsvr32", text.has(&["regsvr32"]) && text.has(&["/i:http", "scrobj"]));
    score.add(4, "Rundll32", text.has(&["rundll32"]) && text.has(&["javascript:"]));
    score.add(2, "Certutil", text.has(&["certutil"]) && text.has(&["-urlcache", "-decode", "/urlcache", "/decode", "-decodehex"]));
    score.add(2, "Bitsadmin", text.has(&["bitsadmin"]) && text.has(&["/transfer"]) && network);
    if text.has(&["powershell", "pwsh"]) {
        powershell(text, score);
    }
}

fn batch(text: &Text<'_>, score: &mut Score) {
    interpreter(text, score);
    let slices =
        text.0.match_indices(":~").filter(|(at, _)| text.0.get(at + 2..at + 3).is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit()))).count();
    score.add(4, "Obfuscated", slices > 25);
    let inside = text.0.as_bytes().windows(3).filter(|w| w[1] == b'^' && w[0].is_ascii_alphabetic() && w[2].is_ascii_alphabetic()).count();
    score.add(3, "Carets", inside > 15);
    score.add(2, "StartsDownloaded", text.has_raw_address() && text.has(&["start ", "call ", ".exe"]));
    score.add(4, "RemovesBackups", text.has(&["vssadmin"]) && text.has(&["delete shadows"]) || text.has(&["shadowcopy delete"]));
    score.add(
        2,
        "DisablesDefence",
        text.has(&["set-mppreference", "add-mppreference"]) && text.has(&["-disablerealtimemonitoring", "-exclusionpath"]),
    );
}

fn shell(text: &Text<'_>, score: &mut Score) {
    let fetches = text.has(&["wget ", "curl ", "tftp ", "ftpget "]);
    let piped = text.has(&["| sh", "|sh", "| bash", "|bash"]);
    let raw = fetches && text.has_raw_address();
    score.add(2, "RawAddress", raw);
    score.add(
        2,
        "RunsDownloaded",
        fetches
            && text.has(&["chmod +x", "chmod 777", "chmod 755", "chmod +x"])
            && text.has(&["cd /tmp", "/tmp/", "/dev/shm", "/var/run"])
            && text.has(&["; ./", "\n./", "&& ./", "sh /tmp"]),
    );
    score.add(2, "PipedToShell", raw && piped);
    score.add(2, "Erases", raw && text.has(&["rm -rf $0", "rm -f $0", "history -c", "rm -rf *", "unset histfile"]));
    score.add(
        4,
        "DecodedToShell",
        text.has(&["base64 -d |", "base64 --decode |", "base64 -d|", "base64 -di |", "xxd -r -p |"]) && piped
            || text.has(&["eval \"$(echo", "eval $(echo", "eval `echo"]) && text.has(&["base64 -d", "base64 --decode", "xxd -r"]),
    );
    score.add(4, "ReverseShell", text.has(&["/dev/tcp/"]) && text.has(&["0>&1", "<&1", "bash -i", "sh -i"]));
    score.add(2, "Miner", text.has(&["stratum+tcp://", "stratum+ssl://"]));
    score.add(2, "Persists", raw && text.has(&["crontab -", "/etc/cron", "authorized_keys", "ld.so.preload"]));
}

fn python(text: &Text<'_>, score: &mut Score) {
    let compact: String = text.0.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = Text(&compact);
    let decoders = ["base64.b64decode(", "b64decode(", "zlib.decompress(", "marshal.loads(", "bytes.fromhex(", "lzma.decompress(", "codecs.decode("];
    let nested = decoders.iter().any(|decoder| {
        ["exec(", "eval("].iter().any(|run| {
            ["", "compile(", "__import__('base64').", "__import__(\"base64\").", "__import__('zlib').", "base64.", "zlib.", "marshal.loads(zlib."]
                .iter()
                .any(|between| compact.has(&[&format!("{run}{between}{decoder}")]))
        })
    });
    score.add(4, "RunsDecoded", nested);
    score.add(
        4,
        "RunsDownloaded",
        compact.has(&[
            "exec(urllib",
            "exec(requests.get(",
            "exec(urlopen(",
            "eval(requests.get(",
            "exec(__import__('urllib",
            "exec(__import__('requests",
        ]),
    );
    let reverse = compact.has(&["socket.socket("]) && compact.has(&["os.dup2("]) && compact.has(&["/bin/sh", "/bin/bash", "pty.spawn"]);
    score.add(4, "ReverseShell", reverse);
    let blob = compact.longest_blob() > 5_000;
    score.add(2, "Blob", blob && compact.has(&["exec("]));
    score.add(2, "HidesWindow", compact.has(&["-encodedcommand", "powershell-w"]) && compact.has(&["subprocess", "os.system"]));
}
