//! OLE2 compound files: Office documents of before 2007, Outlook messages, Windows Installer packages, and whatever
//! else keeps its data in streams.
//!
//! What always holds: every stream becomes a child, or is part of one. A stream lies scattered over sectors, so
//! the engines can not see it whole in the file itself. A directory that is larger than the file, that names an
//! entry twice or that leads nowhere is refused. Source: [MS-CFB]; the parsers beside this file say theirs.

mod native;
mod outlook;
mod powerpoint;
mod protection;
mod sectors;
mod tree;

use std::collections::HashMap;
use std::path::Path;

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

pub(super) use self::native::{Package, package};
use self::tree::{Kind, Node, Tree};
use super::bytes::name_or;
use super::{give, give_part};
use crate::archive::sink::{Entry, Sink, Stop};
use crate::archive::{Extractor, rest};
use crate::engine::documents::module_source;
use crate::engine::guarded;

/// The signature of a compound file.
pub(super) const MAGIC: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// Streams up to this many bytes are looked into while in memory; larger ones are children as they are.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The extractor for compound files.
pub(super) struct Ole;

impl Extractor for Ole {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(MAGIC)
    }

    fn covers(&self, content: &[u8], file_type: &FileType) -> bool {
        self.recognises(content, file_type)
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut tree = Tree::open(content)?;
        let nodes = tree.nodes()?;
        sink.announce(nodes.len() as u64)?;
        let is_message = nodes.iter().any(|node| node.is_at_root() && outlook::is_properties(&node.name));
        let attachments = if is_message { outlook::attachments(&mut tree, &nodes) } else { HashMap::new() };
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            at += 1;
            let name = attachments.get(&node.path).map(String::as_str);
            if node.kind == Kind::Stream {
                stream(&mut tree, node, name, is_message, sink)?;
                continue;
            }
            let below = tree::below(&nodes, at - 1);
            if let Some(extension) = tree::document(node, below) {
                embedded(&mut tree, node, below, name.map_or_else(|| format!("{}.{extension}", node.shown()), Into::into), sink)?;
                at += below.len();
            }
        }
        rest::behind(content, sectors::end(content), sink)?;
        match protection::find(&mut tree, &nodes) {
            Some(why) => Err(Stop::Closed(Code::PasswordProtectedDocument, why.into())),
            None => Ok(()),
        }
    }
}

/// A document within the document becomes a compound file of its own, so that it has a type and a verdict.
fn embedded(tree: &mut Tree<'_>, node: &Node, below: &[Node], shown: String, sink: &mut dyn Sink) -> Result<(), Stop> {
    sink.count()?;
    match tree.rebuild(node, below) {
        Ok(bytes) => sink.take_bytes(Entry::new(shown, bytes.len() as u64), &bytes).map(drop),
        Err(why) => {
            sink.blocked(Entry::new(shown, node.bytes), Code::Failed, format!("the embedded document can not be read: {why}"));
            Ok(())
        }
    }
}

fn stream(tree: &mut Tree<'_>, node: &Node, attachment: Option<&str>, is_message: bool, sink: &mut dyn Sink) -> Result<(), Stop> {
    let shown = tree.display(node);
    let is_looked_into = node.bytes <= LARGEST;
    let name = node.name.to_lowercase();
    if name == "\u{1}ole10native" && is_looked_into {
        let bytes = tree.read(node, LARGEST);
        let data = bytes.get(4..).unwrap_or_default();
        match package(data) {
            Some(Package { name, data, is_whole }) => {
                give(sink, name_or(&name, format!("{shown}.bin")), data)?;
                if is_whole {
                    return Ok(());
                }
            }
            // Not a package: a size, then data of the program that made it.
            None => give(sink, format!("{shown}.bin"), data)?,
        }
    }
    sink.count()?;
    let is_part = attachment.is_none() && !is_file(node, tree);
    let entry = Entry::new(attachment.map_or_else(|| shown.clone(), |name| name_or(name, shown.clone())), node.bytes);
    let entry = if is_part { entry.into_part() } else { entry };
    // Sectors may be shared, so that small files say they are large: the ledger counts what is read.
    match tree.stream(node) {
        Ok(mut reader) => sink.take_from(entry, &mut reader)?,
        Err(error) => {
            sink.blocked(entry, Code::Failed, format!("the stream can not be read: {error}"));
            return Ok(());
        }
    };
    if name == "powerpoint document" && is_looked_into {
        powerpoint::objects(&tree.read(node, LARGEST), sink)?;
    } else if is_message && is_looked_into && name.starts_with("__substg1.0_10") {
        outlook::body(&node.name, &shown, &tree.read(node, LARGEST), sink)?;
    } else if is_looked_into && node.path.parent().and_then(Path::file_name).is_some_and(|parent| parent.eq_ignore_ascii_case("VBA")) {
        // The engine for documents reads macros by itself; the others see them only decompressed.
        let bytes = tree.read(node, LARGEST);
        if let Some(Some(source)) = guarded(|| module_source(&bytes)) {
            give_part(sink, format!("{shown}.bas"), &source)?;
        }
    }
    Ok(())
}

/// Streams that hold a file as it is, whatever the document ([MS-OLEDS] §2.3; what Office and LibreOffice write).
fn is_file(node: &Node, tree: &Tree<'_>) -> bool {
    let name = node.name.to_lowercase();
    matches!(name.as_str(), "package" | "contents" | "embeddedodf" | "encryptedpackage") || tree.is_installer_file(node)
}
