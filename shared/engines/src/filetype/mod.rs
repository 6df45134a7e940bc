//! What a content is, by its bytes alone.
//!
//! `file-format` first, then refinements it does not have (kinds of text, encrypted and macro-enabled
//! Office documents, the EICAR test file). What always holds: the name has no say here, and a detector
//! that fails leaves `application/octet-stream`.

pub mod mismatch;
mod office;
mod program;
mod text;

use file_format::{FileFormat, Kind};
use portcullis_core::domain::report::FileType;

/// Bytes the signature readers may look at, unless the directory at the end matters (ZIP, OLE).
const SIGNATURE_BYTES: usize = 8 * 1024 * 1024;
/// MIME type of an Office document that needs a password (no registered one exists).
pub(crate) const ENCRYPTED_OFFICE: &str = "application/x-ole-encrypted-office";

/// Detects the type of a content.
pub fn detect(content: &[u8]) -> FileType {
    if content.is_empty() {
        return named("application/x-empty", "empty", &[], "Z");
    }
    if is_eicar(content) {
        return named("text/plain", "EICAR virus test files", &[], "T");
    }
    if let Some(container) = container(content) {
        return container;
    }
    let whole = content.starts_with(b"PK") || content.starts_with(b"\xd0\xcf\x11\xe0");
    let shown = if whole { content } else { content.get(..SIGNATURE_BYTES).unwrap_or(content) };
    let format = FileFormat::from_bytes(shown);
    match format {
        // HTML applications are HTML for it.
        FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty | FileFormat::HypertextMarkupLanguage => {
            text::detect(content).unwrap_or_default()
        }
        FileFormat::CompoundFileBinary
        | FileFormat::MicrosoftWordDocument
        | FileFormat::MicrosoftExcelSpreadsheet
        | FileFormat::MicrosoftPowerpointPresentation
        | FileFormat::MicrosoftSoftwareInstaller
        | FileFormat::MicrosoftVisioDrawing
        | FileFormat::MicrosoftPublisherDocument => office::compound(content).unwrap_or_else(|| general(format)),
        FileFormat::OfficeOpenXmlDocument | FileFormat::OfficeOpenXmlSpreadsheet | FileFormat::OfficeOpenXmlPresentation => {
            office::open_xml(content, general(format))
        }
        FileFormat::Zip => office::open_xml(content, general(format)),
        FileFormat::ExecutableAndLinkableFormat => program::elf(content),
        FileFormat::PortableExecutable | FileFormat::DynamicLinkLibrary | FileFormat::MsDosExecutable => {
            program::pe(content).unwrap_or_else(|| general(format))
        }
        // Some of its text signatures are a few letters long: believed only of contents that are text.
        _ if is_textual(format) && text::detect(content).is_none() => FileType::default(),
        _ => general(format),
    }
}

/// Containers that the general detector does not know, or does not take for containers.
fn container(content: &[u8]) -> Option<FileType> {
    // Disk images are recognised by their last 512 bytes (Apple UDIF `koly` block, Microsoft VHD footer; old VHD: 511).
    let ends =
        |bytes: usize, magic: &[u8]| content.len().checked_sub(bytes).and_then(|at| content.get(at..)).is_some_and(|end| end.starts_with(magic));
    if ends(512, b"koly\0\0\0\x04\0\0\x02\0") {
        return Some(named("application/x-apple-diskimage", "Apple disk image", &["dmg", "img", "smi"], "I"));
    }
    if ends(512, b"conectix") || ends(511, b"conectix") || content.starts_with(b"conectix") {
        return Some(named("application/x-vhd", "Virtual hard disk", &["vhd", "avhd"], "I"));
    }
    if content.starts_with(b"ITSF") {
        return Some(named("application/vnd.ms-htmlhelp", "Microsoft compiled HTML help", &["chm", "chi", "chq", "chw"], "A"));
    }
    if content.starts_with(b"!BDN") {
        return Some(named("application/vnd.ms-outlook-pst", "Outlook personal folders", &["pst", "ost", "pab"], "A"));
    }
    is_arj(content).then(|| named("application/x-arj", "ARJ archive", &["arj", "exe"], "A"))
}

/// Signature, then a basic header whose sizes fit one another (ARJ TECHNOTE: 30 bytes at least, 2600 at most).
fn is_arj(content: &[u8]) -> bool {
    let [0x60, 0xea, low, high, first, ..] = content else { return false };
    let basic = u16::from_le_bytes([*low, *high]);
    (30..=48).contains(first) && (u16::from(*first)..=2600).contains(&basic)
}

/// Whether the document can not be read without a password.
pub(crate) fn is_encrypted_document(file_type: &FileType) -> bool {
    file_type.mime == ENCRYPTED_OFFICE
}

/// A type by its parts.
pub(crate) fn named(mime: &str, description: &str, extensions: &[&str], category: &str) -> FileType {
    FileType {
        mime: mime.into(),
        description: description.into(),
        extensions: extensions.iter().map(|e| (*e).into()).collect(),
        category: category.into(),
    }
}

fn general(format: FileFormat) -> FileType {
    let mime = match format.media_type() {
        "text/xml" => "application/xml",
        other => other,
    };
    let mut extensions: Vec<String> = mismatch::extensions_of(mime).iter().map(|e| (*e).into()).collect();
    let own = format.extension().to_lowercase();
    if !extensions.contains(&own) && !mime.starts_with("text/") {
        extensions.push(own);
    }
    FileType { mime: mime.into(), description: format.name().into(), extensions, category: category(format).into() }
}

fn is_textual(format: FileFormat) -> bool {
    format.media_type().starts_with("text/")
}

fn category(format: FileFormat) -> &'static str {
    if format == FileFormat::PortableDocumentFormat {
        return "P";
    }
    if is_textual(format) {
        return "T";
    }
    match format.kind() {
        Kind::Archive | Kind::Compressed | Kind::Package => "A",
        Kind::Document | Kind::Ebook | Kind::Presentation | Kind::Spreadsheet => "D",
        Kind::Executable => "E",
        Kind::Image => "G",
        Kind::Disk => "I",
        _ => "Z",
    }
}

/// The EICAR test file: its 68 bytes, then white space up to 128 bytes (eicar.org). Spelt so that this program does not contain it.
pub(crate) fn is_eicar(content: &[u8]) -> bool {
    const HEAD: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$";
    const TAIL_BACKWARDS: &[u8] = b"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE";
    let Some(rest) = content.strip_prefix(HEAD) else { return false };
    let Some((tail, rest)) = rest.split_at_checked(TAIL_BACKWARDS.len()) else { return false };
    content.len() <= 128 && tail.iter().rev().eq(TAIL_BACKWARDS) && rest.iter().all(|b| b.is_ascii_whitespace() || *b == 0x1a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_contents() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"", "application/x-empty", "Z"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "application/pdf", "P"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", "G"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0", "application/x-sharedlib", "E"),
            (b"\0\x01\x02\x03\xff\xfe\xfd", "application/octet-stream", "Z"),
        ];
        for (content, mime, category) in cases {
            let found = detect(content);
            assert_eq!((found.mime.as_str(), found.category.as_str()), (*mime, *category));
        }
    }

    #[test]
    fn eicar_is_told_apart_from_text_about_it() {
        let eicar = crate::engine::tests_support::eicar();
        assert_eq!(detect(&eicar).description, "EICAR virus test files");
        assert_eq!(detect(&[&eicar[..], b"\r\n"].concat()).description, "EICAR virus test files");
        assert_eq!(detect(&[b" ", &eicar[..]].concat()).description, "ASCII text");
        assert_eq!(detect(&[&eicar[..], &[b'x'; 100]].concat()).description, "ASCII text");
    }
}
