//! ISO 9660 with Joliet and Rock Ridge names (ECMA-119, SUSP, RRIP).
//!
//! An image can have several trees of directories, and programs choose differently. What always holds: every tree is
//! read, and every extent that any of them names is a content; sectors that no tree names (boot images, the system
//! area) are contents as well; a second session, whose trees lie elsewhere, is refused.

mod susp;

use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;
use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

use super::{Entry, Extractor, Format, Sink, Stop, rest};

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "ISO 9660 images",
    reads: "all trees (ISO 9660, Joliet), Rock Ridge names, boot images; one session; no UDF, no zisofs",
    extractor: &Iso,
}];

const SECTOR: usize = 2048;
/// Where the volume descriptors begin.
const FIRST: usize = 16 * SECTOR;
/// Directories are nested no deeper than this.
const MAX_DEPTH: usize = 64;

struct Iso;

impl Extractor for Iso {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        is_descriptor(content, FIRST)
    }

    fn covers(&self, content: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-iso9660-image" && !has_udf(content) && !has_hfs(content)
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut trees = Vec::new();
        let mut walk =
            Walk { content, read: Vec::new(), files: Vec::new(), names: HashSet::new(), extents: HashSet::new(), directories: HashSet::new() };
        let mut at = FIRST;
        while is_descriptor(content, at) {
            let block = content.get(at..at + SECTOR).unwrap_or_default();
            walk.read.push(at..at + SECTOR);
            match block.first() {
                Some(1 | 2) => trees.push(Tree::new(block).ok_or_else(|| Stop::corrupt("a volume descriptor is damaged"))?),
                Some(255) => break,
                _ => {}
            }
            at += SECTOR;
        }
        // Joliet's names first: they are the longer ones.
        trees.sort_by_key(|tree| !tree.is_joliet);
        for tree in &trees {
            walk.read.extend(tree.paths.iter().cloned());
            walk.directory(tree, &tree.root, "", 0, sink)?;
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

/// Whether the image says that it has a UDF file system too (ECMA-167 2/8.3.1; in the 64 sectors behind).
fn has_udf(content: &[u8]) -> bool {
    let area = content.get(FIRST..content.len().min(FIRST + 64 * SECTOR)).unwrap_or_default();
    area.chunks(SECTOR).any(|sector| matches!(sector.get(1..6), Some(b"NSR02" | b"NSR03")))
}

/// Whether the image is a volume of HFS or HFS+ too (Apple TN1150, "Volume Header"). One in a partition of its own, as images of
/// Linux have for starting from, is among the sectors of no file.
fn has_hfs(content: &[u8]) -> bool {
    content.get(1024..).is_some_and(|header| [b"BD", b"H+", b"HX"].iter().any(|mark| header.starts_with(*mark)))
}

/// What no tree names. Another volume descriptor there is another session.
fn unread(content: &[u8], mut read: Vec<Range<usize>>, sink: &mut dyn Sink) -> Result<(), Stop> {
    read.sort_unstable_by_key(|range| (range.start, range.end));
    let mut gaps = Vec::new();
    let mut at = 0;
    for range in &read {
        if range.start > at {
            gaps.push(at..range.start.min(content.len()));
        }
        at = at.max(range.end);
    }
    gaps.push(at.min(content.len())..content.len());
    for gap in &gaps {
        let bytes = content.get(gap.clone()).unwrap_or_default();
        if memmem::find_iter(bytes, b"CD001\x01").any(|found| (gap.start + found) % SECTOR == 1) {
            return Err(Stop::corrupt("the image has more than one session"));
        }
    }
    gaps.into_iter().try_for_each(|gap| rest::take(content, gap, "[sectors of no file]", sink))
}

struct Tree {
    root: Record,
    is_joliet: bool,
    block: usize,
    /// The path tables, which say the same once more.
    paths: Vec<Range<usize>>,
}

impl Tree {
    fn new(descriptor: &[u8]) -> Option<Self> {
        let word = |at: usize| usize::try_from(u32::from_le_bytes(*descriptor.get(at..)?.first_chunk::<4>()?)).ok();
        let big = |at: usize| usize::try_from(u32::from_be_bytes(*descriptor.get(at..)?.first_chunk::<4>()?)).ok();
        let block = usize::from(u16::from_le_bytes(*descriptor.get(128..)?.first_chunk::<2>()?));
        matches!(block, 512 | 1024 | 2048).then_some(())?;
        let is_joliet = descriptor.first() == Some(&2) && matches!(descriptor.get(88..91)?, b"%/@" | b"%/C" | b"%/E");
        let size = word(132)?;
        let paths = [word(140)?, word(144)?, big(148)?, big(152)?].into_iter().filter(|at| *at != 0).filter_map(|at| {
            let start = at.checked_mul(block)?;
            Some(start..start.checked_add(size)?.next_multiple_of(SECTOR))
        });
        Some(Self { root: Record::new(descriptor.get(156..190)?, block)?, is_joliet, block, paths: paths.collect() })
    }
}

/// A directory record (ECMA-119 §9.1).
struct Record {
    extent: Range<usize>,
    flags: u8,
    is_interleaved: bool,
    name: Vec<u8>,
    system: Vec<u8>,
}

impl Record {
    fn new(bytes: &[u8], block: usize) -> Option<Self> {
        let word = |at: usize| usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?)).ok();
        let length = usize::from(*bytes.get(32)?);
        let name = bytes.get(33..33 + length)?.to_vec();
        let attributes = usize::from(*bytes.get(1)?);
        let start = word(2)?.checked_add(attributes)?.checked_mul(block)?;
        // The name is padded to an even offset; the system use area follows.
        let system = bytes.get((33 + length).next_multiple_of(2)..).unwrap_or_default().to_vec();
        let is_interleaved = *bytes.get(26)? != 0 || *bytes.get(27)? != 0;
        Some(Self { extent: start..start.checked_add(word(10)?)?, flags: *bytes.get(25)?, is_interleaved, name, system })
    }

    fn is_directory(&self) -> bool {
        self.flags & 2 != 0
    }

    fn display(&self, is_joliet: bool, susp: &[susp::Entry<'_>]) -> String {
        let rock: Vec<u8> =
            susp.iter().filter(|entry| entry.kind == b"NM").flat_map(|entry| entry.data.get(1..).unwrap_or_default().to_vec()).collect();
        if !rock.is_empty() {
            return String::from_utf8_lossy(&rock).into_owned();
        }
        let name = if is_joliet {
            let units: Vec<u16> = self.name.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16_lossy(&units)
        } else {
            String::from_utf8_lossy(&self.name).into_owned()
        };
        name.rsplit_once(';').map_or(name.as_str(), |(name, _)| name).trim_end_matches('.').to_string()
    }
}

/// The directory that a link to a moved one leads to: its first record tells how long it is.
fn moved(content: &[u8], link: &susp::Entry<'_>, block: usize) -> Result<Record, Stop> {
    let found = || {
        let start = susp::word(link.data, 0)?.checked_mul(block)?;
        let rest = content.get(start..)?;
        let own = Record::new(rest.get(..usize::from(*rest.first()?))?, block)?;
        (own.is_directory() && own.extent.start == start).then_some(own)
    };
    found().ok_or_else(|| Stop::corrupt("a directory that was moved can not be found"))
}

struct File {
    name: String,
    extents: Vec<Range<usize>>,
    note: Option<&'static str>,
    unreadable: Option<&'static str>,
}

struct Walk<'a> {
    content: &'a [u8],
    read: Vec<Range<usize>>,
    files: Vec<File>,
    /// Names of files that were met and have no content, or (true) none that can be read.
    names: HashSet<(String, bool)>,
    /// All extents of files that were met: trees share them.
    extents: HashSet<Vec<Range<usize>>>,
    /// Where directories that were met lie. A file that lies there as well hides none of them.
    directories: HashSet<Range<usize>>,
}

impl Walk<'_> {
    fn directory(&mut self, tree: &Tree, record: &Record, path: &str, depth: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::corrupt("directories are nested too deep"));
        }
        let extent = record.extent.clone();
        let bytes = self.content.get(extent.clone()).ok_or_else(|| Stop::corrupt("a directory lies outside the image"))?;
        self.read.push(extent.start..extent.end.next_multiple_of(SECTOR));
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(length) = bytes.get(at).map(|length| usize::from(*length)) {
            if length == 0 {
                // Records do not cross sectors.
                at = (at + 1).next_multiple_of(tree.block.max(SECTOR));
                continue;
            }
            let found = bytes.get(at..at + length).and_then(|bytes| Record::new(bytes, tree.block));
            let found = found.ok_or_else(|| Stop::corrupt("a directory record is damaged"))?;
            at += length;
            if matches!(found.name.as_slice(), [0 | 1]) {
                continue;
            }
            sink.count()?;
            let susp = susp::entries(self.content, &found.system, tree.block)?;
            let name = format!("{path}{}", found.display(tree.is_joliet, &susp));
            // A directory that lies too deep for ISO 9660 is named here and stored elsewhere (RRIP §4.1.5.1).
            let moved = susp.iter().find(|entry| entry.kind == b"CL").map(|entry| moved(self.content, entry, tree.block)).transpose()?;
            if found.is_directory() || moved.is_some() {
                let found = moved.unwrap_or(found);
                if self.directories.insert(found.extent.clone()) {
                    self.directory(tree, &found, &format!("{name}/"), depth + 1, sink)?;
                }
                continue;
            }
            parts.push(found.extent.clone());
            // Bit 7: the file goes on in the next record.
            if found.flags & 0x80 != 0 {
                continue;
            }
            let extents = std::mem::take(&mut parts);
            let is_empty = extents.iter().all(Range::is_empty);
            let has = |kind: &[u8]| susp.iter().any(|entry| entry.kind == kind);
            let unreadable = if found.is_interleaved {
                Some("the file is interleaved with others, which can not be read")
            } else if has(b"ZF") {
                Some("the file is compressed with zisofs, which can not be read")
            } else {
                None
            };
            // Empty files stand in every tree, and links have no content: one tree is enough for them. What can not be read
            // is told of each name.
            let note = has(b"SL").then_some("symbolic link, not followed");
            let by_name = is_empty || unreadable.is_some();
            let is_new = if by_name { self.names.insert((name.clone(), unreadable.is_some())) } else { self.extents.insert(extents.clone()) };
            if is_new {
                self.files.push(File { name, extents, note, unreadable });
            }
        }
        if parts.is_empty() { Ok(()) } else { Err(Stop::corrupt("the last part of a file is missing")) }
    }
}
