//! Where things lie in a ZIP, read from the raw bytes, independent of the library that extracts.
//!
//! A ZIP describes every entry twice. Readers that go by the central directory and readers that go by
//! local headers must see the same files, or a scanner can be shown other files than its user. So every
//! disagreement is refused, and so are entries that share bytes (the flat kind of bomb).
//! Source: PKWARE APPNOTE 6.3.10, §4.3.7, §4.3.12, §4.3.16.

use std::ops::Range;

use memchr::memmem;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const LOCATOR: &[u8] = b"PK\x06\x07";
/// What begins a record that some reader takes for the next one behind an entry.
const SIGNATURES: [&[u8]; 3] = [LOCAL, CENTRAL, b"PK\x07\x08"];
/// The method of almost every entry.
pub(super) const DEFLATED: u16 = 8;
const LOCATOR_BYTES: usize = 20;
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

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
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
    // Padding moves the end record away from the end of the file; readers look behind it.
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let from = used.saturating_sub(END_BYTES + MAX_COMMENT);
    let to = content.len().min(used + END_BYTES);
    let tail = content.get(from..to).unwrap_or_default();
    memmem::find_iter(tail, END).any(|at| points_at_directory(content, from + at))
}

fn points_at_directory(content: &[u8], end: usize) -> bool {
    let check = || {
        let record = content.get(end..)?;
        let (size, offset) = (u32_at(record, 12)?, u32_at(record, 16)?);
        let entries = u16_at(record, 10)?;
        u16_at(record, 20)?;
        let by_size = size > 0 && end.checked_sub(size as usize).is_some_and(|at| central_at(content, at).is_some());
        let by_offset = central_at(content, offset as usize).is_some();
        let by_locator = end.checked_sub(LOCATOR_BYTES).and_then(|at| content.get(at..)).is_some_and(|bytes| bytes.starts_with(LOCATOR));
        // A record that says there is nothing is believed only if there is nothing.
        let denies = || entries == 0 && carries_entry(content, 0, end);
        (by_size || by_offset || by_locator || denies()).then_some(())
    };
    check().is_some()
}

/// What of an archive is no entry's data.
pub(super) struct Around {
    /// In front of, between and behind the data of the entries, headers included; the last is the comment.
    pub(super) regions: Vec<Range<usize>>,
    /// Where the archive ends, its comment included.
    pub(super) end: usize,
}

/// Compares both descriptions of all entries, and tells what is around these. The error says in a few words what is wrong.
pub(super) fn check(content: &[u8], slots: &[Slot]) -> Result<Around, String> {
    let Ends { directory, comment, end } = check_end(content, slots)?;
    let mut ranges = Vec::with_capacity(slots.len());
    for slot in slots {
        ranges.push(check_entry(content, slot)?);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut regions = Vec::with_capacity(ranges.len() + 1);
    let mut before: Option<Occupied> = None;
    for range in ranges {
        if range.end > directory || before.as_ref().is_some_and(|before| range.start < before.end) {
            return Err("overlapping entries".into());
        }
        match &before {
            None => check_prefix(content, range.start)?,
            Some(before) => check_gap(content, before, range.start, false)?,
        }
        regions.push(before.map_or(0, |before| before.end)..range.data);
        before = Some(range);
    }
    if let Some(last) = &before {
        check_gap(content, last, directory, true)?;
    }
    regions.extend([before.map_or(0, |last| last.end)..comment, comment..end]);
    Ok(Around { regions, end })
}

/// Where the directory begins, where the comment of the archive does, and where the archive ends.
struct Ends {
    directory: usize,
    comment: usize,
    end: usize,
}

/// The end record must be the last of its kind, reach to the end of the file, and be right about the directory.
fn check_end(content: &[u8], slots: &[Slot]) -> Result<Ends, String> {
    // Readers look for it from the end; one that they could take instead of this one must not exist.
    let end = memmem::rfind(content, END).ok_or("the end record is missing")?;
    let fields = || {
        let record = content.get(end..)?;
        Some((u16_at(record, 10)?, u32_at(record, 12)?, u32_at(record, 16)?, usize::from(u16_at(record, 20)?)))
    };
    let (entries, size, offset, comment) = fields().ok_or("the end record is cut off")?;
    let behind = content.get(end + END_BYTES..).unwrap_or_default();
    if comment > behind.len() {
        return Err("the comment of the archive is cut off".into());
    }
    let ends = |directory| Ends { directory, comment: end + END_BYTES, end: end + END_BYTES + comment };
    if memmem::find(behind, LOCAL).is_some() || memmem::find(behind, CENTRAL).is_some() {
        return Err("there are entries behind the end of the archive".into());
    }
    if slots.is_empty() {
        let before = content.get(..end).unwrap_or_default();
        let nothing = entries == 0 && size == 0 && memmem::find(before, LOCAL).is_none() && memmem::find(before, CENTRAL).is_none();
        return if nothing { Ok(ends(end)) } else { Err("the end record says that there are no entries, but there are".into()) };
    }

    let mut headers: Vec<usize> = slots.iter().map(|slot| usize::try_from(slot.central).unwrap_or(usize::MAX)).collect();
    headers.sort_unstable();
    let start = headers.first().copied().unwrap_or_default();
    let mut at = start;
    for header in headers {
        if header != at {
            return Err("the central directory has gaps".into());
        }
        let header = central_at(content, at).ok_or("a central header is missing")?;
        if carries_entry(content, at, header.end) {
            return Err("an entry is hidden in the central directory".into());
        }
        at = header.end;
    }
    let rest = content.get(at..end).ok_or("the central directory does not end at its end record")?;
    if rest.starts_with(CENTRAL) {
        return Err("the central directory has more entries than its end record says".into());
    }
    let length = (at - start) as u64;
    let large = if rest.is_empty() { None } else { Some(zip64_end(rest).ok_or("there are other data behind the central directory")?) };
    let says = |small: u64, sentinel: u64, large: Option<u64>, real: u64| match large {
        Some(large) => large == real && (small == sentinel || small == real),
        None => small == real,
    };
    let count = slots.len() as u64;
    if !says(entries.into(), u16::MAX.into(), large.as_ref().map(|l| l.entries), count)
        || !says(size.into(), ZIP64.into(), large.as_ref().map(|l| l.size), length)
    {
        return Err("the end record is wrong about the central directory".into());
    }
    let offset = match &large {
        Some(large) if offset == ZIP64 || u64::from(offset) == large.offset => large.offset,
        Some(_) => return Err("the end records disagree about the central directory".into()),
        None => offset.into(),
    };
    // Readers that do not correct for bytes in front of the archive look exactly there.
    let offset = usize::try_from(offset).map_err(|_| "the central directory lies outside the archive")?;
    if offset != start && central_at(content, offset).is_some() {
        return Err("the archive has more than one central directory".into());
    }
    Ok(ends(start))
}

struct Zip64End {
    entries: u64,
    size: u64,
    offset: u64,
}

/// The ZIP64 end record and its locator, if `rest` is exactly that (§4.3.14, §4.3.15).
fn zip64_end(rest: &[u8]) -> Option<Zip64End> {
    rest.starts_with(b"PK\x06\x06").then_some(())?;
    let length = usize::try_from(u64_at(rest, 4)?).ok()?.checked_add(12)?;
    let locator = rest.get(length..)?;
    let fits = length >= 56 && locator.len() == LOCATOR_BYTES && locator.starts_with(LOCATOR) && !carries_entry(rest, 0, rest.len());
    fits.then_some(())?;
    Some(Zip64End { entries: u64_at(rest, 32)?, size: u64_at(rest, 40)?, offset: u64_at(rest, 48)? })
}

/// In front of the first entry may be a program. It may know the signature, but must not carry an entry.
fn check_prefix(content: &[u8], to: usize) -> Result<(), String> {
    let begins = to > 0 && content.starts_with(LOCAL);
    if begins || carries_entry(content, 0, to) { Err("an entry is missing from the central directory".into()) } else { Ok(()) }
}

/// Between entries there may be a data descriptor, padding and (in front of the directory) the signatures
/// of an Android package. Anything else could be read as a file by those who do not go by the directory.
fn check_gap(content: &[u8], entry: &Occupied, to: usize, is_last: bool) -> Result<(), String> {
    let gap = content.get(entry.end..to).unwrap_or_default();
    if memmem::find(gap, LOCAL).is_some() {
        return Err("an entry is missing from the central directory".into());
    }
    let harmless = |rest: &[u8]| rest.iter().all(|byte| *byte == 0) || (is_last && is_apk_signature(rest));
    let after = |length: usize| gap.get(length..).is_some_and(harmless);
    if harmless(gap) || entry.descriptors(gap).any(after) { Ok(()) } else { Err("there are unlisted data between the entries".into()) }
}

/// "APK Signing Block": length, pairs, length, magic (Android, "APK Signature Scheme v2").
fn is_apk_signature(gap: &[u8]) -> bool {
    let block = || {
        let length = u64_at(gap, gap.len().checked_sub(24)?)?;
        let start = gap.len().checked_sub(usize::try_from(length).ok()?.checked_add(8)?)?;
        let (padding, block) = gap.split_at_checked(start)?;
        Some(padding.iter().all(|byte| *byte == 0) && u64_at(block, 0)? == length)
    };
    gap.ends_with(b"APK Sig Block 42") && block() == Some(true)
}

/// The bytes of an entry: local header and data.
struct Occupied {
    start: usize,
    data: usize,
    end: usize,
    /// What a data descriptor must say, if there may be one.
    later: Option<Later>,
}

struct Later {
    crc: u32,
    compressed: u64,
    is_encrypted: bool,
}

impl Occupied {
    /// Lengths of the data descriptors that the bytes behind the entry can be read as (§4.3.9).
    fn descriptors<'a>(&'a self, gap: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let forms = [(4, false), (4, true), (0, false), (0, true)];
        forms.into_iter().filter_map(move |(crc_at, is_large)| {
            let later = self.later.as_ref()?;
            if crc_at == 4 && !gap.starts_with(b"PK\x07\x08") {
                return None;
            }
            let size_at = crc_at + 4;
            let (compressed, length) = if is_large { (u64_at(gap, size_at)?, size_at + 16) } else { (u32_at(gap, size_at)?.into(), size_at + 8) };
            // AE-2 entries have no checksum in the directory, but some writers put it here.
            let fits = compressed == later.compressed && (later.is_encrypted || u32_at(gap, crc_at)? == later.crc);
            (fits && gap.len() >= length).then_some(length)
        })
    }
}

/// Whether a local header starts in this range that some reader could extract: of a method that exists, with a
/// name. Nothing else counts: names, flags and sizes are what readers are careless about.
fn carries_entry(content: &[u8], from: usize, to: usize) -> bool {
    let range = content.get(from..to).unwrap_or_default();
    memmem::find_iter(range, LOCAL).any(|at| {
        let header = content.get(from + at..).unwrap_or_default();
        u16_at(header, 8).is_some_and(|method| matches!(method, 0..=20 | 93..=99)) && u16_at(header, 26).is_some_and(|name| name > 0)
    })
}

/// Where the data of an entry lie.
pub(super) fn data_of(content: &[u8], slot: &Slot) -> Option<Range<usize>> {
    let start = local_at(content, usize::try_from(slot.local).ok()?)?.end;
    let end = start.checked_add(usize::try_from(slot.compressed).ok()?)?;
    (end <= content.len()).then_some(start..end)
}

/// Compares one entry's headers; gives the bytes it occupies.
fn check_entry(content: &[u8], slot: &Slot) -> Result<Occupied, String> {
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
    let data = data_of(content, slot).ok_or_else(missing)?;
    if carries_entry(content, at + LOCAL.len(), data.start) {
        return Err("an entry is hidden in a local header".into());
    }
    let raw = content.get(data.clone()).unwrap_or_default();
    match local.method {
        // Where such data end only the directory says. Without a signature in them there is one answer only.
        0 if later && local.compressed == 0 && SIGNATURES.iter().any(|signature| memmem::find(raw, signature).is_some()) => {
            return Err("stored data of unknown length contain records of an archive".into());
        }
        // Stored data are a child as they are; how far deflated data go is measured when they are read.
        0 => {}
        DEFLATED if !slot.is_encrypted => {}
        // Other decoders do not tell where their input ends, so nothing may follow there.
        _ if carries_entry(content, data.start, data.end) => return Err("an entry is hidden behind compressed data".into()),
        _ => {}
    }
    let may_follow = later || central.flags & 8 != 0;
    let later = may_follow.then_some(Later { crc: central.crc, compressed: slot.compressed, is_encrypted: slot.is_encrypted });
    Ok(Occupied { start: at, data: data.start, end: data.end, later })
}
