//! Outlook messages ([MS-OXMSG]): attachments under their names, bodies as text.

use std::collections::HashMap;
use std::path::PathBuf;

use super::tree::{self, Kind, Node, Tree};
use crate::archive::documents::bytes::{display, utf16, utf16_display};
use crate::archive::documents::{give, give_part, lzfu};
use crate::archive::sink::{Sink, Stop};

/// Properties of an attachment that name it, best first: long file name, file name, display name ([MS-OXCMSG] §2.2.2).
const NAMES: &[&str] = &["3707", "3704", "3001"];

/// Whether this stream is the table of properties of a message, recipient or attachment.
pub(super) fn is_properties(name: &str) -> bool {
    name.to_lowercase().starts_with("__properties_version1.0")
}

/// Whether this storage is what is attached: a message or an OLE object (`PidTagAttachDataObject`).
pub(super) fn is_object(name: &str) -> bool {
    name.eq_ignore_ascii_case("__substg1.0_3701000D")
}

/// What is attached: paths of streams and storages, and their names.
pub(super) fn attachments(tree: &mut Tree<'_>, nodes: &[Node]) -> HashMap<PathBuf, String> {
    let mut found = HashMap::new();
    for (at, storage) in nodes.iter().enumerate() {
        if storage.kind != Kind::Storage || !storage.is_at_root() || !storage.name.to_lowercase().starts_with("__attach_version1.0_#") {
            continue;
        }
        let below = tree::below(nodes, at);
        let inside = || below.iter().enumerate().filter(|(_, node)| node.path.parent() == Some(&storage.path));
        let name = NAMES.iter().find_map(|tag| {
            let (_, node) = inside().find(|(_, node)| property(&node.name).is_some_and(|(it, _)| it.eq_ignore_ascii_case(tag)))?;
            let bytes = tree.read(node, 4_096);
            let name = if property(&node.name)?.1.eq_ignore_ascii_case("001F") { utf16_display(&bytes) } else { display(&bytes) };
            (!name.trim().is_empty()).then_some(name)
        });
        for (at, node) in inside().filter(|(_, node)| property(&node.name).is_some_and(|(tag, _)| tag == "3701")) {
            let extension = if node.kind == Kind::Storage { tree::document(node, tree::below(below, at)).unwrap_or("ole") } else { "" };
            let mut name = name.clone().unwrap_or_else(|| format!("attachment-{}", found.len() + 1));
            if !extension.is_empty() && crate::names::extension(&name) != extension {
                name = format!("{name}.{extension}");
            }
            found.insert(node.path.clone(), name);
        }
    }
    found
}

/// Tag and type of a property that has a stream of its own: `__substg1.0_TTTTPPPP`.
fn property(name: &str) -> Option<(&str, &str)> {
    let rest = name.get(..12).filter(|start| start.eq_ignore_ascii_case("__substg1.0_")).and_then(|_| name.get(12..20))?;
    Some((rest.get(..4)?, rest.get(4..)?))
}

/// Hands over a body in a form that engines can read: text as UTF-8, RTF decompressed.
pub(super) fn body(name: &str, shown: &str, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
    match property(name) {
        Some(("1000", kind)) if kind.eq_ignore_ascii_case("001F") => give_part(sink, "body.txt", utf16(bytes).as_bytes()),
        Some(("1013", kind)) if kind.eq_ignore_ascii_case("001F") => give_part(sink, "body.html", utf16(bytes).as_bytes()),
        Some(("1013", _)) => give_part(sink, "body.html", bytes),
        Some(("1009", _)) => match lzfu::decompress(bytes) {
            Some(rtf) => give(sink, "body.rtf", &rtf),
            None => Err(Stop::corrupt(format!("the body `{shown}` can not be decompressed"))),
        },
        _ => Ok(()),
    }
}
