//! `ar`, the archive of libraries and Debian packages (ar(5)).

use portcullis_core::domain::report::FileType;

use super::{Entry, Extractor, Format, Sink, Stop, rest};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// What is opened.
pub(super) const FORMATS: &[Format] =
    &[Format { name: "ar, Debian packages", reads: "GNU and BSD names; thin archives have no contents", extractor: &Ar }];

struct Ar;

impl Extractor for Ar {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(MAGIC)
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        matches!(file_type.mime.as_str(), "application/x-archive" | "application/x-unix-archive" | "application/vnd.debian.binary-package")
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut at = MAGIC.len();
        let mut long_names: &[u8] = b"";
        while let Some(header) = content.get(at..at + HEADER) {
            if header.get(58..) != Some(b"`\n") {
                break;
            }
            sink.count()?;
            let field = |from: usize, to: usize| header.get(from..to).unwrap_or_default().trim_ascii();
            let size: usize = number(field(48, 58)).ok_or_else(|| Stop::corrupt("a member has no size"))?;
            let start = at + HEADER;
            let whole = start.checked_add(size).filter(|end| *end <= content.len());
            let end = whole.unwrap_or(content.len());
            let mut data = content.get(start..end).unwrap_or_default();
            let raw = field(0, 16);
            let name = if let Some(length) = raw.strip_prefix(b"#1/").and_then(number) {
                // BSD: the name is in front of the data.
                let (name, rest) = data.split_at_checked(length).ok_or_else(|| Stop::corrupt("the name of a member is cut off"))?;
                data = rest;
                name
            } else if let Some(offset) = raw.strip_prefix(b"/").and_then(number) {
                let name = long_names.get(offset..).unwrap_or_default();
                name.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default()
            } else {
                raw
            };
            if raw == b"//" {
                long_names = data;
            }
            let is_table = matches!(raw, b"/" | b"//" | b"/SYM64/");
            let name = String::from_utf8_lossy(name).trim_end_matches(['\0', '/']).to_string();
            let mut entry = Entry::new(if is_table { "[table]".to_string() } else { name }, data.len() as u64);
            if whole.is_none() {
                entry.fault = Some("the member is cut off".into());
            }
            sink.take_bytes(entry, data)?;
            // Members begin at even offsets.
            at = if whole.is_none() { content.len() } else { end + (end & 1) };
        }
        rest::behind(content, at, sink)?;
        if rest::is_padding(content.get(at..).unwrap_or_default()) {
            Ok(())
        } else {
            Err(Stop::corrupt("a header is damaged, or the archive is cut off"))
        }
    }
}

/// A decimal number of ASCII digits, and nothing else.
fn number(digits: &[u8]) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}
