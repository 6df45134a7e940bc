//! The bytes of a stream: where they begin is clear, where they end is not.
//!
//! What always holds: no reader sees more of a stream than is looked at here. Readers go by `/Length` if `endstream`
//! follows there, or else by the first `endstream`; a `/Length` that is an object of its own can be one of several.

use std::borrow::Cow;
use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};

use super::filters::MOST;
use super::lexer::Value;

/// Numbers that are objects of their own, all of each number.
pub(super) type Numbers = HashMap<u32, Vec<i64>>;

/// What follows the word `stream`.
pub(super) struct Body<'c> {
    /// All that may belong to it.
    rest: Cow<'c, [u8]>,
    /// Bytes up to the first `endstream`.
    first: usize,
}

impl Body<'static> {
    /// Of a stream whose end is known.
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self { first: bytes.len(), rest: Cow::Owned(bytes) }
    }
}

impl<'c> Body<'c> {
    /// From here on. `ends` are the places of all `endstream`.
    pub(super) fn stored(content: &'c [u8], start: usize, ends: &[usize]) -> Self {
        let first = ends.get(ends.partition_point(|end| *end < start)).copied().unwrap_or(content.len());
        Self { rest: Cow::Borrowed(content.get(start..).unwrap_or_default()), first: first.saturating_sub(start) }
    }

    /// The stored bytes. `is_flate`: they are read by a decoder that knows where its input ends.
    pub(super) fn data(&self, dictionary: &Value, numbers: &Numbers, is_flate: bool) -> &[u8] {
        if let Cow::Owned(bytes) = &self.rest {
            return bytes;
        }
        let mut is_sure = true;
        let mut lengths = Vec::new();
        for length in dictionary.all("Length") {
            match length {
                Value::Number(number) => lengths.push(*number),
                Value::Reference(number) => {
                    is_sure = false;
                    lengths.extend(numbers.get(number).into_iter().flatten());
                }
                _ => is_sure = false,
            }
        }
        // Of several the longest: it begins with the others.
        let told = lengths.iter().filter_map(|length| usize::try_from(*length).ok()).filter(|length| self.ends_at(*length)).max();
        let length = match told {
            Some(told) if is_sure || !is_flate => told,
            _ if is_flate => told.unwrap_or_default().max(self.first).max(extent(&self.rest)),
            _ => self.first,
        };
        self.rest.get(..length).unwrap_or(&self.rest)
    }

    fn ends_at(&self, length: usize) -> bool {
        self.rest.get(length..).is_some_and(|behind| behind.get(..16).unwrap_or(behind).trim_ascii_start().starts_with(b"endst"))
    }
}

/// How many bytes a zlib stream takes, as far as it can be decoded.
fn extent(data: &[u8]) -> usize {
    let mut decoder = Decompress::new(true);
    let mut out = vec![0; 64 * 1024];
    let place = |decoder: &Decompress| usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
    loop {
        let (before, written) = (place(&decoder), decoder.total_out());
        let status = decoder.decompress(data.get(before..).unwrap_or_default(), &mut out, FlushDecompress::None);
        let is_stuck = place(&decoder) == before && decoder.total_out() == written;
        if !matches!(status, Ok(Status::Ok)) || is_stuck || decoder.total_out() > MOST as u64 {
            return place(&decoder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::Lexer;
    use super::*;

    fn data(content: &[u8], numbers: &[(u32, &[i64])], is_flate: bool) -> Vec<u8> {
        let mut lexer = Lexer::new(content, 0);
        let dictionary = lexer.value().unwrap();
        assert!(lexer.keyword(b"stream"));
        lexer.skip();
        let ends: Vec<usize> = memchr::memmem::find_iter(content, b"endstream").collect();
        let numbers = numbers.iter().map(|(number, values)| (*number, values.to_vec())).collect();
        Body::stored(content, lexer.at, &ends).data(&dictionary, &numbers, is_flate).to_vec()
    }

    #[test]
    fn a_right_length_a_wrong_one_and_a_missing_end() {
        assert_eq!(data(b"<</Length 3>>stream\r\nabc\nendstream", &[], false), b"abc");
        assert_eq!(data(b"<</Length 99>>stream\nabc\nendstream", &[], false), b"abc\n");
        assert_eq!(data(b"<</Length 2>>stream\nabc", &[], false), b"abc");
        assert_eq!(data(b"<</Length 19>>stream\nabc endstream 12345endstream", &[], false), b"abc endstream 12345");
    }

    #[test]
    fn a_length_elsewhere_is_each_that_fits_and_the_longest_counts() {
        let stream = b"<</Length 9 0 R>>\nstream\nabc endstream 12345endstream";
        assert_eq!(data(stream, &[], false), b"abc ");
        assert_eq!(data(stream, &[(9, &[19])], false), b"abc endstream 12345");
        assert_eq!(data(stream, &[(9, &[19, 4, 7])], false), b"abc endstream 12345");
        assert_eq!(data(b"<</Length 4/Length 19>>stream\nabc endstream 12345endstream", &[], false), b"abc endstream 12345");
    }

    #[test]
    fn a_zlib_stream_ends_where_it_ends() {
        // A stored block with the word in it, and another behind.
        let block = |last: u8, text: &[u8]| {
            let length = u16::try_from(text.len()).unwrap();
            [&[last][..], &length.to_le_bytes(), &(!length).to_le_bytes(), text].concat()
        };
        let zlib = [&[0x78, 0x01][..], &block(0, b"x endstream y"), &block(1, b"rest"), &[0; 4]].concat();
        for length in ["9 0 R", "1", "/none"] {
            let stream = [b"<</Length ".as_slice(), length.as_bytes(), b">>stream\n", &zlib, b"\nendstream endobj"].concat();
            let found = data(&stream, &[(9, &[9])], true);
            assert!(found.starts_with(&zlib[..zlib.len() - 4]), "{length}: {found:?}");
        }
    }
}
