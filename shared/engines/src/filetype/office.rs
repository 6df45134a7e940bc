//! Kinds of Office documents: by the directory of an OLE file, by the parts of an Open XML package.

use std::io::Cursor;

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::{ENCRYPTED_OFFICE, named};

/// OLE files: the names in the root directory say what they are ([MS-CFB], [MS-OFFCRYPTO] §2.3).
pub(super) fn compound(content: &[u8]) -> Option<FileType> {
    let file = cfb::CompoundFile::open(Cursor::new(content)).ok()?;
    let names: Vec<String> = file.read_root_storage().take(200).map(|entry| entry.name().to_lowercase()).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    Some(if has("encryptedpackage") && has("encryptioninfo") {
        let extensions = &["docx", "docm", "dotx", "xlsx", "xlsm", "xlsb", "xltx", "pptx", "pptm", "ppsx", "potx"];
        named(ENCRYPTED_OFFICE, "Encrypted Microsoft Office document", extensions, "D")
    } else if has("worddocument") {
        named("application/msword", "Microsoft Word 97-2003 document", &["doc", "dot", "wiz"], "D")
    } else if has("workbook") || has("book") {
        named("application/vnd.ms-excel", "Microsoft Excel 97-2003 workbook", &["xls", "xlt", "xla", "xlm"], "D")
    } else if has("powerpoint document") {
        named("application/vnd.ms-powerpoint", "Microsoft PowerPoint 97-2003 presentation", &["ppt", "pps", "pot", "ppa"], "D")
    } else if names.iter().any(|n| n.starts_with("__properties")) {
        named("application/vnd.ms-outlook", "Microsoft Outlook message", &["msg", "oft"], "M")
    } else if has("visiodocument") {
        named("application/vnd.visio", "Microsoft Visio drawing", &["vsd", "vss", "vst"], "D")
    } else if has("vba") && has("project") {
        named("application/vnd.ms-office.vbaProject", "VBA project", &[], "D")
    } else {
        return None;
    })
}

/// Open XML: the content types tell documents with macros from those without (ECMA-376 part 2, §10).
/// The names of parts stand in the central directory at the end, and part names are never compressed.
pub(super) fn open_xml(content: &[u8], general: FileType) -> FileType {
    let tail = content.get(content.len().saturating_sub(1024 * 1024)..).unwrap_or_default();
    if memmem::find(tail, b"vbaProject.bin").is_none() {
        return general;
    }
    let (mime, description, extensions): (_, _, &[&str]) = match general.mime.as_str() {
        mime if mime.contains("wordprocessingml") => {
            ("application/vnd.ms-word.document.macroEnabled.12", "Microsoft Word document with macros", &["docm", "dotm", "docx", "dotx"])
        }
        mime if mime.contains("spreadsheetml") => (
            "application/vnd.ms-excel.sheet.macroEnabled.12",
            "Microsoft Excel workbook with macros",
            &["xlsm", "xltm", "xlam", "xlsb", "xlsx", "xltx"],
        ),
        _ => (
            "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
            "Microsoft PowerPoint presentation with macros",
            &["pptm", "potm", "ppsm", "ppam", "pptx", "ppsx", "potx"],
        ),
    };
    named(mime, description, extensions, "D")
}
