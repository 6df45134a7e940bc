//! Transfer encodings (RFC 2045 §6), read as the most forgiving mail programs do.

use crate::archive::documents::bytes::display;
use crate::archive::documents::uuencode;

/// The content behind a transfer encoding; `None` if it is sent as it is.
pub(super) fn decode(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        "base64" => Some(base64(body)),
        "quoted-printable" => Some(quoted_printable(body)),
        "x-uuencode" | "uuencode" | "x-uue" | "uue" => {
            let at = if body.starts_with(b"begin ") { 0 } else { memchr::memmem::find(body, b"\nbegin ")? + 1 };
            Some(uuencode::decode(body.get(at..)?).1)
        }
        _ => None,
    }
}

/// Whether [`decode`] does anything.
pub(super) fn is_known(encoding: &str) -> bool {
    matches!(encoding, "base64" | "quoted-printable" | "x-uuencode" | "uuencode" | "x-uue" | "uue")
}

/// Characters that do not belong are skipped, and data behind padding are decoded as well.
pub(in super::super) fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut word, mut bits) = (0_u32, 0);
    for byte in text {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (word, bits) = (0, 0);
                continue;
            }
            _ => continue,
        };
        word = word << 6 | u32::from(sextet);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits & 0xff) as u8);
            word &= (1 << bits) - 1;
        }
    }
    out
}

fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (before, behind) = rest.split_at(at);
        out.extend_from_slice(before);
        match behind {
            [_, b'\r', b'\n', tail @ ..] | [_, b'\n', tail @ ..] => rest = tail,
            [_, high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(digit(*high) << 4 | digit(*low));
                rest = tail;
            }
            [_, tail @ ..] => {
                // A soft line break may have blanks behind it.
                let blanks = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
                if let Some(b'\n') = tail.get(blanks) {
                    rest = tail.get(blanks + 1..).unwrap_or_default();
                } else {
                    out.push(b'=');
                    rest = tail;
                }
            }
            [] => break,
        }
    }
    out.extend_from_slice(rest);
    out
}

fn digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).map_or(0, |digit| digit.to_le_bytes()[0])
}

/// `charset'language'percent-encoded` or only percent-encoded (RFC 2231 §4).
pub(super) fn percent(text: &[u8]) -> Vec<u8> {
    let coded = text.splitn(3, |byte| *byte == b'\'').nth(2).unwrap_or(text);
    let mut out = Vec::new();
    let mut rest = coded;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(digit(*high) << 4 | digit(*low));
                rest = tail;
            }
            _ => out.push(*byte),
        }
    }
    out
}

/// Replaces the encoded words in a text (RFC 2047), for display.
pub(super) fn words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("=?") {
        let mut parts = behind.splitn(4, '?');
        let (_charset, kind, coded, tail) = (parts.next(), parts.next(), parts.next(), parts.next());
        let decoded = match kind {
            Some("B" | "b") => coded.map(|coded| base64(coded.as_bytes())),
            Some("Q" | "q") => coded.map(|coded| quoted_printable(coded.replace('_', " ").as_bytes())),
            _ => None,
        };
        let (Some(decoded), Some(tail)) = (decoded, tail.and_then(|tail| tail.strip_prefix('='))) else {
            out.push_str(before);
            out.push_str("=?");
            rest = behind;
            continue;
        };
        // Blanks between two encoded words do not count.
        if !before.trim().is_empty() {
            out.push_str(before);
        }
        out.push_str(&display(&decoded));
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_forgives() {
        assert_eq!(base64(b"aGVs\r\nbG8=\r\n"), b"hello");
        assert_eq!(base64(b"a G!V.s-bG8"), b"hello", "characters that do not belong, and no padding");
        assert_eq!(base64(b"aGU=bGxv"), b"hello", "padding in the middle");
        assert_eq!(base64(b""), b"");
    }

    #[test]
    fn quoted_printable_forgives() {
        assert_eq!(quoted_printable(b"a=3D=\r\nb=c4=zz= \r\nc="), b"a=b\xc4=zzc=");
    }
}
