//! Names made to be read as something else.

use crate::names;

/// Extensions of what runs on a double click, as a document may carry it: no document carries such a file honestly.
const CARRIED: &[&str] = &[
    "exe",
    "scr",
    "com",
    "pif",
    "dll",
    "cpl",
    "msi",
    "bat",
    "cmd",
    "ps1",
    "vbs",
    "vbe",
    "js",
    "jse",
    "wsf",
    "wsh",
    "hta",
    "lnk",
    "jar",
    "sct",
    "chm",
    "url",
    "settingcontent-ms",
    "library-ms",
];
/// Documents with macros and images with files: PDFs do not carry them honestly, packages of Office do.
const CARRIED_BY_PDF: &[&str] = &["docm", "xlsm", "pptm", "iso"];

/// Whether a file of this name, carried by a document, runs.
pub(super) fn runs(name: &str) -> bool {
    CARRIED.contains(&names::extension(name.trim_matches(['\0', ' '])).as_str())
}

/// The same, carried by a PDF or linked from it.
pub(super) fn runs_from_pdf(name: &str) -> bool {
    runs(name) || CARRIED_BY_PDF.contains(&names::extension(name.trim_end_matches('\0')).as_str())
}

/// Extensions that Windows runs on a double click, as far as a name deceives by them.
const RUNS: &[&str] = &[
    "exe", "scr", "com", "pif", "bat", "cmd", "vbs", "vbe", "js", "jse", "wsf", "wsh", "hta", "ps1", "msi", "cpl", "lnk", "jar", "reg", "url", "iso",
    "img",
];
/// Of these, the ones that in front of `.js`, `.jar` and the like are no part of a deception (`a.pdf.js`, `x.doc.jar`).
const DEVELOPER: &[&str] = &["js", "jar", "lnk", "url", "bat", "cmd", "iso", "img", "com"];
/// Extensions that people trust.
const TRUSTED: &[&str] = &[
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "rtf", "txt", "csv", "jpg", "jpeg", "png", "gif", "bmp", "tif", "mp3", "mp4", "avi", "htm",
    "html", "eml",
];

/// Of these, the ones whose contents are programs; the others are scripts and shortcuts.
const PROGRAMS: &[&str] = &["exe", "scr", "com", "pif", "msi", "cpl", "jar", "iso", "img"];

/// The threat name of a name that hides that this is a program. An override is a matter of programs, whatever it ends in.
pub(super) fn program(name: &str) -> Option<&'static str> {
    if reversed(names::file_name(name)) {
        return Some("Heur.Name.RightToLeftOverride");
    }
    judge(name).filter(|(extension, _)| PROGRAMS.contains(&extension.as_str())).map(|(_, threat)| threat)
}

/// The threat name of a name that hides that this is a script or a shortcut.
pub(super) fn script(name: &str) -> Option<&'static str> {
    judge(name).filter(|(extension, _)| !PROGRAMS.contains(&extension.as_str())).map(|(_, threat)| threat)
}

/// The extension that counts, and the threat name.
fn judge(name: &str) -> Option<(String, &'static str)> {
    let file = names::file_name(name);
    let lower = file.trim_end_matches([' ', '.']).to_lowercase();
    let (stem, last) = lower.rsplit_once('.')?;
    if !RUNS.contains(&last) {
        return None;
    }
    // `invoice.pdf          .exe`: the real extension is pushed out of sight.
    let padded = stem.contains("          ");
    let (_, inner) = stem.trim_end().rsplit_once('.')?;
    let trusted = TRUSTED.contains(&inner.trim());
    (trusted && (padded || !DEVELOPER.contains(&last))).then(|| (last.to_owned(), "Heur.Name.DoubleExtension"))
}

/// A right-to-left override or embedding in front of what then looks like the extension.
///
/// Names in Arabic or Hebrew need no override; marks (U+200E, U+200F) are ordinary in them.
fn reversed(file: &str) -> bool {
    file.contains(['\u{202e}', '\u{202d}', '\u{2067}', '\u{2068}']) && file.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_run() {
        assert!(runs("C:\\x\\Invoice.EXE\0") && runs("a.pdf.js ") && !runs("report.docx") && !runs(""));
        assert!(runs_from_pdf("a.docm") && runs_from_pdf("a.exe\0") && !runs("a.docm") && !runs_from_pdf("a.pdf"));
    }

    #[test]
    fn deceptions() {
        for name in
            ["invoice.pdf.exe", "a/b/Photo.JPG.scr", "x.docx .vbs", "cv.pdf              .lnk", "annexe\u{202e}fdp.exe", "a.zip\\bill.txt.hta"]
        {
            assert!(program(name).is_some() != script(name).is_some(), "{name}");
        }
    }

    #[test]
    fn ordinary_names() {
        for name in [
            "setup.exe",
            "v1.2.exe",
            "pdf.js",
            "x.pdf.js",
            "report.final.pdf",
            "tool.exe.config",
            "a.exe.zip",
            "dir.txt/app.exe",
            "שלום\u{200f}.pdf",
            "x.tar.gz",
        ] {
            assert_eq!((program(name), script(name)), (None, None), "{name}");
        }
    }
}
