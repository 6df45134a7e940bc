//! LZ4 frames (LZ4 Frame Format Description 1.6.4).

use std::io::{self, Write};

use lz4_flex::frame::FrameDecoder;

use super::{Member, Stream, zstd};
use crate::archive::sink::pump;

const MAGIC: &[u8] = b"\x04\x22\x4d\x18";

/// Frames of the format before the frame format, without checksums or an end.
pub(in crate::archive) fn is_legacy(content: &[u8]) -> bool {
    zstd::frames_begin(content, b"\x02\x21\x4c\x18")
}

pub(super) const LZ4: Stream = Stream {
    mime: "application/x-lz4",
    padding: None,
    suffixes: &[(".tar.lz4", ".tar"), (".lz4", "")],
    begins: |content| zstd::frames_begin(content, MAGIC),
    member,
};

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    if let Some(used) = zstd::skippable(content) {
        return Ok(Member { used, skipped: true });
    }
    // The library takes a frame that is cut off between two blocks for whole, so its end is found here.
    let used = length(content).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut decoder = FrameDecoder::new(content.get(..used).unwrap_or_default());
    loop {
        let before = decoder.get_ref().len();
        pump(&mut decoder, to)?;
        // A block without content looks like the end to the library.
        match decoder.get_ref().len() {
            0 => return Ok(Member::decoded(used)),
            left if left == before => return Err(io::Error::other("the frame can not be decoded to its end")),
            _ => {}
        }
    }
}

/// Length of the frame, end mark and checksum included.
fn length(content: &[u8]) -> Option<usize> {
    content.starts_with(MAGIC).then_some(())?;
    let flags = *content.get(4)?;
    let has = |bit: u8| flags & bit != 0;
    let mut at = 7 + if has(8) { 8 } else { 0 } + if has(1) { 4 } else { 0 };
    loop {
        let size = u32::from_le_bytes(content.get(at..)?.first_chunk::<4>().copied()?);
        at += 4;
        if size == 0 {
            at += if has(4) { 4 } else { 0 };
            return (at <= content.len()).then_some(at);
        }
        let size = usize::try_from(size & 0x7fff_ffff).ok()?;
        at = at.checked_add(size)?.checked_add(if has(16) { 4 } else { 0 })?;
    }
}
