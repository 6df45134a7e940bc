//! Mails: every part of every MIME multipart, mailboxes, web archives.
//!
//! Own code, of one pass and no recursion: crates decode text through its character set, which changes bytes; give
//! up on base64 that is not perfect, which mail programs do not; and nest messages in memory as deep as the mail
//! says. Here a message within a message is a child like any other, and the limit on depth applies to it.

mod encoding;
pub(super) mod headers;

use std::borrow::Cow;

use memchr::memmem;
use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

pub(super) use self::encoding::base64;
use self::headers::Headers;
use super::bytes::name_or;
use crate::archive::Extractor;
use crate::archive::sink::{Entry, Sink, Stop};

/// Multiparts within multiparts.
const DEPTH: usize = 32;
/// Boundaries that one field may declare, from either end.
const CLAIMS: usize = 4;
/// Bytes in which the header of a mail shows what it is.
const HEAD: usize = 64 * 1024;

/// The extractor for mails.
pub(super) struct Mail;

impl Extractor for Mail {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        self.covers(content, file_type) || (matches!(file_type.category.as_str(), "T" | "Z") && looks_like_mime(content))
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        matches!(file_type.mime.as_str(), "message/rfc822" | "application/mbox")
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let content = start(content);
        let messages = mailbox(content);
        for (number, message) in messages.iter().enumerate() {
            super::give(sink, format!("message-{}.eml", number + 1), message)?;
        }
        // Some programs take a mailbox for one message: then the lines between messages do not count.
        Walk { sink, number: 0, are_parts: !messages.is_empty() }.message(content)
    }
}

fn start(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start()
}

/// Whether a content without the usual fields has those that make a mail program decode it.
fn looks_like_mime(content: &[u8]) -> bool {
    let head = start(content.get(..HEAD).unwrap_or(content));
    if !head.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    let (headers, _) = Headers::split(head);
    let is_multipart = headers.media_types().any(|it| it.starts_with("multipart/")) && !headers.parameters("content-type", "boundary").is_empty();
    is_multipart || headers.encodings().iter().any(|it| !it.is_empty())
}

/// The messages of a mailbox (RFC 4155), without the lines between them; none if it is a single mail.
fn mailbox(content: &[u8]) -> Vec<&[u8]> {
    if !content.starts_with(b"From ") {
        return Vec::new();
    }
    let is_start = |at: &usize| {
        let line = content.get(*at..).and_then(|rest| memchr::memchr(b'\n', rest).and_then(|end| rest.get(end + 1..))).unwrap_or_default();
        !Headers::split(line.get(..998).unwrap_or(line)).0.is_empty()
    };
    let mut starts: Vec<usize> = vec![0];
    starts.extend(memmem::find_iter(content, b"\nFrom ").map(|at| at + 1).filter(is_start));
    if starts.len() == 1 {
        return Vec::new();
    }
    let ends = starts.iter().skip(1).copied().chain([content.len()]);
    let message = |(start, end): (&usize, usize)| {
        let message = content.get(*start..end)?;
        message.get(memchr::memchr(b'\n', message)? + 1..)
    };
    starts.iter().zip(ends).filter_map(message).collect()
}

/// One way through a mail.
struct Walk<'s> {
    sink: &'s mut dyn Sink,
    number: usize,
    are_parts: bool,
}

impl Walk<'_> {
    fn message(&mut self, content: &[u8]) -> Result<(), Stop> {
        // Boundaries of the multiparts around the place, outermost first. Programs that see two believe either.
        let mut open: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut rest = content;
        let mut wrong = Ok(());
        loop {
            let (headers, body) = Headers::split(rest);
            if headers.media_types().any(|it| it == "multipart/encrypted") {
                wrong = Stop::worse(wrong, Err(Stop::Closed(Code::PasswordProtectedDocument, "the mail is encrypted".into())));
            }
            let is_multipart = headers.media_types().any(|it| it.starts_with("multipart/"));
            // Only up to where the multipart around it goes on, so that no byte is searched more often than it is deep.
            let own = if is_multipart { body.get(..next(body, &open).map_or(body.len(), |found| found.start)).unwrap_or_default() } else { b"" };
            let boundaries = if is_multipart { boundaries(&headers, own) } else { Vec::new() };
            let is_leaf = boundaries.is_empty();
            if !is_leaf {
                if open.len() >= DEPTH {
                    return Err(Stop::Closed(Code::ExceededArchiveDepth, format!("multiparts are nested deeper than {DEPTH} levels")));
                }
                open.push(boundaries);
            }
            let mut delimiter = next(body, &open);
            let content = body.get(..delimiter.as_ref().map_or(body.len(), |found| found.start)).unwrap_or_default();
            if is_leaf {
                self.leaf(&headers, content)?;
                if is_multipart && !content.trim_ascii().is_empty() {
                    wrong = Stop::worse(wrong, Err(Stop::corrupt("a part of the mail says it has parts, and none can be found")));
                }
            }
            let mut from = body;
            rest = loop {
                let Some(found) = delimiter else { return wrong };
                from = from.get(found.end..).unwrap_or_default();
                if !found.is_last {
                    open.truncate(found.level + 1);
                    break from;
                }
                // What follows the last part of a multipart belongs to nobody, up to the next boundary of an outer one.
                open.truncate(found.level);
                delimiter = next(from, &open);
            };
        }
    }

    /// A part that is no multipart.
    fn leaf(&mut self, headers: &Headers, body: &[u8]) -> Result<(), Stop> {
        self.number += 1;
        let media: Vec<String> = headers.media_types().collect();
        let is = |what: &str| media.iter().any(|it| it == what);
        let file_name = headers.file_name();
        let other = match media.first().map(String::as_str) {
            None | Some("text/plain") => "body.txt".into(),
            Some("text/html") => "body.html".into(),
            Some("message/rfc822" | "message/global") => "message.eml".into(),
            _ => format!("part-{}", self.number),
        };
        let is_body = file_name.is_empty() && (media.is_empty() || media.iter().any(|it| it.starts_with("text/")));
        let name = name_or(&file_name, other);
        let mut encodings = headers.encodings();
        if encodings.is_empty() {
            encodings.push(String::new());
        }
        for encoding in encodings {
            let decoded = encoding::decode(&encoding, body).map_or(Cow::Borrowed(body), Cow::Owned);
            let entry = Entry::new(name.clone(), decoded.len() as u64);
            let entry = if is_body || self.are_parts { entry.into_part() } else { entry };
            self.sink.count()?;
            self.sink.take_bytes(entry, &decoded)?;
        }
        if is("application/pkcs7-mime") || is("application/x-pkcs7-mime") {
            let is_signed = headers.parameters("content-type", "smime-type").iter().any(|it| it.eq_ignore_ascii_case(b"signed-data"));
            let is_list = headers.parameters("content-type", "smime-type").iter().any(|it| it.eq_ignore_ascii_case(b"certs-only"));
            let entry = Entry::new(format!("{name} (S/MIME)"), 0);
            if is_signed {
                self.sink.blocked(entry, Code::UnsupportedFileType, "what is signed here can not be looked into".into());
            } else if !is_list {
                self.sink.blocked(entry, Code::PasswordProtectedDocument, "the mail is encrypted".into());
            }
        }
        if is("message/partial") {
            let entry = Entry::new(format!("{name} (fragment)"), 0);
            self.sink.blocked(entry, Code::UnsupportedFileType, "the mail is one of several pieces".into());
        }
        Ok(())
    }
}

/// The boundaries that part the body. If none of those declared does, what looks like one.
fn boundaries(headers: &Headers, body: &[u8]) -> Vec<Vec<u8>> {
    let mut found = headers.parameters("content-type", "boundary");
    // Programs believe the first or the last.
    while found.len() > 2 * CLAIMS {
        found.remove(CLAIMS);
    }
    found.retain(|boundary| !boundary.is_empty() && next(body, &[vec![boundary.clone()]]).is_some());
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        found.extend(likely(body));
    }
    found
}

/// A line that begins with `--` and is followed by a header field of MIME.
fn likely(body: &[u8]) -> Option<Vec<u8>> {
    lines_with_dashes(body).find_map(|start| {
        let line = body.get(start..)?;
        let end = memchr::memchr(b'\n', line)?;
        let next = line.get(end + 1..)?;
        let boundary = line.get(2..end)?.trim_ascii_end();
        let is_header = next.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
        (is_header && (1..=200).contains(&boundary.len())).then(|| boundary.to_vec())
    })
}

/// Offsets of the lines that begin with `--`.
fn lines_with_dashes(body: &[u8]) -> impl Iterator<Item = usize> + '_ {
    body.starts_with(b"--").then_some(0).into_iter().chain(memmem::find_iter(body, b"\n--").map(|at| at + 1))
}

struct Delimiter {
    /// Where the content in front ends.
    start: usize,
    /// Where the line ends.
    end: usize,
    level: usize,
    is_last: bool,
}

/// The next line that is a boundary of one of the multiparts around the place, the innermost first.
fn next(body: &[u8], open: &[Vec<Vec<u8>>]) -> Option<Delimiter> {
    if open.is_empty() {
        return None;
    }
    lines_with_dashes(body).find_map(|at| {
        let line = body.get(at + 2..)?;
        let length = memchr::memchr(b'\n', line).unwrap_or(line.len());
        let line = line.get(..length)?.trim_ascii_end();
        let matching = |boundaries: &Vec<Vec<u8>>| {
            boundaries.iter().find_map(|boundary| match line.strip_prefix(boundary.trim_ascii_end())? {
                [] => Some(false),
                [b'-', b'-', ..] => Some(true),
                _ => None,
            })
        };
        let (level, is_last) = open.iter().enumerate().rev().find_map(|(level, boundaries)| Some((level, matching(boundaries)?)))?;
        // The line break in front belongs to the boundary.
        let before = body.get(..at)?;
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        Some(Delimiter { start: before.len(), end: (at + 2 + length + 1).min(body.len()), level, is_last })
    })
}
