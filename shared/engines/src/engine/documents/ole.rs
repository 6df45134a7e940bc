//! Objects in OLE files: packaged programs, and classes that documents have no honest use for.
//!
//! Source: [MS-OLEDS] §2.3.6 (OLENativeStream); class identifiers after the advisories named beside them.

use std::io::{Cursor, Read};

use crate::engine::guarded;

/// Objects looked into.
const MAX_OBJECTS: usize = 2_000;
/// Bytes of a package that are read: the names stand in front.
const HEAD: u64 = 4 * 1024;

/// Class identifiers as they are stored, and what they stand for.
const CLASSES: &[([u8; 16], &str)] = &[
    // htafile, the HTML application (CVE-2017-0199).
    ([0xd8, 0xf4, 0x50, 0x30, 0xb5, 0x98, 0xcf, 0x11, 0xbb, 0x82, 0, 0xaa, 0, 0xbd, 0xce, 0x0b], "Heur.Document.Object.HTA"),
    // Script component (CVE-2017-8570, CVE-2017-0199).
    ([0xd3, 0x0b, 0x29, 0x06, 0xaa, 0x48, 0xd2, 0x11, 0x84, 0x32, 0, 0x60, 0x08, 0xc3, 0xfb, 0xfc], "Heur.Document.Object.Scriptlet"),
    // MSCOMCTL.ListView and TreeView (CVE-2012-0158, CVE-2012-1856).
    ([0x4b, 0xf0, 0xd1, 0xbd, 0x8b, 0x85, 0xd1, 0x11, 0xb1, 0x6a, 0, 0xc0, 0xf0, 0x28, 0x36, 0x28], "Heur.Document.Object.ListView"),
    // Flash in a document (CVE-2018-4878 and others).
    ([0x6e, 0xdb, 0x7c, 0xd2, 0x6d, 0xae, 0xcf, 0x11, 0x96, 0xb8, 0x44, 0x45, 0x53, 0x54, 0, 0], "Heur.Document.Object.Flash"),
];
/// Moniker that fetches what an address names.
const URL_MONIKER: [u8; 16] = [0xe0, 0xc9, 0xea, 0x79, 0xf9, 0xba, 0xce, 0x11, 0x8c, 0x82, 0, 0xaa, 0, 0x4b, 0xa9, 0x0b];

/// The threat name of an OLE file's objects.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    guarded(|| objects(content)).flatten()
}

fn objects(content: &[u8]) -> Option<String> {
    let mut file = cfb::CompoundFile::open(Cursor::new(content)).ok()?;
    let mut packages = Vec::new();
    for entry in file.walk().take(100_000) {
        if let Some((_, threat)) = CLASSES.iter().find(|(class, _)| entry.clsid().to_bytes_le() == *class) {
            return Some((*threat).into());
        }
        if entry.is_stream() && entry.name().eq_ignore_ascii_case("\u{1}Ole10Native") && packages.len() < MAX_OBJECTS {
            packages.push(entry.path().to_path_buf());
        }
    }
    for path in packages {
        let mut head = Vec::new();
        let Ok(stream) = file.open_stream(&path) else { continue };
        let _ = stream.take(HEAD).read_to_end(&mut head);
        if let Some(threat) = judge_package(&head) {
            return Some(threat.into());
        }
    }
    None
}

/// The threat name of a package: size (4), type (2), label, path, 8 bytes or so, path again, size of the data, data.
pub(super) fn judge_package(native: &[u8]) -> Option<&'static str> {
    let names = native.get(6..)?;
    let mut parts = names.splitn(3, |b| *b == 0);
    let (label, path) = (parts.next()?, parts.next()?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..bytes.len().min(1_000)).unwrap_or_default()).into_owned();
    let data_is_program = native.windows(4).take(2_000).any(|w| w == b"MZ\x90\0");
    (super::runs(&text(label)) || super::runs(&text(path)) || data_is_program).then_some("Heur.Document.PackagedProgram")
}

/// The threat name of an object that is inside something else (RTF): the same classes, and links that fetch themselves.
pub(super) fn judge_embedded(object: &[u8]) -> Option<&'static str> {
    if let Some((_, threat)) = CLASSES.iter().find(|(class, _)| memchr::memmem::find(object, class).is_some()) {
        return Some(threat);
    }
    let moniker = memchr::memmem::find(object, &URL_MONIKER)?;
    let address: Vec<u8> = object.get(moniker + 16..)?.iter().take(2_000).filter(|b| **b != 0).map(u8::to_ascii_lowercase).collect();
    [&b"http:"[..], b"https:", b"ftp:", b"file:", b"\\\\", b"mhtml:", b"script:"]
        .iter()
        .any(|scheme| memchr::memmem::find(&address, scheme).is_some())
        .then_some("Heur.Document.Object.UrlLink")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn native(label: &str, path: &str) -> Vec<u8> {
        [b"\x10\0\0\0\x02\0", label.as_bytes(), b"\0", path.as_bytes(), b"\0\0\0\x03\0\x01\0\0\0x\0\x01\0\0\0x"].concat()
    }

    fn document(stream: &[u8], class: Option<[u8; 16]>) -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        file.create_storage_all("/ObjectPool/_1").unwrap();
        if let Some(class) = class {
            file.set_storage_clsid("/ObjectPool/_1", uuid_of(class)).unwrap();
        }
        file.create_stream("/ObjectPool/_1/\u{1}Ole10Native").unwrap().write_all(stream).unwrap();
        file.into_inner().into_inner()
    }

    fn uuid_of(class: [u8; 16]) -> uuid::Uuid {
        uuid::Uuid::from_bytes_le(class)
    }

    #[test]
    fn packages() {
        assert!(judge(&document(&native("invoice.pdf", "C:\\x\\invoice.js"), None)).is_some());
        assert!(judge(&document(&native("a.EXE", ""), None)).is_some());
        assert_eq!(judge(&document(&native("table.xlsx", "C:\\x\\table.xlsx"), None)), None);
        assert_eq!(judge(&document(b"", None)), None);
    }

    #[test]
    fn classes() {
        assert!(judge(&document(b"", Some(CLASSES[0].0))).is_some());
        assert_eq!(judge(&document(b"", Some([7; 16]))), None);
        let link = [&URL_MONIKER[..], b"\x20\0\0\0h\0t\0t\0p\0:\0/\0/\0x\0"].concat();
        assert_eq!(judge_embedded(&link), Some("Heur.Document.Object.UrlLink"));
        assert_eq!(judge_embedded(&URL_MONIKER), None);
    }
}
