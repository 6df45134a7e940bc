//! Where things lie in a ZIP, read from the raw bytes, independent of the library that extracts.
//!
//! A ZIP describes every entry twice. Readers that go by the central directory and readers that go by
//! local headers must see the same files, or a scanner can be shown other files than its user. So every
//! disagreement is refused, and so are entries that share bytes (the flat kind of bomb).
//! Source: PKWARE APPNOTE 6.3.10, §4.3.7, §4.3.12, §4.3.16.

use memchr::memmem;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
/// Longest archive comment, so the farthest that the end record is from the end of a file without trailing data.
const MAX_COMMENT: usize = 65_535;
const ZIP64: u32 = u32::MAX;

/// Where the library found an entry.
pub(super) struct Slot {
    /// Offset of the central header.
    pub(super) central: u64,
    /// Offset of the local header.
    pub(super) local: u64,
    /// Compressed bytes.
    pub(super) compressed: u64,
    /// Whether the central header says the entry is encrypted.
    pub(super) is_encrypted: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The fields that both headers have.
#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u32,
    size: u32,
    name: &'a [u8],
    /// Offset of what follows name, extra field and comment.
    end: usize,
}

fn local_at(bytes: &[u8], at: usize) -> Option<Header<'_>> {
    let block = bytes.get(at..)?;
    block.starts_with(LOCAL).then_some(())?;
    let (name, extra) = (usize::from(u16_at(block, 26)?), usize::from(u16_at(block, 28)?));
    Some(Header {
        flags: u16_at(block, 6)?,
        method: u16_at(block, 8)?,
        crc: u32_at(block, 14)?,
        compressed: u32_at(block, 18)?,
        size: u32_at(block, 22)?,
        name: block.get(LOCAL_BYTES..LOCAL_BYTES + name)?,
        end: at + LOCAL_BYTES + name + extra,
    })
}

fn central_at(bytes: &[u8], at: usize) -> Option<Header<'_>> {
    let block = bytes.get(at..)?;
    block.starts_with(CENTRAL).then_some(())?;
    let (name, extra, comment) = (usize::from(u16_at(block, 28)?), usize::from(u16_at(block, 30)?), usize::from(u16_at(block, 32)?));
    Some(Header {
        flags: u16_at(block, 8)?,
        method: u16_at(block, 10)?,
        crc: u32_at(block, 16)?,
        compressed: u32_at(block, 20)?,
        size: u32_at(block, 24)?,
        name: block.get(CENTRAL_BYTES..CENTRAL_BYTES + name)?,
        end: at + CENTRAL_BYTES + name + extra + comment,
    })
}

/// Whether a content is (or carries, or claims to be) a ZIP.
///
/// One that begins like a ZIP is one, however broken: it must then open, or is blocked. In front of other
/// content (self-extracting archives) a ZIP is recognised by an end record that points at a directory.
pub(super) fn looks_like_zip(content: &[u8]) -> bool {
    if content.starts_with(LOCAL)
        || content.starts_with(END)
        || content.starts_with(b"PK\x07\x08PK\x03\x04")
        || content.starts_with(b"PK00PK\x03\x04")
    {
        return true;
    }
    let from = content.len().saturating_sub(END_BYTES + MAX_COMMENT);
    let tail = content.get(from..).unwrap_or_default();
    memmem::find_iter(tail, END).any(|at| points_at_directory(content, from + at))
}

fn points_at_directory(content: &[u8], end: usize) -> bool {
    let check = || {
        let record = content.get(end..)?;
        let (size, offset) = (u32_at(record, 12)?, u32_at(record, 16)?);
        let (entries, comment) = (u16_at(record, 10)?, usize::from(u16_at(record, 20)?));
        if entries == 0 || record.len() < END_BYTES + comment {
            return None;
        }
        let by_size = end.checked_sub(size as usize).is_some_and(|at| central_at(content, at).is_some());
        let by_offset = central_at(content, offset as usize).is_some();
        let by_locator = end.checked_sub(20).and_then(|at| content.get(at..)).is_some_and(|bytes| bytes.starts_with(b"PK\x06\x07"));
        (by_size || by_offset || by_locator).then_some(())
    };
    check().is_some()
}

/// Compares both descriptions of all entries. The error says in a few words what is wrong.
pub(super) fn check(content: &[u8], slots: &[Slot]) -> Result<(), String> {
    let mut ranges = Vec::with_capacity(slots.len());
    for slot in slots {
        ranges.push(check_entry(content, slot)?);
    }
    let directory = slots.iter().map(|slot| slot.central).min().map_or(content.len(), |at| usize::try_from(at).unwrap_or(usize::MAX));
    ranges.sort_unstable();
    let mut free = 0;
    for (start, end) in ranges {
        if start < free || end > directory {
            return Err("overlapping entries".into());
        }
        unlisted(content, free, start)?;
        free = end;
    }
    if !slots.is_empty() {
        unlisted(content, free, directory)?;
    }
    check_end(content, slots)
}

/// Compares one entry's headers; gives the bytes it occupies.
fn check_entry(content: &[u8], slot: &Slot) -> Result<(usize, usize), String> {
    let missing = || "an entry lies outside the archive".to_string();
    let at = usize::try_from(slot.local).map_err(|_| missing())?;
    let local = local_at(content, at).ok_or("a local header is missing")?;
    let central = usize::try_from(slot.central).ok().and_then(|at| central_at(content, at)).ok_or("a central header is missing")?;
    let differs = |what: &str| Err(format!("local and central header disagree about the {what} of an entry"));
    if local.name != central.name {
        return differs("name");
    }
    if local.method != central.method {
        return differs("method");
    }
    if (local.flags & 1 != 0) != slot.is_encrypted || (central.flags & 1 != 0) != slot.is_encrypted {
        return differs("encryption");
    }
    // With bit 3 set, sizes and checksum follow the data, and the local header may hold zeros.
    let later = local.flags & 8 != 0;
    let same = |a: u32, b: u32| a == b || (later && a == 0) || a == ZIP64 || b == ZIP64;
    if !same(local.compressed, central.compressed) || !same(local.size, central.size) {
        return differs("size");
    }
    if local.crc != central.crc && !(later && local.crc == 0) {
        return differs("checksum");
    }
    let end = usize::try_from(slot.compressed).ok().and_then(|n| local.end.checked_add(n)).filter(|end| *end <= content.len());
    Ok((at, end.ok_or_else(missing)?))
}

/// Refuses local headers in bytes that belong to no entry: readers that go by local headers would see more files.
fn unlisted(content: &[u8], from: usize, to: usize) -> Result<(), String> {
    let Some(gap) = content.get(from..to) else { return Ok(()) };
    for at in memmem::find_iter(gap, LOCAL) {
        if local_at(gap, at).is_some_and(|header| is_plausible(&header, gap.len())) {
            return Err("an entry is missing from the central directory".into());
        }
    }
    Ok(())
}

/// Programs that handle ZIP files contain the signature; what follows there is no header.
fn is_plausible(header: &Header<'_>, room: usize) -> bool {
    let known = matches!(header.method, 0..=20 | 93..=99);
    known && !header.name.is_empty() && header.end <= room && header.name.iter().all(|b| *b >= 0x20) && header.flags & 0xc000 == 0
}

/// After the directory there must be one end record, and no further central header.
fn check_end(content: &[u8], slots: &[Slot]) -> Result<(), String> {
    let last = slots.iter().filter_map(|slot| central_at(content, usize::try_from(slot.central).ok()?)).map(|header| header.end).max();
    let Some(rest) = last.and_then(|end| content.get(end..)) else { return Ok(()) };
    if rest.starts_with(CENTRAL) {
        return Err("the central directory has more entries than its end record says".into());
    }
    // The comment is free text; only a record that could itself be taken for the end counts.
    let from = content.len().saturating_sub(END_BYTES + MAX_COMMENT).max(content.len() - rest.len());
    let ends = memmem::find_iter(rest, END).map(|at| content.len() - rest.len() + at).filter(|at| *at >= from);
    if ends.filter(|at| points_at_directory(content, *at)).count() > 1 {
        return Err("the archive has more than one end record".into());
    }
    Ok(())
}
