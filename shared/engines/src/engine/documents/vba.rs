//! VBA macros: code that runs by itself *and* reaches out of the document.
//!
//! Works on OLE files: legacy documents, and `vbaProject.bin`, which is a child of every macro-enabled
//! Open XML document. Macros as such are no finding. Sources: [MS-OVBA] §2.4.1 (compression), §2.3.4.2
//! (the `dir` stream); keyword groups after oletools' olevba.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use crate::engine::guarded;

/// Storages looked into; a document has one project, a crafted file may claim thousands.
const MAX_MODULES: usize = 500;
/// Bytes of one stream, before and after decompression.
const MAX_STREAM: usize = 16 * 1024 * 1024;
/// Bytes of source code of one project.
const MAX_SOURCE: usize = 32 * 1024 * 1024;

/// Procedures that Office calls when a document is opened, closed or looked at.
const AUTOMATIC: &[&str] = &[
    "autoopen",
    "auto_open",
    "autoclose",
    "auto_close",
    "autoexec",
    "autonew",
    "document_open",
    "document_close",
    "document_new",
    "documentopen",
    "workbook_open",
    "workbook_beforeclose",
    "workbook_activate",
    "auto_activate",
    "slideshowbegin",
    "presentation_open",
];
/// Runs a program.
const SHELL: &[&str] = &["shell(", "shell ", "wscript.shell", "shell.application", "shellexecute", "winmgmts:", "win32_process", ".run(", ".exec("];
/// Brings something in.
const DOWNLOAD: &[&str] = &["urldownloadtofile", "xmlhttp", "winhttp", "internetopen", "downloadfile", "downloadstring", "bitsadmin", "certutil"];
/// Calls machine code.
const INJECT: &[&str] = &["virtualalloc", "rtlmovememory", "createthread", "virtualprotect", "enumsystemlocales", "callwindowproc"];
/// Writes a file, or code.
const DROP: &[&str] = &["adodb.stream", "savetofile", "scripting.filesystemobject", "for binary", "createtextfile", "vbproject.vbcomponents"];
/// Names of interpreters in the code.
const INTERPRETER: &[&str] = &["powershell", "cmd /c", "cmd.exe", "mshta", "wscript.exe", "cscript", "rundll32", "regsvr32"];

/// The threat name of a document's macros.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    match guarded(|| sources(content)) {
        Some(Ok(None)) => None,
        Some(Ok(Some(code))) => weigh(&code),
        // There is a project, and it hides from the parser.
        Some(Err(Unreadable)) | None => Some("Heur.Macro.Unreadable".into()),
    }
}

/// A project that could not be read.
struct Unreadable;

/// The source code of all modules of all projects; `None` if there is no VBA project.
fn sources(content: &[u8]) -> Result<Option<String>, Unreadable> {
    let Ok(mut file) = cfb::CompoundFile::open(Cursor::new(content)) else {
        // A directory that this reader refuses may still be one that Office repairs: modules are looked for in the raw bytes.
        return Ok(module_source(content).map(|source| String::from_utf8_lossy(&source).to_lowercase()));
    };
    let is_dir = |entry: &cfb::Entry| entry.is_stream() && entry.name().eq_ignore_ascii_case("dir") && in_vba(entry.path());
    // More than one: objects embedded in a document may have projects of their own.
    let dirs: Vec<PathBuf> = file.walk().take(100_000).filter(is_dir).map(|entry| entry.path().to_path_buf()).take(MAX_MODULES).collect();
    let mut streams = Vec::new();
    for dir in &dirs {
        let entries = file.read_storage(dir.parent().unwrap_or(Path::new("/"))).map_err(|_| Unreadable)?;
        let is_module = |entry: &cfb::Entry| {
            entry.is_stream() && entry.path() != dir && !entry.name().starts_with("__SRP_") && !entry.name().eq_ignore_ascii_case("_VBA_PROJECT")
        };
        streams.extend(entries.filter(is_module).map(|entry| entry.path().to_path_buf()));
    }
    if streams.len() > MAX_MODULES {
        return Err(Unreadable);
    }
    let mut code = String::new();
    let mut readable = 0;
    for path in &streams {
        let mut bytes = Vec::new();
        let Ok(stream) = file.open_stream(path) else { continue };
        if stream.take(MAX_STREAM as u64).read_to_end(&mut bytes).is_err() {
            continue;
        }
        if let Some(source) = module_source(&bytes) {
            readable += 1;
            code.push_str(&String::from_utf8_lossy(&source).to_lowercase());
            code.push('\n');
        }
        if code.len() > MAX_SOURCE {
            return Err(Unreadable);
        }
    }
    if readable == 0 && !streams.is_empty() {
        return Err(Unreadable);
    }
    Ok((!dirs.is_empty()).then_some(code))
}

fn in_vba(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|name| name.eq_ignore_ascii_case("vba"))
}

/// A module stream is compiled code, then the compressed source. Where that begins stands in the `dir`
/// stream; it also shows itself, because source begins with `Attribute VB_`, of which the first letters
/// are stored as they are.
pub(crate) fn module_source(stream: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find_iter(stream, b"\0Attribut").find_map(|at| {
        // Signature byte 01, chunk header (2 bytes), flag byte 00: then the first eight literals.
        let container = stream.get(at.checked_sub(3)?..)?;
        decompress(container).filter(|source| !source.is_empty())
    })
}

/// [MS-OVBA] §2.4.1.3.
fn decompress(container: &[u8]) -> Option<Vec<u8>> {
    let (1, mut rest) = (*container.first()?, container.get(1..)?) else { return None };
    let mut out: Vec<u8> = Vec::new();
    while let Some(header) = rest.get(..2) {
        let header = u16::from_le_bytes([*header.first()?, *header.get(1)?]);
        if header & 0x7000 != 0x3000 {
            break;
        }
        let length = usize::from(header & 0x0fff) + 3;
        let chunk = rest.get(2..length.min(rest.len()))?;
        if header & 0x8000 == 0 {
            out.extend_from_slice(chunk);
        } else {
            decompress_chunk(chunk, &mut out)?;
        }
        if out.len() > MAX_STREAM {
            return None;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Some(out)
}

fn decompress_chunk(mut chunk: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    while let Some((flags, mut tokens)) = chunk.split_first() {
        for bit in 0..8 {
            if tokens.is_empty() {
                break;
            }
            if flags >> bit & 1 == 0 {
                out.push(*tokens.first()?);
                tokens = tokens.get(1..)?;
                continue;
            }
            let token = u16::from_le_bytes([*tokens.first()?, *tokens.get(1)?]);
            tokens = tokens.get(2..)?;
            // The farther into the chunk, the more bits an offset needs (§2.4.1.3.19.1).
            let written = out.len() - start;
            let bits = (usize::BITS - written.checked_sub(1)?.leading_zeros()).clamp(4, 12);
            let length = usize::from(token & (0xffff >> bits)) + 3;
            let offset = usize::from(token >> (16 - bits)) + 1;
            let from = out.len().checked_sub(offset).filter(|from| *from >= start)?;
            for n in 0..length {
                out.push(*out.get(from + n)?);
            }
        }
        chunk = tokens;
    }
    Some(())
}

fn weigh(code: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if !has(AUTOMATIC) {
        return None;
    }
    let found = [("Inject", INJECT), ("Download", DOWNLOAD), ("Shell", SHELL), ("Drop", DROP), ("Interpreter", INTERPRETER)];
    let found: Vec<&str> = found.iter().filter(|(_, words)| has(words)).map(|(name, _)| *name).collect();
    // Code that is put together from numbers hides the words above.
    let hidden =
        ["chr(", "chrw(", "chr$("].iter().map(|word| code.matches(word).count()).sum::<usize>() > 60 || code.matches("strreverse").count() > 3;
    // Reading a file or asking a server at start is what many honest macros do; running something is not.
    let runs = found.iter().any(|what| matches!(*what, "Inject" | "Shell"));
    let brings = found.contains(&"Download") && (found.contains(&"Drop") || found.contains(&"Interpreter"));
    match found.first() {
        Some(worst) if runs || brings => Some(format!("Heur.Macro.AutoExec.{worst}")),
        _ if hidden => Some("Heur.Macro.AutoExec.Obfuscated".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// [MS-OVBA] compression without any compression: literals only.
    fn compress(source: &[u8]) -> Vec<u8> {
        let mut out = vec![1];
        for part in source.chunks(3_500) {
            let mut chunk = Vec::new();
            for literals in part.chunks(8) {
                chunk.push(0);
                chunk.extend_from_slice(literals);
            }
            let header = 0xb000 | u16::try_from(chunk.len() - 1).unwrap();
            out.extend_from_slice(&header.to_le_bytes());
            out.extend_from_slice(&chunk);
        }
        out
    }

    fn document(root: &str, module: &[u8]) -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        file.create_storage_all(format!("{root}/VBA")).unwrap();
        file.create_stream(format!("{root}/VBA/dir")).unwrap().write_all(&compress(b"dir")).unwrap();
        file.create_stream(format!("{root}/VBA/_VBA_PROJECT")).unwrap().write_all(b"\xcc\x61").unwrap();
        let mut stream = file.create_stream(format!("{root}/VBA/Module1")).unwrap();
        stream.write_all(&[0xfe; 300]).unwrap();
        stream.write_all(module).unwrap();
        drop(stream);
        file.into_inner().into_inner()
    }

    fn with_source(source: &str) -> Vec<u8> {
        document("/Macros", &compress(format!("Attribute VB_Name = \"Module1\"\r\n{source}").as_bytes()))
    }

    #[test]
    fn code_that_starts_itself_and_a_program_is_suspicious() {
        let shell = with_source("Sub AutoOpen()\r\n Shell(\"calc.exe\")\r\nEnd Sub");
        assert_eq!(judge(&shell).unwrap(), "Heur.Macro.AutoExec.Shell");
        let download = with_source("Sub Workbook_Open()\r\n CreateObject(\"MSXML2.XMLHTTP\")\r\n CreateObject(\"ADODB.Stream\")\r\nEnd Sub");
        assert_eq!(judge(&download).unwrap(), "Heur.Macro.AutoExec.Download");
        let hidden = with_source(&format!("Sub Document_Open()\r\n x = {}\r\nEnd Sub", ["Chr(65)"; 80].join(" & ")));
        assert_eq!(judge(&hidden).unwrap(), "Heur.Macro.AutoExec.Obfuscated");
        let bare = document("", &compress(b"Attribute VB_Name = \"M\"\r\nSub AutoOpen()\r\nShell \"x\"\r\nEnd Sub"));
        assert_eq!(judge(&bare).unwrap(), "Heur.Macro.AutoExec.Shell", "vbaProject.bin has its VBA storage at the root");
    }

    #[test]
    fn ordinary_macros_are_clean() {
        assert_eq!(judge(&with_source("Sub Format()\r\n Shell \"calc.exe\"\r\nEnd Sub")), None);
        assert_eq!(judge(&with_source("Sub Workbook_Open()\r\n Range(\"A1\").Value = 1\r\nEnd Sub")), None);
        assert_eq!(judge(b"no document"), None);
    }

    #[test]
    fn a_project_that_hides_its_source_is_suspicious() {
        assert_eq!(judge(&document("/Macros", b"nothing to decompress")).unwrap(), "Heur.Macro.Unreadable");
    }

    #[test]
    fn decompression_follows_the_specification() {
        // [MS-OVBA] §3.2.2, "normal compression example", and a copy that reaches over itself.
        let normal = [
            0x01, 0x2f, 0xb0, 0x00, 0x23, 0x61, 0x61, 0x61, 0x62, 0x63, 0x64, 0x65, 0x82, 0x66, 0x00, 0x70, 0x61, 0x67, 0x68, 0x69, 0x6a, 0x01, 0x38,
            0x08, 0x61, 0x6b, 0x6c, 0x00, 0x30, 0x6d, 0x6e, 0x6f, 0x70, 0x06, 0x71, 0x02, 0x70, 0x04, 0x10, 0x72, 0x73, 0x74, 0x75, 0x76, 0x10, 0x77,
            0x78, 0x79, 0x7a, 0x00, 0x3c,
        ];
        assert_eq!(decompress(&normal).unwrap(), b"#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa");
        assert_eq!(decompress(&[0x01, 0x03, 0xb0, 0x02, 0x61, 0x45, 0x00]).unwrap(), vec![b'a'; 73]);
        assert_eq!(decompress(&compress(&b"xyz".repeat(5_000))).unwrap(), b"xyz".repeat(5_000));
        assert!(decompress(&[0x01, 0x03, 0xb0, 0x02, 0x61, 0x45, 0x10]).is_none(), "a copy from before the beginning");
    }
}
