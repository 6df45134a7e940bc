//! Texts as the interpreter sees them, without UTF-16's zeros; and what is encoded in them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Encoded commands decoded of one script.
const MAX_COMMANDS: usize = 50;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// Every byte a character, without zeros.
pub(super) fn text(content: &[u8]) -> String {
    content.iter().filter(|b| **b != 0).map(|b| char::from(*b)).collect()
}

/// What `powershell -EncodedCommand` would run, lower case. Takes the original, because base64 has two cases.
pub(super) fn commands(original: &str) -> Vec<String> {
    let words = original.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '(' | ')' | '>' | '<'));
    let is_base64 = |word: &&str| word.len() >= 24 && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    words.filter(is_base64).take(MAX_COMMANDS).filter_map(decode).collect()
}

fn decode(word: &str) -> Option<String> {
    let bytes = LENIENT.decode(word).ok()?;
    let wide = bytes.len() > 8 && bytes.iter().skip(1).step_by(2).filter(|b| **b == 0).count() * 3 > bytes.len();
    wide.then(|| text(&bytes).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_commands() {
        assert_eq!(commands("powershell -enc \"VwByAGkAdABlAC0ASABvAHMAdAAgACIAeAAiAA==\""), ["write-host \"x\""]);
        assert!(commands("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=").is_empty(), "no UTF-16");
        assert_eq!(text(b"A\0b\0C\0"), "AbC");
    }
}
