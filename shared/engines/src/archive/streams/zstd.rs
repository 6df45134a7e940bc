//! Zstandard (RFC 8878).

use std::io::{self, Write};

use zstd::stream::read::Decoder;

use super::{Member, Stream};
use crate::archive::sink::pump;

/// log₂ of the largest window: 128 MiB, what `zstd --long` writes and the tool itself reads without being told.
const WINDOW_LOG: u32 = 27;

pub(super) const ZSTD: Stream = Stream {
    mime: "application/zstd",
    padding: None,
    suffixes: &[(".tar.zst", ".tar"), (".tzst", ".tar"), (".zst", "")],
    begins: |content| frames_begin(content, b"\x28\xb5\x2f\xfd"),
    member,
};

/// Whether frames of this magic begin here, perhaps behind skippable ones (which LZ4 and Zstandard share, RFC 8878 §3.1.2).
pub(super) fn frames_begin(mut content: &[u8], magic: &[u8]) -> bool {
    while let Some(length) = skippable(content) {
        content = content.get(length..).unwrap_or_default();
    }
    content.starts_with(magic)
}

/// Length of the skippable frame that begins here.
pub(super) fn skippable(content: &[u8]) -> Option<usize> {
    let (magic, rest) = content.split_first_chunk::<4>()?;
    let (size, _) = rest.split_first_chunk::<4>()?;
    let is_skippable = u32::from_le_bytes(*magic) & 0xffff_fff0 == 0x184d_2a50;
    let length = usize::try_from(u32::from_le_bytes(*size)).ok()?.checked_add(8)?;
    (is_skippable && length <= content.len()).then_some(length)
}

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    if let Some(used) = skippable(content) {
        return Ok(Member { used, skipped: true });
    }
    let mut decoder = Decoder::with_buffer(content)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    pump(&mut decoder, to)?;
    Ok(Member::decoded(content.len() - decoder.finish().len()))
}
