//! What Rock Ridge and others write behind a directory record (IEEE P1281, "System Use Sharing Protocol").

use crate::archive::sink::Stop;

/// Areas that continue one another.
const AREAS: usize = 64;

/// An entry of a system use area.
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

/// All entries of a record, also those that stand in continuation areas (`CE`, §5.1).
pub(super) fn entries<'c>(content: &'c [u8], system: &'c [u8], block: usize) -> Result<Vec<Entry<'c>>, Stop> {
    let mut found = Vec::new();
    let mut open = vec![system];
    let mut areas = 0;
    while let Some(mut rest) = open.pop() {
        areas += 1;
        if areas > AREAS {
            return Err(Stop::corrupt("the continuation areas of a directory record do not end"));
        }
        while let Some(length) = rest.get(2).map(|length| usize::from(*length)).filter(|length| (4..=rest.len()).contains(length)) {
            let (entry, next) = rest.split_at(length);
            let (kind, data) = (entry.get(..2).unwrap_or_default(), entry.get(4..).unwrap_or_default());
            if kind == b"CE" {
                let area = || {
                    let start = word(data, 0)?.checked_mul(block)?.checked_add(word(data, 8)?)?;
                    content.get(start..start.checked_add(word(data, 16)?)?)
                };
                open.push(area().ok_or_else(|| Stop::corrupt("a continuation area lies outside the image"))?);
            }
            found.push(Entry { kind, data });
            rest = next;
        }
    }
    Ok(found)
}
