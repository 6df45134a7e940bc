//! Windows programs. Sources: PE/COFF specification; names of packers' sections after common signature lists.

use yara_x::mods;
use yara_x::mods::pe::PE;

use super::entropy;
use crate::engine::score::Score;

/// Points from which a program is suspicious.
const THRESHOLD: u32 = 6;
/// Characteristics of sections: contains code, executable, writable.
const CODE: u32 = 0x20;
const EXECUTE: u32 = 0x2000_0000;
const WRITE: u32 = 0x8000_0000;
/// Sections that packers leave. UPX is too common in honest programs to count.
const PACKERS: &[&str] = &[
    ".aspack",
    ".adata",
    "asprotec",
    ".mpress1",
    ".mpress2",
    "mpress",
    ".petite",
    "petite",
    ".themida",
    "themida",
    ".winlice",
    ".vmp0",
    ".vmp1",
    ".enigma1",
    ".enigma2",
    ".nsp0",
    ".nsp1",
    "nsp0",
    "nsp1",
    "fsg!",
    "mew",
    "pec1",
    "pec2",
    "pecompact2",
    ".packed",
    ".yp",
    ".y0da",
    "pelock",
    ".perplex",
    "kkrunchy",
    ".rlpack",
    "rlpack",
    ".taz",
    "pebundle",
    "procrypt",
    ".ccg",
    ".boom",
    ".svkp",
    ".seau",
    ".wwpack",
    ".ndata0",
];

/// The threat name of a program.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    let pe = mods::invoke::<PE>(content)?;
    if !pe.is_pe() {
        return None;
    }
    let mut score = Score::default();
    sections(&pe, content, &mut score);
    imports(&pe, &mut score);
    trailer(&pe, content, &mut score);
    let signed = pe.signatures.iter().any(yara_x::mods::pe::Signature::verified);
    score.add(
        3,
        "BrokenSignature",
        !pe.signatures.is_empty() && !signed && pe.signatures.iter().any(|s| !s.file_digest().is_empty() && s.file_digest() != s.digest()),
    );
    // Whether the signer is to be trusted is not known here; that there is an intact signature makes the rest unlikely.
    score.threat("Heur.PE", if signed { THRESHOLD + 4 } else { THRESHOLD })
}

fn sections(pe: &PE, content: &[u8], score: &mut Score) {
    let name = |section: &yara_x::mods::pe::Section| String::from_utf8_lossy(section.name()).trim_end_matches('\0').to_lowercase();
    let data = |section: &yara_x::mods::pe::Section| {
        let start = section.raw_data_offset() as usize;
        content.get(start..start.saturating_add(section.raw_data_size() as usize).min(content.len())).unwrap_or_default()
    };
    let entry = pe.entry_point_raw();
    let holds = |section: &yara_x::mods::pe::Section| {
        let size = section.virtual_size().max(section.raw_data_size());
        (section.virtual_address()..section.virtual_address().saturating_add(size)).contains(&entry)
    };
    let dotnet = pe.data_directories.get(14).is_some_and(|entry| entry.virtual_address() != 0);
    let at = pe.sections.iter().position(holds);
    // Without an entry point nothing runs: resource libraries.
    let runs = entry != 0;
    let own = at.and_then(|at| pe.sections.get(at));
    score.add(4, "EntryOutside", runs && at.is_none() && !pe.sections.is_empty());
    score.add(3, "EntryNotInCode", runs && own.is_some_and(|s| s.characteristics() & (EXECUTE | CODE) == 0));
    score.add(
        2,
        "EntryInLastSection",
        runs && pe.sections.len() > 2 && at == Some(pe.sections.len() - 1) && own.is_some_and(|s| s.characteristics() & WRITE != 0),
    );
    score.add(2, "WritableCode", pe.sections.iter().any(|s| s.characteristics() & (EXECUTE | WRITE) == EXECUTE | WRITE));
    score.add(2, "PackerSection", pe.sections.iter().any(|s| PACKERS.contains(&name(s).as_str())));
    score.add(
        3,
        "PackedCode",
        !dotnet && pe.sections.iter().any(|s| s.characteristics() & EXECUTE != 0 && data(s).len() > 8 * 1024 && entropy::of(data(s)) > 7.4),
    );
    score.add(1, "EmptyCode", pe.sections.iter().any(|s| s.raw_data_size() == 0 && s.virtual_size() > 0x4000 && s.characteristics() & EXECUTE != 0));
    let odd = |s: &yara_x::mods::pe::Section| !name(s).is_empty() && !name(s).chars().all(|c| c.is_ascii_graphic() || c == ' ');
    score.add(2, "OddSectionNames", pe.sections.iter().any(odd));
    score.add(1, "ManySections", pe.sections.len() > 40);
    let callbacks = pe.data_directories.get(9).is_some_and(|tls| tls.virtual_address() != 0);
    score.add(1, "TlsInPacked", callbacks && score.has("PackedCode"));
}

fn imports(pe: &PE, score: &mut Score) {
    let names: std::collections::HashSet<String> = pe
        .import_details
        .iter()
        .flat_map(|library| library.functions.iter())
        .map(|function| {
            let name = function.name().to_lowercase();
            // Both kinds of strings.
            name.strip_suffix(['a', 'w']).map_or_else(|| name.clone(), Into::into)
        })
        .collect();
    let all = |wanted: &[&str]| wanted.iter().all(|name| names.contains(*name));
    let any = |wanted: &[&str]| wanted.iter().any(|name| names.contains(*name));
    score.add(
        3,
        "Injects",
        all(&["virtualallocex", "writeprocessmemory"]) && any(&["createremotethread", "queueuserapc", "ntcreatethreadex", "rtlcreateuserthread"]),
    );
    score.add(
        3,
        "Hollows",
        all(&["writeprocessmemory", "setthreadcontext"]) && any(&["ntunmapviewofsection", "zwunmapviewofsection", "virtualallocex"]),
    );
    score.add(3, "DownloadsAndRuns", any(&["urldownloadtofile"]) && any(&["winexec", "shellexecute", "shellexecuteex", "createprocess"]));
    score.add(1, "LogsKeys", any(&["setwindowshookex"]) && any(&["getasynckeystate", "getkeystate"]) && any(&["getforegroundwindow"]));
    let few = (1..=6).contains(&names.len()) && any(&["getprocaddress"]) && any(&["loadlibrary", "loadlibraryex"]);
    let dotnet = names.len() <= 2 && any(&["_corexemain", "_cordllmain"]);
    score.add(2, "FewImports", few && !dotnet && pe.sections.len() > 1);
    score.add(1, "ResolvesAtRunTime", few && all(&["virtualprotect"]));
}

fn trailer(pe: &PE, content: &[u8], score: &mut Score) {
    let (Ok(offset), Ok(size)) = (usize::try_from(pe.overlay.offset()), usize::try_from(pe.overlay.size())) else { return };
    let overlay = content.get(offset..offset.saturating_add(size).min(content.len())).unwrap_or_default();
    // The certificate table stands behind the sections as well.
    let certificates = pe.data_directories.get(4).map_or(0, |entry| entry.size() as usize);
    let appended = overlay.get(..overlay.len().saturating_sub(certificates)).unwrap_or_default();
    score.add(3, "ProgramAppended", appended.starts_with(b"MZ"));
    // Installers append archives, which say what they are.
    let archive = [
        &b"PK"[..],
        b"7z\xbc\xaf",
        b"Rar!",
        b"MSCF",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"zlb\x1a",
        b"\xef\xbe\xad\xde",
        b"\0\0\0\0\xef\xbe\xad\xde",
        b";!@Install@",
    ];
    let named = archive.iter().any(|magic| memchr::memmem::find(appended.get(..4_096).unwrap_or(appended), magic).is_some());
    let large = appended.len() > 64 * 1024 && appended.len() > content.len() / 2;
    score.add(1, "RandomAppended", large && !named && entropy::of(appended) > 7.9);
}
