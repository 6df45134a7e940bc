//! `compress.exe` of MS-DOS and Windows (`SZDD`): LZSS with a window of 4096 bytes.

use std::io::{self, Write};

use super::{Member, Stream};
use crate::archive::sink::CHUNK;

const MAGIC: &[u8] = b"SZDD\x88\xf0\x27\x33A";
const HEADER: usize = 14;
const WINDOW: usize = 4096;

/// The last character of the extension is `_`; the header has the one it replaced, which is not told here.
pub(super) const SZDD: Stream =
    Stream { mime: "application/x-ms-compress-szdd", padding: None, suffixes: &[], begins: |content| content.starts_with(MAGIC), member };

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    let size = content.get(10..).and_then(|rest| rest.first_chunk::<4>()).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut left = usize::try_from(u32::from_le_bytes(*size)).map_err(io::Error::other)?;
    let mut window = [b' '; WINDOW];
    let (mut at, mut place) = (HEADER, WINDOW - 16);
    let mut out = Vec::with_capacity(CHUNK);
    let next = |at: &mut usize| -> io::Result<u8> {
        let byte = *content.get(*at).ok_or(io::ErrorKind::UnexpectedEof)?;
        *at += 1;
        Ok(byte)
    };
    let mut bits = 1_u32;
    while left > 0 {
        if bits == 1 {
            bits = 0x100 | u32::from(next(&mut at)?);
        }
        let is_literal = bits & 1 == 1;
        bits >>= 1;
        let (mut from, length) = if is_literal {
            let byte = next(&mut at)?;
            if let Some(slot) = window.get_mut(place) {
                *slot = byte;
            }
            (place, 1)
        } else {
            let (low, high) = (usize::from(next(&mut at)?), usize::from(next(&mut at)?));
            (low | (high & 0xf0) << 4, (high & 0x0f) + 3)
        };
        for _ in 0..length.min(left) {
            let byte = window.get(from).copied().unwrap_or_default();
            if let Some(slot) = window.get_mut(place) {
                *slot = byte;
            }
            out.push(byte);
            (from, place) = ((from + 1) % WINDOW, (place + 1) % WINDOW);
            left -= 1;
        }
        if out.len() >= CHUNK {
            to.write_all(&out)?;
            out.clear();
        }
    }
    to.write_all(&out)?;
    Ok(Member::decoded(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_matches_are_decoded_and_cuts_are_told() {
        // "abcabcabcabc": three literals, then a match of nine bytes at the place of the first one (4080).
        let file = [MAGIC, b"_", &12_u32.to_le_bytes(), &[0b0111], b"abc", &[0xf0, 0xf0 | 6]].concat();
        let mut out = Vec::new();
        let member = member(&file, &mut out).unwrap();
        assert_eq!((out.as_slice(), member.used), (&b"abcabcabcabc"[..], file.len()));
        for cut in HEADER..file.len() {
            assert!(super::member(&file[..cut], &mut Vec::new()).is_err(), "{cut}");
        }
    }
}
