//! Where blocks lie in a RAR archive, read from the raw bytes (technotes of RAR 4 and of RAR 5.0).

use rars::Archive;

const RAR4: &[u8] = b"Rar!\x1a\x07\x00";
const RAR5: &[u8] = b"Rar!\x1a\x07\x01\x00";
/// Longest header that is believed (RAR 5 technote: 2 MiB).
const MAX_HEADER: u64 = 2 * 1024 * 1024;

struct Block {
    kind: u64,
    flags: u64,
    /// Where the header's own fields begin, behind type, flags and sizes.
    fields: usize,
    /// Where the next block begins.
    next: u64,
}

/// Whether an archive begins here: the signature, and a first header whose checksum is right.
pub(in crate::archive) fn begins(content: &[u8]) -> bool {
    let first =
        if content.starts_with(RAR5) { block5(content, RAR5.len()) } else { block4(content, RAR4.len()).filter(|_| content.starts_with(RAR4)) };
    first.is_some()
}

/// Whether the archive is one of RAR 5 or later.
pub(super) fn is_5(content: &[u8]) -> bool {
    content.starts_with(RAR5)
}

/// log₂ of the rounds that make a key for the headers, if they are encrypted (RAR 5).
pub(super) fn key_rounds_log(content: &[u8]) -> Option<u8> {
    let block = content.starts_with(RAR5).then(|| block5(content, RAR5.len())).flatten().filter(|block| block.kind == 4)?;
    let (_, at) = vint(content, block.fields)?;
    let (_, at) = vint(content, at)?;
    content.get(at).copied()
}

/// Where an archive ends.
pub(super) enum End {
    /// Behind its end block.
    Marked(usize),
    /// Where no sound block follows. Archives before RAR 3 have no end block; later ones are cut off.
    Unmarked(usize),
    /// Nowhere: the last block goes on behind the end of the content.
    Cut,
    /// Unknown before the headers are decrypted: [`locked_end`].
    Locked,
}

/// Where the archive that begins here ends.
pub(super) fn end(content: &[u8]) -> End {
    let is_5 = is_5(content);
    let mut at = if is_5 { RAR5.len() } else { RAR4.len() };
    loop {
        let found = if is_5 { block5(content, at) } else { block4(content, at) };
        let Some(block) = found else { return End::Unmarked(at) };
        let is_encrypted = if is_5 { block.kind == 4 } else { block.kind == 0x73 && block.flags & 0x80 != 0 };
        if is_encrypted {
            return End::Locked;
        }
        let Some(next) = usize::try_from(block.next).ok().filter(|next| *next <= content.len()) else { return End::Cut };
        at = next;
        if block.kind == if is_5 { 5 } else { 0x7b } {
            return End::Marked(at);
        }
    }
}

/// Where an archive with encrypted headers ends: behind its end block, in which each header follows what its key is made
/// unlike others with (RAR 5: the vector of 16 bytes; RAR 3: a salt of 8), and is padded to 16 bytes.
pub(super) fn locked_end(archive: &Archive) -> Option<usize> {
    match archive {
        Archive::Rar50Plus(archive) => archive.blocks.iter().find_map(|block| match block {
            rars::rar50::Block::End(end) => Some(end.block.data_range.end),
            _ => None,
        }),
        Archive::Rar15To40(archive) => archive.blocks.iter().find_map(|block| match block {
            rars::rar15_40::Block::End(end) => end.offset.checked_add(8 + usize::from(end.head_size).next_multiple_of(16)),
            _ => None,
        }),
        _ => None,
    }
}

/// A number of 7 bits a byte, and where it ends.
fn vint(content: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (n, byte) in content.get(at..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * n).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, at + n + 1));
        }
    }
    None
}

fn block5(content: &[u8], at: usize) -> Option<Block> {
    let stated = u32::from_le_bytes(*content.get(at..)?.first_chunk::<4>()?);
    let (size, start) = vint(content, at + 4)?;
    let size = usize::try_from(size).ok().filter(|size| *size as u64 <= MAX_HEADER)?;
    let header = content.get(at + 4..start.checked_add(size)?)?;
    (crc32fast::hash(header) == stated).then_some(())?;
    let (kind, next) = vint(content, start)?;
    let (flags, mut next) = vint(content, next)?;
    let mut data = 0;
    if flags & 1 != 0 {
        next = vint(content, next)?.1;
    }
    if flags & 2 != 0 {
        (data, next) = vint(content, next)?;
    }
    Some(Block { kind, flags, fields: next, next: (start as u64 + size as u64).saturating_add(data) })
}

fn block4(content: &[u8], at: usize) -> Option<Block> {
    let block = content.get(at..)?;
    let short = |from: usize| Some(u16::from_le_bytes(*block.get(from..)?.first_chunk::<2>()?));
    let word = |from: usize| Some(u64::from(u32::from_le_bytes(*block.get(from..)?.first_chunk::<4>()?)));
    let (stated, kind, flags, size) = (short(0)?, *block.get(2)?, short(3)?, usize::from(short(5)?));
    let header = block.get(2..size).filter(|_| size >= 7 && (0x72..=0x7b).contains(&kind))?;
    // The checksum of a main header leaves an archive comment in it out; the low half of CRC-32 is used.
    let summed = if kind == 0x73 { block.get(2..13)? } else { header };
    (crc32fast::hash(summed) & 0xffff == u32::from(stated) || kind != 0x73).then_some(())?;
    let mut data = if flags & 0x8000 != 0 { word(7)? } else { 0 };
    if matches!(kind, 0x74 | 0x7a) && flags & 0x100 != 0 {
        data = data.checked_add(word(32)? << 32)?;
    }
    Some(Block { kind: kind.into(), flags: flags.into(), fields: at + 7, next: ((at + size) as u64).saturating_add(data) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_says_it_has_all_bytes_there_are_ends_nowhere() {
        // A file header of RAR 4 whose packed size has 64 bits, all of them set.
        let mut header = vec![0x74, 0x00, 0x81, 40, 0];
        header.extend([0xff; 4]);
        header.resize(30, 0);
        header.extend([0xff; 4]);
        header.resize(38, 0);
        let sum = u16::try_from(crc32fast::hash(&header) & 0xffff).unwrap();
        let archive = [RAR4, &sum.to_le_bytes(), &header].concat();
        assert_eq!(block4(&archive, RAR4.len()).unwrap().next, u64::MAX);
        assert!(matches!(end(&archive), End::Cut));
    }
}
