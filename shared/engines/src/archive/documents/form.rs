//! Uploads whose client sent `multipart/form-data` and said it was something else (contract §9, U40; §8.7).
//!
//! The envelope stays the submitted file and is judged as it is; what is in it is a child under its own name.

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::bytes::name_or;
use super::mail::headers::Headers;
use super::{give, has_line};
use crate::archive::Extractor;
use crate::archive::sink::{Sink, Stop};

/// Bytes that boundary and header of a part have at most.
const HEAD: usize = 8 * 1024;

/// The extractor for wrapped uploads.
pub(super) struct Form;

impl Extractor for Form {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        boundary(content).is_some()
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let Some(boundary) = boundary(content) else { return Ok(()) };
        let mut rest = content.get(boundary.len()..).unwrap_or_default();
        let delimiter = [b"\n", boundary].concat();
        let finder = memmem::Finder::new(&delimiter);
        let mut number = 0;
        // Behind the last boundary stands `--`.
        while !rest.starts_with(b"--") && !rest.trim_ascii().is_empty() {
            let end = finder.find(rest.get(1..).unwrap_or_default()).map_or(rest.len(), |at| at + 1);
            let part = rest.get(..end).unwrap_or_default();
            let (headers, body) = Headers::split(part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")).unwrap_or(part));
            let body = if end < rest.len() { body.strip_suffix(b"\r").unwrap_or(body) } else { body };
            number += 1;
            give(sink, name_or(&headers.file_name(), format!("part-{number}")), body)?;
            rest = rest.get(end + delimiter.len()..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The boundary line, `--` included, if a part of a form follows.
fn boundary(content: &[u8]) -> Option<&[u8]> {
    content.starts_with(b"--").then_some(())?;
    let head = content.get(..HEAD).unwrap_or(content);
    let end = memchr::memchr(b'\n', head)?;
    let line = head.get(..end)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let header = memmem::find(head.get(end + 1..)?, b"\n\r\n").or_else(|| memmem::find(head.get(end + 1..)?, b"\n\n"))?;
    let header = head.get(end + 1..)?.get(..header)?;
    let is_form = has_line(header, b"content-disposition:") && header.to_ascii_lowercase().windows(9).any(|word| word == b"form-data");
    (is_form && (3..=200).contains(&line.len())).then_some(line)
}
