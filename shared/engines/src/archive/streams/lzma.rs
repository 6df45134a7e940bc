//! LZMA with its 13-byte header (`.lzma`): properties, dictionary size, uncompressed size. It has no signature.

use std::io::{self, Read, Write};

use lzma_rust2::LzmaReader;

use super::{DECODER_KIB, Member, Stream};
use crate::archive::sink::pump;

pub(super) const LZMA: Stream =
    Stream { mime: "application/x-lzma", padding: None, suffixes: &[(".tar.lzma", ".tar"), (".tlz", ".tar"), (".lzma", "")], begins, member };

/// A dictionary of 2ⁿ or 2ⁿ+2ⁿ⁻¹ bytes, a possible size, and the range coder's first byte, which is always 0: the same test as
/// in LZMA Utils. With other properties than every encoder writes (lc=3, lp=0, pb=2) its beginning must decode as well.
fn begins(content: &[u8]) -> bool {
    let Some((header, rest)) = content.split_first_chunk::<13>() else { return false };
    let [props, d0, d1, d2, d3, size @ ..] = *header;
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    let size = u64::from_le_bytes(size);
    let is_usual = dictionary.is_power_of_two() || (dictionary.count_ones() == 2 && (dictionary & (dictionary >> 1)) != 0);
    let is_possible = (is_usual || dictionary == u32::MAX) && (size == u64::MAX || size < 1 << 38) && rest.first() == Some(&0);
    is_possible && ((props == 0x5d && dictionary >= 4096) || decodes(content))
}

/// Whether the first 4 KiB, or all there is, can be decoded.
fn decodes(content: &[u8]) -> bool {
    let Ok(mut decoder) = LzmaReader::new_mem_limit(content, DECODER_KIB, None) else { return false };
    let (mut head, mut filled) = ([0; 4096], 0);
    while let Some(free) = head.get_mut(filled..).filter(|free| !free.is_empty()) {
        match decoder.read(free) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(_) => return false,
        }
    }
    filled > 0
}

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    let mut decoder = LzmaReader::new_mem_limit(content, DECODER_KIB, None)?;
    pump(&mut decoder, to)?;
    let (behind, buffered) = decoder.into_parts();
    Ok(Member::decoded(content.len() - behind.len() - buffered.len()))
}
