//! cpio (all three headers), and RPM packages, whose payload it is.
//!
//! What always holds: the archive ends at its trailer; what is behind it (an initramfs has several archives one
//! behind the other) is looked at by itself.

use portcullis_core::domain::report::FileType;

use super::{Entry, Extractor, Format, Sink, Stop, registry, rest};

/// What is opened.
pub(super) const FORMATS: &[Format] = &[
    Format { name: "cpio", reads: "`newc`, `crc`, `odc` and both binary headers", extractor: &Cpio },
    Format { name: "RPM packages", reads: "the payload, whatever compresses it", extractor: &Rpm },
];

/// Longest name that is believed.
const MAX_NAME: usize = 64 * 1024;

struct Cpio;

struct Header<'a> {
    name: &'a [u8],
    mode: u32,
    /// Sum of the data's bytes, if the header has one.
    sum: Option<u32>,
    data: usize,
    size: usize,
    /// What the end of the data is rounded up to.
    align: usize,
}

fn begins(content: &[u8]) -> bool {
    content.starts_with(b"070701")
        || content.starts_with(b"070702")
        || content.starts_with(b"070707")
        || ((content.starts_with(b"\xc7\x71") || content.starts_with(b"\x71\xc7"))
            && header(content, 0).is_some_and(|header| !header.name.is_empty()))
}

fn header(content: &[u8], at: usize) -> Option<Header<'_>> {
    let block = content.get(at..)?;
    let digits = |from: usize, length: usize, radix: u32| {
        let text = std::str::from_utf8(block.get(from..from.checked_add(length)?)?).ok()?;
        (!text.starts_with(['+', '-'])).then(|| u64::from_str_radix(text, radix).ok()).flatten()
    };
    let (fixed, mode, size, length, sum, align) = if block.starts_with(b"070701") || block.starts_with(b"070702") {
        let field = |n: usize| digits(6 + 8 * n, 8, 16);
        let sum = if block.starts_with(b"070702") { Some(u32::try_from(field(12)?).ok()?) } else { None };
        (110, field(1)?, field(6)?, field(11)?, sum, 4)
    } else if block.starts_with(b"070707") {
        (76, digits(18, 6, 8)?, digits(65, 11, 8)?, digits(59, 6, 8)?, None, 1)
    } else {
        let is_big = block.starts_with(b"\x71\xc7");
        let short = |n: usize| {
            let pair = *block.get(2 * n..)?.first_chunk::<2>()?;
            Some(u64::from(if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }))
        };
        (block.starts_with(b"\xc7\x71") || is_big).then_some(())?;
        (26, short(3)?, short(11)? << 16 | short(12)?, short(10)?, None, 2)
    };
    let length = usize::try_from(length).ok().filter(|length| (1..=MAX_NAME).contains(length))?;
    let name = block.get(fixed..fixed + length)?;
    let data = at.checked_add((fixed + length).next_multiple_of(align))?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Header { name, mode: u32::try_from(mode).ok()?, sum, data, size: usize::try_from(size).ok()?, align })
}

impl Extractor for Cpio {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        begins(content)
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-cpio"
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut at = 0;
        loop {
            let Some(header) = header(content, at) else {
                rest::behind(content, at, sink)?;
                return Err(Stop::corrupt("a header is damaged, or the trailer is missing"));
            };
            sink.count()?;
            let end = header.data.checked_add(header.size);
            let whole = end.filter(|end| *end <= content.len());
            if header.name == b"TRAILER!!!" && header.size == 0 {
                return rest::behind(content, header.data, sink);
            }
            let data = content.get(header.data.min(content.len())..whole.unwrap_or(content.len())).unwrap_or_default();
            let kind = header.mode & 0o170_000;
            if !data.is_empty() || kind == 0o100_000 || kind == 0 {
                let note = (kind == 0o120_000).then_some("symbolic link, not followed");
                let mut entry = Entry::new(String::from_utf8_lossy(header.name), data.len() as u64).with_note(note);
                let sum = || data.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
                if whole.is_none() {
                    entry.fault = Some("the entry is cut off".into());
                } else if header.sum.is_some_and(|expected| expected != sum()) {
                    entry.fault = Some("the entry's checksum is wrong".into());
                }
                sink.take_bytes(entry, data)?;
            }
            let Some(end) = whole else { return Ok(()) };
            let padded = (end - at).next_multiple_of(header.align) + at;
            rest::take(content, end..padded, "[data between the entries]", sink)?;
            at = padded;
        }
    }
}

struct Rpm;

impl Rpm {
    /// Where the header that begins at `at` ends (RPM file format, "Header structure").
    fn header_end(content: &[u8], at: usize) -> Option<usize> {
        let block = content.get(at..)?;
        block.starts_with(b"\x8e\xad\xe8\x01").then_some(())?;
        let word = |from: usize| Some(u32::from_be_bytes(*block.get(from..)?.first_chunk::<4>()?));
        let (entries, bytes) = (usize::try_from(word(8)?).ok()?, usize::try_from(word(12)?).ok()?);
        at.checked_add(16)?.checked_add(entries.checked_mul(16)?)?.checked_add(bytes).filter(|end| *end <= content.len())
    }

    fn payload(content: &[u8]) -> Option<usize> {
        const LEAD: usize = 96;
        let signature = Self::header_end(content, LEAD)?;
        Self::header_end(content, signature.checked_next_multiple_of(8)?)
    }
}

impl Extractor for Rpm {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(b"\xed\xab\xee\xdb")
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-rpm"
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let start = Self::payload(content).ok_or_else(|| Stop::corrupt("the headers of the package are damaged"))?;
        let payload = content.get(start..).unwrap_or_default();
        if !registry::opens(payload) {
            return Err(Stop::corrupt("behind the headers of the package is no archive"));
        }
        let suffix = match payload {
            [0x1f, 0x8b, ..] => ".gz",
            [b'B', b'Z', b'h', ..] => ".bz2",
            [0xfd, b'7', b'z', ..] => ".xz",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => ".zst",
            [0x5d, ..] => ".lzma",
            _ => "",
        };
        sink.count()?;
        sink.take_bytes(Entry::new(format!("payload.cpio{suffix}"), payload.len() as u64), payload)?;
        Ok(())
    }
}
