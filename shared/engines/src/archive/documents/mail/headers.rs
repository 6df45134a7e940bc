//! Header fields of a mail or of one of its parts (RFC 5322 §2.2, RFC 2045 §5, RFC 2231, RFC 2047).
//!
//! Fields that stand twice are all kept: programs differ in which one they believe.

use memchr::memmem;

use super::encoding;
use crate::archive::documents::bytes::display;
use crate::archive::documents::has_line;

/// Lines that are no field and are skipped.
const ODD: usize = 20;
/// Bytes behind such a line that are looked at.
const AHEAD: usize = 64 * 1024;

/// The header fields of one entity, names in lower case, values unfolded.
pub(in super::super) struct Headers {
    fields: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// Header fields, and the body behind them. A line that is no field ends them, as an empty one does, unless
    /// fields follow that say what the body is.
    pub(in super::super) fn split(entity: &[u8]) -> (Self, &[u8]) {
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let (mut at, mut odd) = (0, 0);
        while let Some(rest) = entity.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let line = rest.get(..end).unwrap_or_default();
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                at += end;
                break;
            }
            if let (Some(b' ' | b'\t'), Some((_, value))) = (text.first(), fields.last_mut()) {
                value.push(b' ');
                value.extend_from_slice(text.trim_ascii());
            } else if let Some((name, value)) = field(text) {
                fields.push((name.to_ascii_lowercase(), value.to_vec()));
            } else if odd < ODD && has_content_field(rest) {
                // Some programs skip such a line.
                odd += 1;
            } else if at > 0 || !(text.starts_with(b"From ") || text.starts_with(b">From ")) {
                break;
            }
            at += end;
        }
        (Self { fields }, entity.get(at..).unwrap_or_default())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All values of a field, in their order.
    pub(super) fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> + 'h {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_slice())
    }

    /// The media types that are claimed, in lower case, without parameters.
    pub(super) fn media_types(&self) -> impl Iterator<Item = String> + '_ {
        self.values("content-type").map(|value| {
            let end = memchr::memchr2(b';', b' ', value).unwrap_or(value.len());
            String::from_utf8_lossy(value.get(..end).unwrap_or_default()).trim().to_lowercase()
        })
    }

    /// The values of a parameter in all fields of a name.
    pub(super) fn parameters(&self, field: &str, name: &str) -> Vec<Vec<u8>> {
        self.values(field).flat_map(|value| parameter(value, name)).collect()
    }

    /// The transfer encodings that are claimed, each once, in lower case; empty for those that change nothing.
    pub(super) fn encodings(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for value in self.values("content-transfer-encoding") {
            let end = memchr::memchr3(b';', b'(', b' ', value).unwrap_or(value.len());
            let name = String::from_utf8_lossy(value.get(..end).unwrap_or_default()).trim().to_lowercase();
            let name = if encoding::is_known(&name) { name } else { String::new() };
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }

    /// The name of the file that this part is, decoded; empty if it has none.
    pub(in super::super) fn file_name(&self) -> String {
        let of = |field: &str, name: &str| self.parameters(field, name).into_iter().find(|name| !name.is_empty());
        let raw = of("content-disposition", "filename").or_else(|| of("content-type", "name")).or_else(|| of("content-disposition", "name"));
        raw.map(|raw| encoding::words(&display(&raw))).unwrap_or_default()
    }
}

/// Whether a field that describes the content follows before the next empty line.
fn has_content_field(rest: &[u8]) -> bool {
    let block = rest.get(..AHEAD).unwrap_or(rest);
    let end = memmem::find(block, b"\n\n").into_iter().chain(memmem::find(block, b"\n\r\n")).min().unwrap_or(block.len());
    has_line(block.get(..end).unwrap_or_default(), b"content-")
}

/// Name and value of a header field.
fn field(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| (String::from_utf8_lossy(name).into_owned(), line.get(colon + 1..).unwrap_or_default().trim_ascii()))
}

/// The values that a parameter has in a field: as it stands, and put together from RFC 2231 pieces.
fn parameter(value: &[u8], wanted: &str) -> Vec<Vec<u8>> {
    let mut plain: Vec<Vec<u8>> = Vec::new();
    let mut pieces: Vec<u8> = Vec::new();
    let mut rest = value;
    while let Some(at) = memchr::memchr(b';', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some(equals) = memchr::memchr2(b'=', b';', rest).filter(|at| rest.get(*at) == Some(&b'=')) else { continue };
        let name = String::from_utf8_lossy(rest.get(..equals).unwrap_or_default()).trim().to_lowercase();
        let (text, length) = token(rest.get(equals + 1..).unwrap_or_default());
        rest = rest.get(equals + 1 + length..).unwrap_or_default();
        if name == wanted {
            plain.push(text);
        } else if let Some(section) = name.strip_prefix(wanted).and_then(|name| name.strip_prefix('*')) {
            if section.ends_with('*') || section.is_empty() {
                pieces.extend(encoding::percent(&text));
            } else {
                pieces.extend(text);
            }
        }
    }
    if !pieces.is_empty() {
        plain.push(pieces);
    }
    plain
}

/// A token or quoted string, and the bytes it takes.
fn token(bytes: &[u8]) -> (Vec<u8>, usize) {
    let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let body = bytes.get(blanks..).unwrap_or_default();
    if let Some(body) = body.strip_prefix(b"\"") {
        let mut text = Vec::new();
        let mut escaped = false;
        for (at, byte) in body.iter().enumerate() {
            match byte {
                _ if escaped => {
                    escaped = false;
                    text.push(*byte);
                }
                b'\\' => escaped = true,
                b'"' => return (text, blanks + at + 2),
                _ => text.push(*byte),
            }
        }
        return (text, bytes.len());
    }
    let end = memchr::memchr(b';', body).unwrap_or(body.len());
    (body.get(..end).unwrap_or_default().trim_ascii().to_vec(), blanks + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(headers: &str) -> String {
        Headers::split(headers.as_bytes()).0.file_name()
    }

    #[test]
    fn names_in_all_their_spellings() {
        assert_eq!(name("Content-Disposition: attachment; filename=\"a \\\"b\\\".exe\"\r\n"), "a \"b\".exe");
        assert_eq!(name("Content-Type: x/y;\r\n\tname=a.exe ; charset=x\r\n"), "a.exe");
        assert_eq!(name("content-disposition: attachment; filename*=UTF-8''%e2%82%ac.exe\r\n"), "€.exe");
        assert_eq!(name("Content-Disposition: attachment; filename*0=\"lo\"; filename*1=\"ng.exe\"\r\n"), "long.exe");
        assert_eq!(name("Content-Type: x/y; name==?utf-8?B?w6QuZXhl?=\r\n"), "ä.exe");
        assert_eq!(name("Content-Type: x/y; name=\"=?iso-8859-1?Q?=E4_b.exe?=\"\r\n"), "ä b.exe");
    }

    #[test]
    fn fields_end_where_they_end() {
        let (headers, body) = Headers::split(b"From x Mon\nA: 1\n b\nA: 2\n\nbody\nB: 3");
        assert_eq!(headers.values("a").collect::<Vec<_>>(), [&b"1 b"[..], b"2"]);
        assert_eq!(body, b"body\nB: 3");
        let (headers, body) = Headers::split(b"no header here\nA: 1");
        assert!(headers.is_empty());
        assert_eq!(body, b"no header here\nA: 1");
    }
}
