//! Volume descriptors, directory records and path tables, as they are written.

use std::ops::Range;

use super::{SECTOR, susp};

/// A tree of directories.
pub(super) struct Tree {
    pub(super) root: Record,
    pub(super) is_joliet: bool,
    /// Bytes of a logical block.
    pub(super) block: usize,
    /// Bytes in front of the entries of a system use area.
    pub(super) skipped: usize,
    pub(super) paths: Vec<PathTable>,
}

impl Tree {
    /// From a volume descriptor (ECMA-119 §8.4).
    pub(super) fn new(content: &[u8], descriptor: &[u8]) -> Option<Self> {
        let word = |at: usize| usize::try_from(u32::from_le_bytes(*descriptor.get(at..)?.first_chunk::<4>()?)).ok();
        let big = |at: usize| usize::try_from(u32::from_be_bytes(*descriptor.get(at..)?.first_chunk::<4>()?)).ok();
        let block = usize::from(u16::from_le_bytes(*descriptor.get(128..)?.first_chunk::<2>()?));
        matches!(block, 512 | 1024 | SECTOR).then_some(())?;
        let is_joliet = descriptor.first() == Some(&2) && matches!(descriptor.get(88..91)?, b"%/@" | b"%/C" | b"%/E");
        let size = word(132)?;
        let places = [(word(140)?, false), (word(144)?, false), (big(148)?, true), (big(152)?, true)];
        let paths = places.into_iter().filter(|(at, _)| *at != 0 && size > 0).map(|(at, is_big)| {
            let start = at.checked_mul(block)?;
            Some(PathTable { range: start..start.checked_add(size)?, is_big })
        });
        let paths = paths.collect::<Option<_>>()?;
        let root = Record::new(descriptor.get(156..190)?, block)?;
        let skipped = Record::first_of(content, root.extent.start, block).map_or(0, |own| susp::skipped(&own.system));
        Some(Self { root, is_joliet, block, skipped, paths })
    }
}

/// Where a directory begins, in blocks, and its name.
type Row<'c> = (usize, &'c [u8]);

/// A path table (ECMA-119 §9.4): all directories once more.
pub(super) struct PathTable {
    pub(super) range: Range<usize>,
    is_big: bool,
}

impl PathTable {
    /// All directories, and where the table ends. `None` if it is damaged.
    pub(super) fn directories<'c>(&self, content: &'c [u8]) -> Option<(Vec<Row<'c>>, usize)> {
        let bytes = content.get(self.range.clone())?;
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(length) = bytes.get(at).map(|length| usize::from(*length)).filter(|length| *length > 0) {
            let attributes = usize::from(*bytes.get(at + 1)?);
            let place = *bytes.get(at + 2..)?.first_chunk::<4>()?;
            let place = if self.is_big { u32::from_be_bytes(place) } else { u32::from_le_bytes(place) };
            let name = bytes.get(at + 8..at + 8 + length)?;
            found.push((usize::try_from(place).ok()?.checked_add(attributes)?, name));
            at = (at + 8 + length).next_multiple_of(2);
        }
        Some((found, self.range.start + at.min(bytes.len())))
    }
}

/// A directory record (ECMA-119 §9.1).
pub(super) struct Record {
    pub(super) extent: Range<usize>,
    pub(super) flags: u8,
    pub(super) is_interleaved: bool,
    pub(super) name: Vec<u8>,
    pub(super) system: Vec<u8>,
}

impl Record {
    pub(super) fn new(bytes: &[u8], block: usize) -> Option<Self> {
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

    /// A directory's record of itself: its first one.
    pub(super) fn first_of(content: &[u8], start: usize, block: usize) -> Option<Self> {
        let directory = content.get(start..)?;
        Self::new(directory.get(..usize::from(*directory.first()?))?, block).filter(|own| own.name == [0] && own.is_directory())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether the file goes on in the next record.
    pub(super) fn goes_on(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// The name to show.
    pub(super) fn display(&self, is_joliet: bool, susp: &[susp::Entry<'_>]) -> String {
        let rock: Vec<u8> =
            susp.iter().filter(|entry| entry.kind == b"NM").flat_map(|entry| entry.data.get(1..).unwrap_or_default().to_vec()).collect();
        if !rock.is_empty() {
            return String::from_utf8_lossy(&rock).into_owned();
        }
        let name = text(&self.name, is_joliet);
        name.rsplit_once(';').map_or(name.as_str(), |(name, _)| name).trim_end_matches('.').to_string()
    }
}

/// A name as it is stored.
pub(super) fn text(name: &[u8], is_joliet: bool) -> String {
    if is_joliet {
        let units: Vec<u16> = name.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8_lossy(name).into_owned()
    }
}
