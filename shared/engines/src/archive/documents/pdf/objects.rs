//! All objects of a PDF, wherever they stand.
//!
//! Readers repair cross-reference tables, keep old revisions, and find objects that no table lists; so the file is
//! searched for objects from its first byte to its last. What always holds: each byte is read a bounded number of
//! times, or the file is refused.

use memchr::{memchr, memchr2, memmem, memrchr2};

use super::body::Body;
use super::lexer::{Lexer, Value, is_regular, is_space};
use crate::archive::sink::Stop;

/// Times the file may be read; objects that swallow what follows them cost more than their own length.
const PASSES: usize = 16;
/// Streams of one file.
const STREAMS: usize = 200_000;
/// Longest comment between the numbers of an object.
const COMMENT: usize = 4096;
/// The number of an object whose number nobody can read: no reference leads to 0 (ISO 32000-1, §7.5.4).
pub(super) const UNNAMED: u32 = 0;

/// An object with its number.
pub(super) struct Object<'c> {
    pub(super) number: u32,
    pub(super) value: Value,
    /// What follows the word `stream`.
    pub(super) stream: Option<Body<'c>>,
}

/// Calls `found` with every object. Gives whether there was any, and whether the file says that it is encrypted.
pub(super) fn search<'c>(content: &'c [u8], found: &mut dyn FnMut(Object<'c>) -> Result<(), Stop>) -> Result<(bool, bool), Stop> {
    let ends: Vec<usize> = memmem::find_iter(content, b"endstream").collect();
    let mut budget = content.len().saturating_mul(PASSES).saturating_add(1024 * 1024);
    let (mut any, mut streams, mut is_encrypted) = (false, 0, false);
    for at in memmem::find_iter(content, b"trailer") {
        let mut lexer = Lexer::new(content, at + 7);
        let value = lexer.value();
        is_encrypted |= value.is_some_and(|value| value.get("Encrypt").is_some());
        spend(&mut budget, &lexer, at)?;
    }
    let all: Vec<(usize, Before)> = memmem::find_iter(content, b"obj").map(|at| (at, number_before(content, at))).collect();
    let numbered: Vec<usize> = all.iter().filter(|(_, before)| matches!(before, Before::Number(_))).map(|(at, _)| *at).collect();
    for (at, before) in all {
        let mut lexer = Lexer::new(content, at + 3);
        let number = match before {
            Before::Number(number) => number,
            Before::Other if lexer.is_at_dictionary() => UNNAMED,
            _ => continue,
        };
        let value = lexer.value();
        spend(&mut budget, &lexer, at)?;
        let has_stream = lexer.keyword(b"stream");
        if number != UNNAMED && (!has_stream || lexer.is_unclosed) {
            let from = if has_stream { lexer.at - b"stream".len() } else { lexer.at };
            let next = numbered.get(numbered.partition_point(|next| *next < lexer.at)).copied().unwrap_or(content.len());
            let gap = content.get(from..next).unwrap_or_default();
            pay(&mut budget, gap.len())?;
            // Other readers may find the end of the dictionary elsewhere, and so a stream where here is none.
            if names_stream(gap) {
                return Err(Stop::corrupt("an object of the PDF is not closed in front of its stream"));
            }
        }
        let Some(value) = value else { continue };
        any = true;
        is_encrypted |= value.is_name("Type", "XRef") && value.get("Encrypt").is_some();
        if !has_stream {
            found(Object { number, value, stream: None })?;
            continue;
        }
        for start in starts(content, lexer.at) {
            streams += 1;
            if streams > STREAMS {
                return Err(Stop::corrupt(format!("the PDF has more than {STREAMS} streams")));
            }
            pay(&mut budget, start - lexer.at)?;
            found(Object { number, value: value.clone(), stream: Some(Body::stored(content, start, &ends)) })?;
        }
    }
    Ok((any, is_encrypted))
}

/// Whether the word `stream` is in there.
fn names_stream(gap: &[u8]) -> bool {
    memmem::find_iter(gap, b"stream").any(|at| {
        let before = at.checked_sub(1).and_then(|at| gap.get(at));
        !before.copied().is_some_and(is_regular) && !gap.get(at + b"stream".len()).copied().is_some_and(is_regular)
    })
}

/// Where the data behind `stream` begin: on the next line. If something else than blanks stands in front of it, directly as well.
fn starts(content: &[u8], at: usize) -> Vec<usize> {
    let rest = content.get(at..).unwrap_or_default();
    let Some(line) = memchr2(b'\n', b'\r', rest) else { return vec![at] };
    let next = at + line + if rest.get(line..line + 2) == Some(b"\r\n") { 2 } else { 1 };
    if rest.get(..line).unwrap_or_default().trim_ascii().is_empty() { vec![next] } else { vec![at, next] }
}

/// Pays for bytes that are read.
fn pay(budget: &mut usize, bytes: usize) -> Result<(), Stop> {
    *budget = budget.checked_sub(bytes).ok_or_else(|| Stop::corrupt("the objects of the PDF overlap"))?;
    Ok(())
}

/// Whether what a lexer read from `start` on can be believed, and paid for.
fn spend(budget: &mut usize, lexer: &Lexer<'_>, start: usize) -> Result<(), Stop> {
    if lexer.is_lost {
        return Err(Stop::corrupt("the objects of the PDF are nested too deeply"));
    }
    pay(budget, lexer.at.saturating_sub(start))
}

/// What stands in front of `obj`.
enum Before {
    /// `12 0 `.
    Number(u32),
    /// A letter: `obj` is the end of another word.
    Word,
    /// Something else. Readers that go by the cross-reference table may find an object here all the same.
    Other,
}

fn number_before(content: &[u8], at: usize) -> Before {
    let digits = |end: usize| {
        let run = content.get(..end).unwrap_or_default().iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        end - run
    };
    let generation_end = blanks_before(content, at);
    if generation_end == at && at.checked_sub(1).and_then(|before| content.get(before)).is_some_and(u8::is_ascii_alphabetic) {
        return Before::Word;
    }
    let generation = digits(generation_end);
    let number_end = blanks_before(content, generation);
    let number = digits(number_end);
    if generation == generation_end || number_end == generation || number == number_end {
        return Before::Other;
    }
    let text = content.get(number..number_end).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).map_or(Before::Other, Before::Number)
}

/// Where the white space and the comments begin that end here.
fn blanks_before(content: &[u8], mut end: usize) -> usize {
    loop {
        let before = content.get(..end).unwrap_or_default();
        let blanks = before.iter().rev().take_while(|byte| is_space(**byte)).count();
        let (rest, blank) = before.split_at(end - blanks);
        end = rest.len();
        // A comment ends with its line.
        if !blank.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return end;
        }
        let near = rest.get(end.saturating_sub(COMMENT)..).unwrap_or_default();
        let line = near.get(memrchr2(b'\n', b'\r', near).map_or(0, |at| at + 1)..).unwrap_or_default();
        match memchr(b'%', line) {
            Some(at) => end -= line.len() - at,
            None => return end,
        }
    }
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
        let value = lexer.value();
        spend(&mut budget, &lexer, start)?;
        let Some(value) = value else { continue };
        found(Object { number, value, stream: None })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(content: &[u8]) -> Vec<(u32, bool)> {
        let mut out = Vec::new();
        search(content, &mut |object| {
            out.push((object.number, object.stream.is_some()));
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn objects_are_found_without_a_table() {
        let pdf = b"%PDF-1.4\n1 0 obj<</Length 3>>stream\r\nabc\nendstream endobj\n33 0 obj (t) endobj 4 0 objx";
        assert_eq!(numbers(pdf), [(1, true), (33, false)]);
    }

    #[test]
    fn numbers_are_found_behind_blanks_and_comments_and_missed_by_nobody() {
        let far = [b"7".as_slice(), &b" ".repeat(60), b"0 obj 5"].concat();
        assert_eq!(numbers(&far), [(7, false)]);
        assert_eq!(numbers(b"7 % c 8\n % d\r\n0 %\nobj 5"), [(7, false)]);
        assert_eq!(numbers(b"99999999999 0 obj<<>>stream"), [(UNNAMED, true)]);
        assert_eq!(numbers(b"7 x 0 obj<<>>"), [(UNNAMED, false)]);
        assert_eq!(numbers(b"7 0 obj 1 endobj<<>> an obj 5 (50%)\n8 0 obj 1"), [(7, false), (8, false)]);
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let deep = [b"7 0 obj<</A".as_slice(), &b"<</A".repeat(60), b"/B", &b">>".repeat(61), b"/Type/EmbeddedFile>>stream"].concat();
        assert!(matches!(search(&deep, &mut |_| Ok(())), Err(Stop::Corrupt(_))));
    }

    #[test]
    fn objects_that_swallow_all_others_are_refused() {
        let pdf = b"1 0 obj (".repeat(20_000);
        assert!(matches!(search(&pdf, &mut |_| Ok(())), Err(Stop::Corrupt(_))));
    }
}
