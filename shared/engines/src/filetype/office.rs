//! Kinds of Office documents: by the directory of an OLE file, by the content types of an Open XML package.

use std::io::{Cursor, Read};

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::{ENCRYPTED_OFFICE, named};

/// Bytes of `[Content_Types].xml` that are read.
const MAX_TYPES: u64 = 4 * 1024 * 1024;
/// Extensions of encrypted documents: the container is the same for all.
const ANY_OFFICE: &[&str] = &[
    "docx", "docm", "dotx", "dotm", "xlsx", "xlsm", "xlsb", "xltx", "xltm", "xlam", "pptx", "pptm", "ppsx", "ppsm", "potx", "potm", "vsdx", "doc",
    "dot", "xls", "xlt", "ppt", "pps", "pot",
];

type Names = &'static [&'static str];

/// Names in the root directory, of which one is enough: MIME type, description, extensions, category.
const STREAMS: &[(Names, &str, &str, Names, &str)] = &[
    (&["worddocument"], "application/msword", "Microsoft Word 97-2003 document", &["doc", "dot", "wiz"], "D"),
    (&["workbook", "book"], "application/vnd.ms-excel", "Microsoft Excel 97-2003 workbook", &["xls", "xlt", "xla", "xlm", "xlw"], "D"),
    (&["powerpoint document"], "application/vnd.ms-powerpoint", "Microsoft PowerPoint 97-2003 presentation", &["ppt", "pps", "pot", "ppa"], "D"),
    (&["visiodocument"], "application/vnd.visio", "Microsoft Visio drawing", &["vsd", "vss", "vst"], "D"),
    (&["quill"], "application/vnd.ms-publisher", "Microsoft Publisher document", &["pub"], "D"),
    (&["bodytext", "hwpsummaryinformation", "\u{5}hwpsummaryinformation"], "application/x-hwp", "Hangul document", &["hwp"], "D"),
    (&["catalog"], "application/x-thumbs-db", "Windows thumbnail cache", &["db"], "Z"),
];

/// OLE files: the names in the root directory say what they are ([MS-CFB], [MS-OFFCRYPTO] §2.3, [MS-OXMSG] §2.1).
pub(super) fn compound(content: &[u8]) -> Option<FileType> {
    let mut file = cfb::CompoundFile::open(Cursor::new(content)).ok()?;
    let names: Vec<String> = file.read_root_storage().take(2_000).map(|entry| entry.name().to_lowercase()).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    if has("encryptedpackage") && has("encryptioninfo") {
        return Some(named(ENCRYPTED_OFFICE, "Encrypted Microsoft Office document", ANY_OFFICE, "D"));
    }
    if names.iter().any(|n| n.starts_with("__properties")) {
        return Some(named("application/vnd.ms-outlook", "Microsoft Outlook message", &["msg", "oft"], "M"));
    }
    if let Some((_, mime, description, extensions, category)) = STREAMS.iter().find(|(streams, ..)| streams.iter().any(|stream| has(stream))) {
        if needs_password(&mut file, mime) {
            return Some(named(ENCRYPTED_OFFICE, "Encrypted Microsoft Office 97-2003 document", ANY_OFFICE, "D"));
        }
        return Some(named(mime, description, extensions, category));
    }
    // Windows Installer: names of tables are spelt in one block of Unicode (U+3800 to U+4840), which nothing else uses.
    let spelt = |name: &String| name.chars().all(|c| ('\u{3800}'..='\u{4840}').contains(&c));
    if names.iter().filter(|name| spelt(name)).count() >= 2 {
        return Some(named("application/x-msi", "Windows Installer package", &["msi", "msp", "mst", "msm"], "E"));
    }
    if has("vba") && has("project") {
        return Some(named("application/vnd.ms-office.vbaProject", "VBA project", &[], "D"));
    }
    names
        .iter()
        .any(|name| name == "\u{1}ole10native" || name == "contents" || name == "\u{1}compobj")
        .then(|| named("application/x-ole-object", "OLE object", &[], "D"))
}

/// Legacy formats encrypt in place: [MS-DOC] §2.5.2 (`fEncrypted`), [MS-XLS] §2.4.117 (FilePass), [MS-PPT] §2.3.2 (`headerToken`).
fn needs_password(file: &mut cfb::CompoundFile<Cursor<&[u8]>>, mime: &str) -> bool {
    let mut head = |name: &str, bytes: u64| {
        let mut head = Vec::new();
        if let Ok(stream) = file.open_stream(name) {
            let _ = stream.take(bytes).read_to_end(&mut head);
        }
        head
    };
    match mime {
        "application/msword" => head("/WordDocument", 32).get(11).is_some_and(|flags| flags & 1 != 0),
        "application/vnd.ms-powerpoint" => head("/Current User", 32).get(12..16) == Some(&[0xdf, 0xc4, 0xd1, 0xf3]),
        "application/vnd.ms-excel" => {
            let stream = [head("/Workbook", 8_192), head("/Book", 8_192)].concat();
            let mut rest = stream.as_slice();
            while let Some(([low, high, size_low, size_high], after)) = rest.split_first_chunk() {
                match u16::from_le_bytes([*low, *high]) {
                    // Also where Excel opens it without asking (the password `VelvetSweatshop`): what is in there can not be read here.
                    0x2f => return true,
                    // EOF of the first substream.
                    0x0a => return false,
                    _ => {}
                }
                rest = after.get(usize::from(u16::from_le_bytes([*size_low, *size_high]))..).unwrap_or_default();
            }
            false
        }
        _ => false,
    }
}

/// Content type of the main part, MIME type, description, extensions. Source: [MS-OE376], IANA media types.
const MAIN_PARTS: &[(&str, &str, &str, &[&str])] = &[
    ("ms-word.document.macroEnabled", "application/vnd.ms-word.document.macroEnabled.12", "Microsoft Word document with macros", &["docm", "docx"]),
    (
        "ms-word.template.macroEnabledTemplate",
        "application/vnd.ms-word.template.macroEnabled.12",
        "Microsoft Word template with macros",
        &["dotm", "dotx", "docm"],
    ),
    (
        "wordprocessingml.template.main",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
        "Microsoft Word template",
        &["dotx", "docx"],
    ),
    ("ms-excel.sheet.binary.macroEnabled", "application/vnd.ms-excel.sheet.binary.macroEnabled.12", "Microsoft Excel binary workbook", &["xlsb"]),
    ("ms-excel.sheet.macroEnabled", "application/vnd.ms-excel.sheet.macroEnabled.12", "Microsoft Excel workbook with macros", &["xlsm", "xlsx"]),
    (
        "ms-excel.template.macroEnabled",
        "application/vnd.ms-excel.template.macroEnabled.12",
        "Microsoft Excel template with macros",
        &["xltm", "xltx"],
    ),
    ("ms-excel.addin.macroEnabled", "application/vnd.ms-excel.addin.macroEnabled.12", "Microsoft Excel add-in", &["xlam"]),
    (
        "spreadsheetml.template.main",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
        "Microsoft Excel template",
        &["xltx", "xlsx"],
    ),
    (
        "ms-powerpoint.presentation.macroEnabled",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
        "Microsoft PowerPoint presentation with macros",
        &["pptm", "pptx"],
    ),
    (
        "ms-powerpoint.slideshow.macroEnabled",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
        "Microsoft PowerPoint show with macros",
        &["ppsm", "ppsx", "pptm"],
    ),
    (
        "ms-powerpoint.template.macroEnabled",
        "application/vnd.ms-powerpoint.template.macroEnabled.12",
        "Microsoft PowerPoint template with macros",
        &["potm", "potx"],
    ),
    ("ms-powerpoint.addin.macroEnabled", "application/vnd.ms-powerpoint.addin.macroEnabled.12", "Microsoft PowerPoint add-in", &["ppam"]),
    (
        "presentationml.slideshow.main",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
        "Microsoft PowerPoint show",
        &["ppsx", "pptx"],
    ),
    (
        "presentationml.template.main",
        "application/vnd.openxmlformats-officedocument.presentationml.template",
        "Microsoft PowerPoint template",
        &["potx", "pptx"],
    ),
];

/// Open XML: the content type of the main part tells documents from templates, and those with macros from those without (ECMA-376 part 2, §10).
pub(super) fn open_xml(content: &[u8], general: FileType) -> FileType {
    let types = content_types(content).unwrap_or_default();
    if let Some((_, mime, description, extensions)) = MAIN_PARTS.iter().find(|(part, ..)| memmem::find(&types, part.as_bytes()).is_some()) {
        return named(mime, description, extensions, "D");
    }
    // Macros under a main part that has none: Office does not run them, but the type says what is in there.
    let tail = content.get(content.len().saturating_sub(1024 * 1024)..).unwrap_or_default();
    if memmem::find(tail, b"vbaProject.bin").is_none() {
        return general;
    }
    let macros =
        |mime| MAIN_PARTS.iter().find(|(_, m, ..)| *m == mime).map(|(_, mime, description, extensions)| named(mime, description, extensions, "D"));
    let found = match general.mime.as_str() {
        mime if mime.contains("wordprocessingml") => macros("application/vnd.ms-word.document.macroEnabled.12"),
        mime if mime.contains("spreadsheetml") => macros("application/vnd.ms-excel.sheet.macroEnabled.12"),
        _ => macros("application/vnd.ms-powerpoint.presentation.macroEnabled.12"),
    };
    found.unwrap_or(general)
}

fn content_types(content: &[u8]) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).ok()?;
    let part = archive.by_name("[Content_Types].xml").ok()?;
    let mut types = Vec::new();
    let _ = part.take(MAX_TYPES).read_to_end(&mut types);
    Some(types)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::filetype::{detect, is_encrypted_document};

    fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(std::io::Cursor::new(Vec::new())).unwrap();
        for (name, content) in streams {
            file.create_stream(name).unwrap().write_all(content).unwrap();
        }
        file.into_inner().into_inner()
    }

    fn package(main: &str, folder: &str) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, text) in [
            (
                "[Content_Types].xml",
                format!("<Types><Override PartName=\"/{folder}/x.xml\" ContentType=\"application/vnd.{main}.main+xml\"/></Types>"),
            ),
            ("_rels/.rels", "<Relationships/>".into()),
            (&format!("{folder}/{}.xml", if folder == "word" { "document" } else { "workbook" }), "<x/>".into()),
        ] {
            archive.start_file(name, options).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn ole_files_by_their_directory() {
        for (streams, mime) in [
            (vec![("WordDocument", &b"x"[..])], "application/msword"),
            (vec![("Workbook", b"\x09\x08\0\0")], "application/vnd.ms-excel"),
            (vec![("PowerPoint Document", b"")], "application/vnd.ms-powerpoint"),
            (vec![("__properties_version1.0", b"")], "application/vnd.ms-outlook"),
            (vec![("\u{4840}\u{3b3f}", b""), ("\u{4840}\u{3f7f}", b"")], "application/x-msi"),
            (vec![("\u{1}Ole10Native", b"")], "application/x-ole-object"),
        ] {
            assert_eq!(detect(&compound(&streams)).mime, mime);
        }
    }

    #[test]
    fn documents_that_need_a_password() {
        let mut fib = [0; 32];
        fib[11] = 1;
        let user = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xdf, 0xc4, 0xd1, 0xf3, 0];
        for streams in [
            vec![("WordDocument", &fib[..])],
            vec![("PowerPoint Document", b""), ("Current User", &user)],
            vec![("Workbook", b"\x09\x08\x02\0\0\x06\x2f\0\x04\0\x01\0\x01\0")],
            vec![("EncryptionInfo", b""), ("EncryptedPackage", b"")],
        ] {
            assert!(is_encrypted_document(&detect(&compound(&streams))), "{streams:?}");
        }
        for streams in [vec![("WordDocument", &[0; 32][..])], vec![("Workbook", b"\x09\x08\x02\0\0\x06\x0a\0\0\0\x2f\0\0\0")]] {
            assert!(!is_encrypted_document(&detect(&compound(&streams))), "{streams:?}");
        }
    }

    #[test]
    fn open_xml_by_its_main_part() {
        for (main, folder, mime) in [
            (
                "openxmlformats-officedocument.wordprocessingml.document",
                "word",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            ("ms-word.document.macroEnabled", "word", "application/vnd.ms-word.document.macroEnabled.12"),
            (
                "openxmlformats-officedocument.wordprocessingml.template",
                "word",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
            ),
            ("ms-excel.sheet.binary.macroEnabled", "xl", "application/vnd.ms-excel.sheet.binary.macroEnabled.12"),
            ("ms-excel.sheet.macroEnabled", "xl", "application/vnd.ms-excel.sheet.macroEnabled.12"),
        ] {
            assert_eq!(detect(&package(main, folder)).mime, mime, "{main}");
        }
    }
}
