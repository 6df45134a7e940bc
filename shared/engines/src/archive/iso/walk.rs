//! What the trees and path tables of an image name, each place once.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::susp;
use super::tree::{self, Record, Tree};
use super::{SECTOR, Sink, Stop};

/// Directories are nested no deeper than this.
const MAX_DEPTH: usize = 64;
/// Bits of a UNIX mode that tell what a file is, and a directory's.
const KIND: usize = 0o170_000;
const DIRECTORY: usize = 0o040_000;

/// A file that was met.
pub(super) struct File {
    pub(super) name: String,
    pub(super) extents: Vec<Range<usize>>,
    pub(super) note: Option<&'static str>,
    pub(super) unreadable: Option<&'static str>,
}

/// A walk through all trees.
pub(super) struct Walk<'a> {
    content: &'a [u8],
    /// What was read as something of the trees.
    pub(super) read: Vec<Range<usize>>,
    pub(super) files: Vec<File>,
    /// Names of files that were met and have no content, or (true) none that can be read.
    names: HashSet<(String, bool)>,
    /// All extents of files that were met: trees share them.
    extents: HashSet<Vec<Range<usize>>>,
    /// Where directories that were met lie, and with blocks of which size: these decide where its records lead. A file
    /// that lies there as well hides none of them.
    directories: BTreeSet<(usize, usize, usize)>,
    /// Bytes of continuation areas that may still be read: those of sound images do not overlap.
    continued: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(content: &'a [u8], read: Vec<Range<usize>>) -> Self {
        let continued = content.len().saturating_mul(4);
        Self { content, read, files: Vec::new(), names: HashSet::new(), extents: HashSet::new(), directories: BTreeSet::new(), continued }
    }

    /// A tree, and the directories that only its path tables name: Windows looks directories up there.
    pub(super) fn tree(&mut self, tree: &Tree, sink: &mut dyn Sink) -> Result<(), Stop> {
        self.directory(tree, &tree.root.extent, "", 0, sink)?;
        for table in &tree.paths {
            sink.check_time()?;
            let (found, end) = table.directories(self.content).ok_or_else(|| Stop::corrupt("a path table is damaged"))?;
            self.read.push(table.range.start..end);
            for (place, name) in found {
                let start = place.checked_mul(tree.block).ok_or_else(|| Stop::corrupt("a path table is damaged"))?;
                // How long it is, its own record tells.
                match Record::first_of(self.content, start, tree.block) {
                    Some(own) => {
                        let extent = start..start.saturating_add(own.extent.len());
                        self.directory(tree, &extent, &format!("{}/", tree::text(name, tree.is_joliet)), 1, sink)?;
                    }
                    None if self.is_known(tree.block, start) => {}
                    None => return Err(Stop::corrupt("a path table leads to no directory")),
                }
            }
        }
        Ok(())
    }

    fn is_known(&self, block: usize, start: usize) -> bool {
        self.directories.range((block, start, 0)..=(block, start, usize::MAX)).next().is_some()
    }

    fn directory(&mut self, tree: &Tree, extent: &Range<usize>, path: &str, depth: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::corrupt("directories are nested too deep"));
        }
        if !self.directories.insert((tree.block, extent.start, extent.end)) {
            return Ok(());
        }
        let bytes = self.content.get(extent.clone()).ok_or_else(|| Stop::corrupt("a directory lies outside the image"))?;
        let mut parts = Parts::default();
        let mut at = 0;
        while let Some(length) = bytes.get(at).map(|length| usize::from(*length)) {
            if length == 0 {
                // Records do not cross sectors.
                at = (at + 1).next_multiple_of(tree.block.max(SECTOR));
                continue;
            }
            let found = bytes.get(at..at + length).and_then(|bytes| Record::new(bytes, tree.block));
            let found = found.ok_or_else(|| Stop::corrupt("a directory record is damaged"))?;
            // The records alone: what follows the last one in a sector is nothing that a reader of directories looks at.
            self.read.push(extent.start + at..extent.start + at + length);
            at += length;
            let (susp, areas) = susp::entries(self.content, &found.system, tree.skipped, tree.block)?;
            let continued = areas.iter().map(ExactSizeIterator::len).sum();
            self.continued = self.continued.checked_sub(continued).ok_or_else(|| Stop::corrupt("continuation areas overlap"))?;
            self.read.extend(areas);
            if matches!(found.name.as_slice(), [0 | 1]) {
                continue;
            }
            sink.count()?;
            let name = format!("{path}{}", found.display(tree.is_joliet, &susp));
            // A directory that lies too deep for ISO 9660 is named here and stored elsewhere (RRIP §4.1.5.1).
            let moved = susp.iter().find(|entry| entry.kind == b"CL").map(|entry| moved(self.content, entry, tree.block)).transpose()?;
            if let Some(extent) = &moved {
                self.directory(tree, extent, &format!("{name}/"), depth + 1, sink)?;
            } else if susp.iter().any(|entry| entry.kind == b"PX" && contradicts(entry, &found)) {
                return Err(Stop::corrupt("Rock Ridge and ISO 9660 disagree on what is a directory"));
            }
            // Who knows nothing of Rock Ridge goes by the record itself.
            if found.is_directory() {
                self.directory(tree, &found.extent, &format!("{name}/"), depth + 1, sink)?;
            } else {
                parts.add(&found, &susp);
                if !found.goes_on() {
                    self.file(name, std::mem::take(&mut parts), moved.is_some());
                }
            }
        }
        if parts.extents.is_empty() { Ok(()) } else { Err(Stop::corrupt("the last part of a file is missing")) }
    }

    /// A file, unless it is known. The record of a moved directory (`is_moved`) mostly is one without content.
    fn file(&mut self, name: String, parts: Parts, is_moved: bool) {
        let Parts { extents, note, unreadable } = parts;
        let is_empty = extents.iter().all(Range::is_empty);
        if is_empty && is_moved {
            return;
        }
        // Empty files stand in every tree, and links have no content: one tree is enough for them. What can not be read
        // is told of each name.
        let by_name = is_empty || unreadable.is_some();
        let is_new = if by_name { self.names.insert((name.clone(), unreadable.is_some())) } else { self.extents.insert(extents.clone()) };
        if is_new {
            self.files.push(File { name, extents, note, unreadable });
        }
    }
}

/// The parts of one file, each of which has a record of its own. What is said of one holds for the file.
#[derive(Default)]
struct Parts {
    extents: Vec<Range<usize>>,
    note: Option<&'static str>,
    unreadable: Option<&'static str>,
}

impl Parts {
    fn add(&mut self, record: &Record, susp: &[susp::Entry<'_>]) {
        let has = |kind: &[u8]| susp.iter().any(|entry| entry.kind == kind);
        self.extents.push(record.extent.clone());
        if has(b"SL") {
            self.note = Some("symbolic link, not followed");
        }
        if record.is_interleaved {
            self.unreadable = Some("the file is interleaved with others, which can not be read");
        } else if has(b"ZF") {
            self.unreadable = Some("the file is compressed with zisofs, which can not be read");
        }
    }
}

/// Whether the mode says that a file is a directory or the other way round: Linux goes by the mode, others do not.
fn contradicts(px: &susp::Entry<'_>, record: &Record) -> bool {
    let kind = susp::word(px.data, 0).map_or(0, |mode| mode & KIND);
    kind != 0 && (kind == DIRECTORY) != record.is_directory()
}

/// The directory that a link to a moved one leads to: its first record tells how long it is.
fn moved(content: &[u8], link: &susp::Entry<'_>, block: usize) -> Result<Range<usize>, Stop> {
    let found = || {
        let start = susp::word(link.data, 0)?.checked_mul(block)?;
        Record::first_of(content, start, block).map(|own| own.extent).filter(|extent| extent.start == start)
    };
    found().ok_or_else(|| Stop::corrupt("a directory that was moved can not be found"))
}
