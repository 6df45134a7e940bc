//! Whether a document of before 2007 needs a password. Its streams are then ciphertext in part, and not looked into.

use super::tree::{Kind, Node, Tree};
use crate::archive::documents::bytes::Bytes;

/// Records at the beginning of a workbook that are looked at. Encryption is announced right behind the first.
const RECORDS: usize = 64;

/// Why nobody can read the document.
pub(super) fn find(tree: &mut Tree<'_>, nodes: &[Node]) -> Option<&'static str> {
    let at_root = |node: &&Node| node.kind == Kind::Stream && node.is_at_root();
    for node in nodes.iter().filter(at_root) {
        let is_protected = match node.name.to_lowercase().as_str() {
            "worddocument" => is_word(&tree.read(node, 64)),
            "workbook" | "book" => is_workbook(&tree.read(node, 16 * 1024)).unwrap_or(false),
            "encryptedsummary" => true,
            "current user" => tree.read(node, 64).get(12..16) == Some(&0xf3d1_c4df_u32.to_le_bytes()),
            _ => false,
        };
        if is_protected {
            return Some("the document needs a password");
        }
    }
    None
}

/// `fEncrypted` of the FIB ([MS-DOC] §2.5.2).
fn is_word(fib: &[u8]) -> bool {
    matches!(fib.get(..12), Some([0xec, 0xa5, .., flags]) if flags & 1 == 1)
}

/// A record `FilePass` ([MS-XLS] §2.4.117).
fn is_workbook(stream: &[u8]) -> Option<bool> {
    let mut bytes = Bytes::new(stream);
    for _ in 0..RECORDS {
        let (kind, length) = (bytes.u16()?, usize::from(bytes.u16()?));
        if kind == 0x002f {
            return Some(true);
        }
        bytes.take(length)?;
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_encryption() {
        let fib = |flags: u8| [0xec, 0xa5, 0xc1, 0, 0, 0, 9, 4, 0, 0, 0, flags];
        assert!(is_word(&fib(0x13)) && !is_word(&fib(0x12)) && !is_word(b"short"));
        let plain = [9, 8, 4, 0, 0, 6, 5, 0, 0x0a, 0, 0, 0];
        let locked = [9, 8, 4, 0, 0, 6, 5, 0, 0x2f, 0, 2, 0, 1, 0];
        assert_eq!((is_workbook(&plain), is_workbook(&locked)), (None, Some(true)));
    }
}
