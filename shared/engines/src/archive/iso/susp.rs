//! What Rock Ridge and others write behind a directory record (IEEE P1281, "System Use Sharing Protocol").
//!
//! Readers differ in where they begin. What always holds: an entry that any of them sees is seen.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::archive::sink::Stop;

/// Areas that continue one another; Linux gives up behind 32.
const AREAS: usize = 32;
/// Bytes of the attributes of CD-ROM XA, which may stand in front of the entries.
const XA: usize = 14;

/// An entry of a system use area.
#[derive(Clone, Copy)]
pub(super) struct Entry<'c> {
    /// Its signature.
    pub(super) kind: &'c [u8],
    /// What follows signature, length and version.
    pub(super) data: &'c [u8],
}

/// A number in both byte orders; the first is the little one.
pub(super) fn word(data: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*data.get(at..)?.first_chunk::<4>()?)).ok()
}

/// Entries of one area, by where they stand in it. One that is too short for a version is still stepped over, as Linux does.
fn split(area: &[u8], start: usize) -> impl Iterator<Item = (usize, Entry<'_>)> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = area.get(at..)?;
        let length = usize::from(*rest.get(2)?);
        let entry = rest.get(..length).filter(|_| length >= 3)?;
        at += length;
        Some((at - length, Entry { kind: entry.get(..2)?, data: entry.get(4..).unwrap_or_default() }))
    })
}

/// How many bytes stand in front of the entries of all records, by the root's own record (§5.3 `SP`).
pub(super) fn skipped(system: &[u8]) -> usize {
    let found = [0, XA].into_iter().flat_map(|start| split(system, start)).find(|(_, entry)| entry.kind == b"SP");
    found.and_then(|(_, entry)| entry.data.strip_prefix(b"\xbe\xef")?.first().copied()).map_or(0, usize::from)
}

/// All entries of a record, also those that stand in continuation areas (`CE`, §5.1), and where these areas lie.
pub(super) fn entries<'c>(content: &'c [u8], system: &'c [u8], skipped: usize, block: usize) -> Result<(Vec<Entry<'c>>, Vec<Range<usize>>), Stop> {
    let own: BTreeMap<usize, Entry<'c>> = [skipped, 0, XA].into_iter().flat_map(|start| split(system, start)).collect();
    let mut found: Vec<Entry<'c>> = own.into_values().collect();
    let mut areas = Vec::new();
    let mut at = 0;
    while let Some(entry) = found.get(at).copied() {
        at += 1;
        if entry.kind != b"CE" {
            continue;
        }
        if areas.len() == AREAS {
            return Err(Stop::corrupt("the continuation areas of a directory record do not end"));
        }
        let area = || {
            let start = word(entry.data, 0)?.checked_mul(block)?.checked_add(word(entry.data, 8)?)?;
            // It lies in one block, so a record can not name the whole image.
            let size = word(entry.data, 16).filter(|size| *size <= block)?;
            Some((start..start.checked_add(size)?, content.get(start..start.checked_add(size)?)?))
        };
        let (range, bytes) = area().ok_or_else(|| Stop::corrupt("a continuation area lies outside the image, or is longer than a block"))?;
        areas.push(range);
        found.extend(split(bytes, 0).map(|(_, entry)| entry));
    }
    Ok((found, areas))
}
