//! What of a document its users would call a file in it, and what is only how the document is made.
//!
//! All parts are opened and scanned alike. What always holds: a part that is not clean is listed, whatever it is.

use std::io::{Cursor, Read};

use memchr::memmem;
use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// Folders of packages that hold files somebody put there (ECMA-376 part 1, §15.2; ODF 1.3 part 2, §3.1).
const FILES: &[&str] = &["/embeddings/", "/media/", "/activex/", "pictures/", "object ", "objectreplacements/"];
/// Bytes of a manifest that are read.
const MANIFEST: u64 = 4 * 1024 * 1024;

/// Whether `name` is a part of its document rather than a file in it.
pub(crate) fn is_part(document: &FileType, name: &str) -> bool {
    let is_package = document.mime.starts_with("application/vnd.openxmlformats-officedocument")
        || document.mime.contains(".macroEnabled.12")
        || document.mime.starts_with("application/vnd.oasis.opendocument");
    let name = name.to_lowercase().replace('\\', "/");
    let is_file = FILES.iter().any(|folder| name.starts_with(folder) || (folder.starts_with('/') && name.contains(folder)));
    is_package && !is_file && !name.ends_with("vbaproject.bin")
}

/// Tells ODF documents that need a password. Their parts are ciphertext, so nothing in them can be found.
pub(super) struct ProtectedOdf;

impl Extractor for ProtectedOdf {
    fn recognises(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime.starts_with("application/vnd.oasis.opendocument")
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], _: &[String], _: &mut dyn Sink) -> Result<(), Stop> {
        // One that can not be read is refused by the extractor for ZIP.
        let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(content)) else { return Ok(()) };
        let Ok(manifest) = archive.by_name("META-INF/manifest.xml") else { return Ok(()) };
        let mut text = Vec::new();
        let read = manifest.take(MANIFEST).read_to_end(&mut text);
        if read.is_ok() && memmem::find(&text, b"encryption-data").is_some() {
            return Err(Stop::Closed(Code::PasswordProtectedDocument, "the document needs a password".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filetype::named;

    #[test]
    fn files_in_documents_are_told_from_their_parts() {
        let docx = named("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "", &[], "D");
        let odt = named("application/vnd.oasis.opendocument.text", "", &[], "D");
        let zip = named("application/zip", "", &[], "A");
        assert!(is_part(&docx, "word/document.xml") && is_part(&docx, "[Content_Types].xml") && is_part(&odt, "content.xml"));
        for file in ["word/embeddings/oleObject1.bin", "word/media/image1.png", "xl\\Embeddings\\x.bin", "word/vbaProject.bin"] {
            assert!(!is_part(&docx, file), "{file}");
        }
        assert!(!is_part(&odt, "Pictures/1.png") && !is_part(&odt, "Object 1/content.xml") && !is_part(&zip, "word/document.xml"));
    }
}
