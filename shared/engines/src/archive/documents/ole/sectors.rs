//! How far a compound file reaches, by its own table of sectors.

/// A sector nobody uses ([MS-CFB] §2.1).
const FREE: u32 = 0xffff_ffff;
/// Sectors of the table that the header itself names; more stand in a chain of sectors (§2.2, §2.5).
const IN_HEADER: usize = 109;

fn u32_at(content: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(content.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Where the last sector ends that is in use; the end of the content where the table can not be read.
pub(super) fn end(content: &[u8]) -> usize {
    last(content).map_or(content.len(), |end| end.min(content.len()))
}

fn last(content: &[u8]) -> Option<usize> {
    let shift = u32::from(u16::from_le_bytes(content.get(30..32)?.try_into().ok()?));
    // §2.2: 512 or 4 096 bytes.
    let size = 1_usize.checked_shl(shift).filter(|size| matches!(size, 512 | 4096))?;
    // The header takes the room of one sector, or what of it 4 096 bytes leave empty.
    let sector = |number: u32| content.get((number as usize).checked_add(1)?.checked_mul(size)?..).map(|rest| rest.get(..size).unwrap_or(rest));
    let numbers = |bytes: &[u8]| bytes.chunks_exact(4).filter_map(|four| Some(u32::from_le_bytes(four.try_into().ok()?))).collect::<Vec<_>>();
    let mut table = numbers(content.get(76..76 + 4 * IN_HEADER)?);
    let mut next = u32_at(content, 68)?;
    // A chain has no more sectors than the content; one that goes in circles ends there.
    for _ in 0..content.len() / size {
        let Some(chained) = sector(next) else { break };
        let mut chained = numbers(chained);
        next = chained.pop()?;
        table.extend(chained);
    }
    let mut end = 0;
    for (position, number) in table.into_iter().take(u32_at(content, 44)? as usize).enumerate() {
        let first = position.checked_mul(size / 4)?;
        if let Some(used) = numbers(sector(number)?).iter().rposition(|entry| *entry != FREE) {
            end = first.checked_add(used)?.checked_add(2)?.checked_mul(size)?;
        }
    }
    (end > 0).then_some(end)
}
