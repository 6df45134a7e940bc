//! File names from outside: decoding what clients send, and making them safe to show.
//!
//! Names are display text only; nothing is ever stored or opened under one.

use percent_encoding::percent_decode;

/// Longest name shown, in characters; a longer one keeps its beginning and its end (the extension).
const LONGEST: usize = 1200;
const KEPT_TAIL: usize = 200;

/// Decodes a header value: percent escapes leniently (an invalid escape stays as it is), then UTF-8, else latin-1 (contract §0.2).
pub fn decode_header(raw: &[u8]) -> String {
    let bytes: Vec<u8> = percent_decode(raw).collect();
    match String::from_utf8(bytes) {
        Ok(text) => text,
        // ISO 8859-1: each byte is the code point of the same value.
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    }
}

/// The name as results show it: without control and bidirectional formatting characters (they can forge log
/// lines and hide an extension), without `<` and `>` (contract §4.1), and not endless. Everything else stays.
pub fn display(name: &str) -> String {
    let clean: Vec<char> = name.chars().filter(|c| !is_deceptive(*c) && !matches!(c, '<' | '>')).collect();
    if clean.len() <= LONGEST {
        return clean.into_iter().collect();
    }
    let (head, tail) = (clean.get(..LONGEST - KEPT_TAIL - 1).unwrap_or_default(), clean.get(clean.len() - KEPT_TAIL..).unwrap_or_default());
    head.iter().chain(std::iter::once(&'…')).chain(tail).collect()
}

/// Control characters, and those that change the direction of text or are invisible (Unicode UAX #9, zero width).
pub fn is_deceptive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_percent_utf8_and_latin1() {
        assert_eq!(decode_header(b"a%20b.pdf"), "a b.pdf");
        assert_eq!(decode_header(b"bkt::dir/key.txt"), "bkt::dir/key.txt");
        assert_eq!(decode_header(b"100%zz"), "100%zz");
        assert_eq!(decode_header("gr\u{fc}n".as_bytes()), "grün");
        assert_eq!(decode_header(b"gr\xfcn"), "grün");
    }

    #[test]
    fn shows_no_control_or_bidi_characters_and_keeps_the_extension() {
        assert_eq!(display("a\r\nSet-Cookie: x"), "aSet-Cookie: x");
        assert_eq!(display("inv\u{202e}fdp.exe"), "invfdp.exe");
        assert_eq!(display("<b>.txt"), "b.txt");
        let long = format!("{}.docx", "x".repeat(5000));
        assert!(display(&long).chars().count() <= LONGEST);
        assert!(display(&long).ends_with("x.docx"));
    }
}
