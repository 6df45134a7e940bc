//! All objects of a PDF, wherever they stand.
//!
//! Readers repair cross-reference tables, keep old revisions, and find objects that no table lists; so the file is
//! searched for objects from its first byte to its last. What always holds: each byte is read a bounded number of
//! times, or the file is refused.

use std::borrow::Cow;

use memchr::memmem;

use super::lexer::{Lexer, Value, is_space};
use crate::archive::sink::Stop;

/// Times the file may be read; objects that swallow what follows them cost more than their own length.
const PASSES: usize = 16;
/// Streams of one file.
const STREAMS: usize = 200_000;

/// An object with its number.
pub(super) struct Object<'c> {
    pub(super) number: u32,
    pub(super) value: Value,
    /// Bytes of the stream, as stored.
    pub(super) stream: Option<Cow<'c, [u8]>>,
}

/// Calls `found` with every object. Gives whether there was any, and whether the file says that it is encrypted.
pub(super) fn search<'c>(content: &'c [u8], found: &mut dyn FnMut(Object<'c>) -> Result<(), Stop>) -> Result<(bool, bool), Stop> {
    let ends: Vec<usize> = memmem::find_iter(content, b"endstream").collect();
    let budget = content.len().saturating_mul(PASSES).saturating_add(1024 * 1024);
    let (mut spent, mut streams) = (0_usize, 0);
    let (mut any, mut is_encrypted) = (false, is_trailer_encrypted(content));
    for at in memmem::find_iter(content, b"obj") {
        let Some(number) = number_before(content, at) else { continue };
        let mut lexer = Lexer::new(content, at + 3);
        let Some(value) = lexer.value() else { continue };
        any = true;
        spent = spent.saturating_add(lexer.at - at);
        if spent > budget {
            return Err(Stop::corrupt("the objects of the PDF overlap"));
        }
        is_encrypted |= value.is_name("Type", "XRef") && value.get("Encrypt").is_some();
        let stream = if lexer.keyword(b"stream") { Some(Cow::Borrowed(data(content, lexer.at, &value, &ends))) } else { None };
        streams += usize::from(stream.is_some());
        if streams > STREAMS {
            return Err(Stop::corrupt(format!("the PDF has more than {STREAMS} streams")));
        }
        found(Object { number, value, stream })?;
    }
    Ok((any, is_encrypted))
}

/// `12 0 ` in front of `obj`.
fn number_before(content: &[u8], at: usize) -> Option<u32> {
    let head = content.get(at.saturating_sub(48)..at)?;
    let strip = |bytes: &'_ [u8], test: fn(u8) -> bool| bytes.iter().rev().take_while(|byte| test(**byte)).count();
    let blanks = strip(head, is_space);
    let head = head.get(..head.len() - blanks)?;
    let generation = strip(head, |byte| byte.is_ascii_digit());
    let head = head.get(..head.len() - generation)?;
    let middle = strip(head, is_space);
    let head = head.get(..head.len() - middle)?;
    let number = strip(head, |byte| byte.is_ascii_digit());
    if generation == 0 || middle == 0 || number == 0 {
        return None;
    }
    std::str::from_utf8(head.get(head.len() - number..)?).ok()?.parse().ok()
}

/// The data behind `stream`: as long as the dictionary says if that is right, or else up to `endstream`.
fn data<'c>(content: &'c [u8], at: usize, value: &Value, ends: &[usize]) -> &'c [u8] {
    let rest = content.get(at..).unwrap_or_default();
    let start = at
        + match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            _ => 0,
        };
    let rest = content.get(start..).unwrap_or_default();
    if let Some(length) = value.get("Length").and_then(Value::number).and_then(|length| usize::try_from(length).ok())
        && let Some((data, behind)) = rest.split_at_checked(length)
        && behind.get(..16).unwrap_or(behind).trim_ascii_start().starts_with(b"endst")
    {
        return data;
    }
    let end = ends.get(ends.partition_point(|end| *end < start)).copied().unwrap_or(content.len());
    content.get(start..end).unwrap_or_default()
}

/// Whether a trailer names an encryption dictionary.
fn is_trailer_encrypted(content: &[u8]) -> bool {
    memmem::find_iter(content, b"trailer").take(1_000).any(|at| {
        let upto = content.len().min(at + 64 * 1024);
        let mut lexer = Lexer::new(content.get(..upto).unwrap_or_default(), at + 7);
        lexer.value().is_some_and(|value| value.get("Encrypt").is_some())
    })
}

/// The objects in an object stream (ISO 32000-1, §7.5.7), of its decoded content.
pub(super) fn inside(dictionary: &Value, decoded: &[u8], found: &mut dyn FnMut(Object<'static>) -> Result<(), Stop>) -> Result<(), Stop> {
    let first = dictionary.get("First").and_then(Value::number).and_then(|first| usize::try_from(first).ok()).unwrap_or(0);
    let mut header = Lexer::new(decoded.get(..first).unwrap_or(decoded), 0);
    let mut budget = decoded.len().saturating_mul(PASSES).saturating_add(1024 * 1024);
    while let (Some(Value::Number(number)), Some(Value::Number(offset))) = (header.value(), header.value()) {
        let (Ok(number), Ok(offset)) = (u32::try_from(number), usize::try_from(offset)) else { continue };
        let start = first.saturating_add(offset);
        let mut lexer = Lexer::new(decoded, start);
        let Some(value) = lexer.value() else { continue };
        budget = budget.checked_sub(lexer.at.saturating_sub(start)).ok_or_else(|| Stop::corrupt("the objects of the PDF overlap"))?;
        found(Object { number, value, stream: None })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &[u8]) -> Vec<(u32, Option<Vec<u8>>)> {
        let mut out = Vec::new();
        search(content, &mut |object| {
            out.push((object.number, object.stream.map(Cow::into_owned)));
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn objects_are_found_without_a_table() {
        let pdf = b"%PDF-1.4\n1 0 obj<</Length 3>>stream\r\nabc\nendstream endobj\n2 0 obj\n<</Length 9 0 R>>\nstream\nxyz\nendstream\n33 0 obj (t) endobj 4 0 objx";
        assert_eq!(all(pdf), [(1, Some(b"abc".into())), (2, Some(b"xyz\n".into())), (33, None)]);
    }

    #[test]
    fn a_wrong_length_and_a_missing_end() {
        assert_eq!(all(b"1 0 obj<</Length 99>>stream\nabc\nendstream"), [(1, Some(b"abc\n".into()))]);
        assert_eq!(all(b"1 0 obj<</Length 2>>stream\nabc"), [(1, Some(b"abc".into()))]);
        assert_eq!(all(b"1 0 obj<</Length 19>>stream\nabc endstream 12345endstream"), [(1, Some(b"abc endstream 12345".into()))]);
    }

    #[test]
    fn objects_that_swallow_all_others_are_refused() {
        let pdf = b"1 0 obj (".repeat(20_000);
        assert!(matches!(search(&pdf, &mut |_| Ok(())), Err(Stop::Corrupt(_))));
    }
}
