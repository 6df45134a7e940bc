//! ISO 9660 with Joliet and Rock Ridge names (ECMA-119, SUSP, RRIP).
//!
//! An image can have several trees of directories, and programs choose differently. What always holds: every tree and
//! every path table is read, and every extent that any of them names is a content; sectors that no tree names (boot
//! images, the system area) are contents as well; a second session, whose trees lie elsewhere, is refused.

mod susp;
mod tree;
mod walk;

use std::ops::Range;

use memchr::memmem;
use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

use self::tree::Tree;
use self::walk::Walk;
use super::{Entry, Extractor, Format, Sink, Stop, rest, volumes};

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "ISO 9660 images",
    reads: "all trees (ISO 9660, Joliet), Rock Ridge names, boot images; one session; no UDF, no HFS, no zisofs",
    extractor: &Iso,
}];

const SECTOR: usize = 2048;
/// Where the volume descriptors begin.
const FIRST: usize = 16 * SECTOR;

struct Iso;

impl Extractor for Iso {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        is_descriptor(content, FIRST)
    }

    fn covers(&self, content: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-iso9660-image" && !volumes::has_udf(content) && !volumes::has_apple(content)
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut trees = Vec::new();
        let mut read = Vec::new();
        let mut at = FIRST;
        while is_descriptor(content, at) {
            let block = content.get(at..at + SECTOR).unwrap_or_default();
            read.push(at..at + SECTOR);
            match block.first() {
                Some(1 | 2) => trees.push(Tree::new(content, block).ok_or_else(|| Stop::corrupt("a volume descriptor is damaged"))?),
                Some(255) => break,
                _ => {}
            }
            at += SECTOR;
        }
        // Joliet's names first: they are the longer ones.
        trees.sort_by_key(|tree| !tree.is_joliet);
        let mut walk = Walk::new(content, read);
        for tree in &trees {
            walk.tree(tree, sink)?;
        }
        let Walk { mut read, files, .. } = walk;
        for file in files {
            let mut pieces = Vec::new();
            for extent in &file.extents {
                read.push(extent.start..extent.end.next_multiple_of(SECTOR).min(content.len()));
                pieces.push(content.get(extent.start.min(content.len())..extent.end.min(content.len())).unwrap_or_default());
            }
            let size: usize = file.extents.iter().map(ExactSizeIterator::len).sum();
            let mut entry = Entry::new(file.name, size as u64).with_note(file.note);
            if pieces.iter().map(|piece| piece.len()).sum::<usize>() != size {
                entry.fault = Some("the file lies outside the image".into());
            }
            if let Some(why) = file.unreadable {
                sink.blocked(entry, Code::Failed, why.into());
                continue;
            }
            sink.take(entry, &mut |to| pieces.iter().flat_map(|piece| piece.chunks(super::sink::CHUNK)).try_for_each(|chunk| to.write_all(chunk)))?;
        }
        unread(content, read, sink)
    }
}

fn is_descriptor(content: &[u8], at: usize) -> bool {
    content.get(at + 1..at + 6) == Some(b"CD001")
}

/// What no tree names. Another volume descriptor there is another session.
fn unread(content: &[u8], read: Vec<Range<usize>>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let gaps = rest::gaps(read, 0..content.len());
    for gap in &gaps {
        let bytes = content.get(gap.clone()).unwrap_or_default();
        if memmem::find_iter(bytes, b"CD001\x01").any(|found| (gap.start + found) % SECTOR == 1) {
            return Err(Stop::corrupt("the image has more than one session"));
        }
    }
    gaps.into_iter().try_for_each(|gap| rest::take(content, gap, "[sectors of no file]", sink))
}
