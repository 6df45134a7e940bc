//! Files in text, as mails carried them before MIME (POSIX `uuencode`).

use portcullis_core::domain::report::FileType;

use super::bytes::{display, name_or};
use super::give;
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// The extractor for uuencoded files anywhere in a text.
pub(super) struct Uuencode;

impl Extractor for Uuencode {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        file_type.category == "T" && begins(content).next().is_some()
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        for (number, at) in begins(content).enumerate() {
            let block = content.get(at..).unwrap_or_default();
            let (name, data) = decode(block);
            if !data.is_empty() {
                give(sink, name_or(&name, format!("uuencode-{}", number + 1)), &data)?;
            }
        }
        Ok(())
    }
}

/// Offsets of the lines `begin <octal mode> <name>` that data follow.
fn begins(content: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memmem::find_iter(content, b"begin ").filter(move |at| {
        let is_line = *at == 0 || content.get(at - 1) == Some(&b'\n');
        let line = content.get(*at..).and_then(|rest| rest.split(|byte| *byte == b'\n').next()).unwrap_or_default();
        let mode = line.get(6..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
        is_line && line.len() < 1_000 && matches!(mode, 3..=6) && line.get(6 + mode).is_some_and(|byte| matches!(byte, b' ' | b'\t'))
    })
}

/// Name and data of a block that starts with `begin`; up to `end`, or to the first line that is none.
pub(super) fn decode(block: &[u8]) -> (String, Vec<u8>) {
    let mut lines = block.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let name = first.splitn(3, |byte| *byte == b' ').nth(2).map(display).unwrap_or_default();
    let mut data = Vec::new();
    for line in lines {
        let Some((length, rest)) = line.split_first() else { continue };
        let length = usize::from(length.wrapping_sub(b' ') & 63);
        if line == b"end" || length == 0 || line.len() > 90 {
            break;
        }
        let sextet = |byte: Option<&u8>| u32::from(byte.map_or(0, |byte| byte.wrapping_sub(b' ') & 63));
        let mut decoded = Vec::with_capacity(63);
        for four in rest.chunks(4) {
            let word = (0..4).fold(0, |word, n| word << 6 | sextet(four.get(n)));
            decoded.extend_from_slice(word.to_be_bytes().get(1..).unwrap_or_default());
        }
        decoded.truncate(length);
        data.extend_from_slice(&decoded);
    }
    (name, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_and_decoded() {
        // `printf 'hello, world\n' | uuencode x.txt`
        let text = b"some words\r\nbegin 644 x.txt\r\n-:&5L;&\\L('=O<FQD\"@  \r\n`\r\nend\r\nmore";
        let at = begins(text).next().unwrap();
        let (name, data) = decode(&text[at..]);
        assert_eq!((name.as_str(), data.as_slice()), ("x.txt", &b"hello, world\n"[..]));
        assert_eq!(begins(b"we begin 644 things\nbegin here\nbegin 12 x").count(), 0);
    }
}
