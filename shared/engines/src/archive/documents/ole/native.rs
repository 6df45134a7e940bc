//! OLE packages: a file with its name, as the Packager of Windows wraps it ([MS-OLEDS] §2.2.5, §2.3.6; oletools' oleobj).

use crate::archive::documents::bytes::{Bytes, display};

/// Bytes that the names behind the data take at most (three paths in UTF-16).
const NAMES: usize = 4 * 1024;

/// A file in a package.
pub(in super::super) struct Package<'a> {
    /// The name that the document shows; of several the one that runs.
    pub(in super::super) name: String,
    pub(in super::super) data: &'a [u8],
    /// Whether this is all: the data are as long as they should be, and nothing but names follows.
    pub(in super::super) is_whole: bool,
}

/// Reads what follows the size of `\x01Ole10Native`, or the native data of an OLE 1.0 object of class `Package`.
/// Data that are cut off are given as far as they go.
pub(in super::super) fn package(bytes: &[u8]) -> Option<Package<'_>> {
    let mut bytes = Bytes::new(bytes);
    // 2: an embedded file.
    (bytes.u16()? == 2).then_some(())?;
    let label = bytes.text()?;
    let path = bytes.text()?;
    let (_, kind) = (bytes.u16()?, bytes.u16()?);
    // 3: embedded. 1: a link, which has a path and no data.
    (kind == 3).then_some(())?;
    let length = bytes.length()?;
    let command = bytes.take(length)?;
    let size = bytes.length()?;
    let data = bytes.take_most(size);
    let name = [label, command, path].into_iter().map(display).find(|name| !name.trim().is_empty()).unwrap_or_default();
    Some(Package { name, data, is_whole: data.len() == size && size > 0 && bytes.rest().len() <= NAMES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_gives_its_file() {
        let mut bytes = b"\x02\0a.exe\0C:\\x\\a.exe\0\0\0\x03\0\x05\0\0\0C:\\t\0\x04\0\0\0DATArest".to_vec();
        let found = package(&bytes).unwrap();
        assert_eq!((found.name.as_str(), found.data), ("a.exe", &b"DATA"[..]));
        bytes[18] = 0xff;
        for cut in 0..bytes.len() {
            let _ = package(&bytes[..cut]);
        }
    }
}
