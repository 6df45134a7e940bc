//! The directory of a compound file, and its streams.

use std::collections::HashSet;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use crate::archive::sink::Stop;

/// Levels of storages that are followed; documents within documents take two or three each.
const DEPTH: usize = 64;
/// Bytes of a directory entry ([MS-CFB] §2.6.1): a file can not have more entries than fit into it.
const ENTRY_BYTES: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Storage,
    Stream,
}

/// A storage or stream, but not the root.
pub(super) struct Node {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
}

impl Node {
    /// Whether it lies in the root storage.
    pub(super) fn is_at_root(&self) -> bool {
        self.path.components().count() == 2
    }

    /// The path for display, without the slash in front.
    pub(super) fn shown(&self) -> String {
        self.path.to_string_lossy().trim_start_matches('/').chars().filter(|c| !c.is_control()).collect()
    }
}

/// An open compound file.
pub(super) struct Tree<'c> {
    file: cfb::CompoundFile<Cursor<&'c [u8]>>,
    size: usize,
    is_installer: bool,
}

impl<'c> Tree<'c> {
    pub(super) fn open(content: &'c [u8]) -> Result<Self, Stop> {
        let file = cfb::CompoundFile::open(Cursor::new(content)).map_err(|error| Stop::corrupt(format!("no OLE file can be read here: {error}")))?;
        Ok(Self { file, size: content.len(), is_installer: false })
    }

    /// All entries but the root, parents first.
    pub(super) fn nodes(&mut self) -> Result<Vec<Node>, Stop> {
        let most = self.size / ENTRY_BYTES;
        let mut nodes = Vec::new();
        let mut paths = HashSet::new();
        for entry in self.file.walk() {
            if nodes.len() > most {
                return Err(Stop::corrupt("the OLE directory leads in circles"));
            }
            if entry.is_root() {
                continue;
            }
            if entry.path().components().count() > DEPTH {
                return Err(Stop::corrupt("the storages are nested too deeply"));
            }
            // Names are compared without regard to case (§2.6.4): of two that are equal, readers see one.
            if !paths.insert(entry.path().to_string_lossy().to_uppercase()) {
                return Err(Stop::corrupt("two entries of the OLE directory have the same name"));
            }
            let kind = if entry.is_stream() { Kind::Stream } else { Kind::Storage };
            nodes.push(Node { path: entry.path().to_path_buf(), name: entry.name().to_owned(), kind, bytes: entry.len() });
        }
        self.is_installer = nodes.iter().any(|node| node.name.starts_with('\u{4840}'));
        Ok(nodes)
    }

    pub(super) fn stream(&mut self, node: &Node) -> io::Result<cfb::Stream<Cursor<&'c [u8]>>> {
        self.file.open_stream(&node.path)
    }

    /// The first bytes of a stream; as many as can be read.
    pub(super) fn read(&mut self, node: &Node, most: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A stream has no more bytes than its file, unless sectors are shared.
        let most = most.min(self.size as u64);
        if let Ok(stream) = self.file.open_stream(&node.path) {
            let _ = stream.take(most).read_to_end(&mut bytes);
        }
        bytes
    }

    /// A storage as a compound file of its own, of the nodes below it.
    pub(super) fn rebuild(&mut self, root: &Node, below: &[Node]) -> io::Result<Vec<u8>> {
        let mut copy = cfb::CompoundFile::create(Cursor::new(Vec::new()))?;
        let mut left = self.size as u64;
        for node in below {
            let path = Path::new("/").join(node.path.strip_prefix(&root.path).unwrap_or(&node.path));
            if node.kind == Kind::Storage {
                copy.create_storage_all(&path)?;
                continue;
            }
            let mut bytes = Vec::new();
            self.file.open_stream(&node.path)?.take(left + 1).read_to_end(&mut bytes)?;
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| io::Error::other("streams share sectors"))?;
            copy.create_stream(&path)?.write_all(&bytes)?;
        }
        copy.flush()?;
        Ok(copy.into_inner().into_inner())
    }

    /// The name for display: of the streams of Windows Installer packages the decoded one.
    pub(super) fn display(&self, node: &Node) -> String {
        if self.is_installer { installer_name(&node.shown()) } else { node.shown() }
    }

    /// Whether this is a file that an installer package brings (and no table of its database).
    pub(super) fn is_installer_file(&self, node: &Node) -> bool {
        self.is_installer && !node.name.starts_with('\u{4840}') && !node.name.starts_with('\u{5}')
    }
}

/// Names in Windows Installer packages: two of 64 letters to a character, tables begin with U+4840.
fn installer_name(name: &str) -> String {
    const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
    let letter = |index: u32| LETTERS.get(index as usize & 63).map_or('_', |letter| char::from(*letter));
    let mut out = String::new();
    for c in name.chars() {
        match u32::from(c) {
            0x4840 => out.push('!'),
            code @ 0x3800..0x4800 => out.extend([letter(code - 0x3800), letter((code - 0x3800) >> 6)]),
            code @ 0x4800..0x4840 => out.push(letter(code - 0x4800)),
            _ => out.push(c),
        }
    }
    out
}

/// The nodes within the storage `nodes[at]`: they follow it (the walk is in preorder).
pub(super) fn below(nodes: &[Node], at: usize) -> &[Node] {
    let rest = nodes.get(at + 1..).unwrap_or_default();
    let path = nodes.get(at).map_or(Path::new(""), |node| node.path.as_path());
    let count = rest.iter().take_while(|node| node.path.starts_with(path)).count();
    rest.get(..count).unwrap_or_default()
}

/// The extension for a storage that is a document or message of its own; `None` if it is none.
pub(super) fn document(storage: &Node, below: &[Node]) -> Option<&'static str> {
    let is_object = super::outlook::is_object(&storage.name);
    // What Outlook attaches as an object is one, whatever it is.
    let mut found = is_object.then_some("ole");
    for child in below.iter().filter(|child| child.kind == Kind::Stream && child.path.parent() == Some(&storage.path)) {
        match child.name.to_lowercase().as_str() {
            "worddocument" => return Some("doc"),
            "workbook" | "book" => return Some("xls"),
            "powerpoint document" => return Some("ppt"),
            "visiodocument" => return Some("vsd"),
            name if is_object && super::outlook::is_properties(name) => found = Some("msg"),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_installer_packages() {
        // `_Tables` and `Binary.a`, as Windows Installer writes them.
        let encoded = |name: &str| {
            const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
            let codes: Vec<u32> = name.chars().map(|c| u32::try_from(LETTERS.find(c).unwrap()).unwrap()).collect();
            let unit = |pair: &[u32]| if let [a, b] = pair { 0x3800 + a + (b << 6) } else { 0x4800 + pair[0] };
            codes.chunks(2).map(|pair| char::from_u32(unit(pair)).unwrap()).collect::<String>()
        };
        assert_eq!(installer_name(&format!("\u{4840}{}", encoded("_Tables"))), "!_Tables");
        assert_eq!(installer_name(&encoded("Binary.a")), "Binary.a");
        assert_eq!(installer_name("plain"), "plain");
        // A constant from a real package: the table of tables.
        assert_eq!(installer_name("\u{4840}\u{3f7f}\u{4164}\u{422f}\u{4836}"), "!_Tables");
    }
}
