//! tar: v7, ustar, pax, GNU long names and sparse files.
//!
//! What always holds: headers are read in one chain without gaps. Where programs differ about where the next
//! header lies (a size on an entry that has no content, two sizes, a damaged header), the archive is refused, because
//! one of them would see entries that this one does not. What is behind the end mark is looked at by itself.
//! Sources: POSIX.1-2024 pax, GNU tar manual "Tar Internals".

mod header;
mod pax;
mod sparse;

use portcullis_core::domain::report::FileType;

use self::header::{BLOCK, Header};
use self::pax::Pax;
use super::{Entry, Extractor, Format, Sink, Stop, rest};

/// What is opened.
pub(super) const FORMATS: &[Format] =
    &[Format { name: "tar", reads: "v7, ustar, pax, GNU long names, sparse files as they come out", extractor: &Tar }];

/// Longest extended header or long name that is read.
const MAX_META: usize = 1024 * 1024;

struct Tar;

impl Extractor for Tar {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        // One with a damaged first header is still read by programs that skip to the next.
        let later = || (1..8).any(|block| Header::at(content, block * BLOCK).is_some());
        Header::at(content, 0).is_some() || file_type.mime == "application/x-tar" || later()
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-tar"
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut at = 0;
        let mut next = Next::default();
        loop {
            let block = content.get(at..).unwrap_or_default();
            let is_end = block.iter().take(BLOCK).all(|byte| *byte == 0);
            // Without an end mark the archive ends where its last entry does.
            if is_end {
                if !next.is_empty() {
                    return Err(Stop::corrupt("an extended header belongs to no entry"));
                }
                let zeros = block.iter().take_while(|byte| **byte == 0).count();
                return rest::behind(content, at + zeros / BLOCK * BLOCK, sink);
            }
            let Some(header) = Header::at(content, at) else {
                rest::behind(content, at, sink)?;
                return Err(Stop::corrupt("a header is damaged"));
            };
            sink.count()?;
            at = entry(content, at, &header, &mut next, sink)?;
        }
    }
}

/// What the headers in front say about the next entry.
#[derive(Default)]
struct Next {
    name: Option<Vec<u8>>,
    has_link: bool,
    pax: Pax,
}

impl Next {
    fn is_empty(&self) -> bool {
        self.name.is_none() && !self.has_link && self.pax.is_empty()
    }
}

/// Takes the entry whose header is at `at`; gives where the next one is.
fn entry(content: &[u8], at: usize, header: &Header<'_>, next: &mut Next, sink: &mut dyn Sink) -> Result<usize, Stop> {
    let declared = header.size().ok_or_else(|| Stop::corrupt("an entry has no valid size"))?;
    let is_meta = matches!(header.kind, b'x' | b'X' | b'g' | b'L' | b'K');
    let size = match (is_meta, next.pax.size()?) {
        (false, Some(size)) if declared != 0 && declared != size => return Err(Stop::corrupt("an entry has two sizes")),
        (false, Some(size)) => size,
        _ => declared,
    };
    let start = at + BLOCK;
    // Extension blocks of a GNU sparse header stand between it and the data.
    let (map, start) = if header.kind == b'S' { sparse::old(content, at)? } else { (None, start) };
    let length = usize::try_from(size).unwrap_or(usize::MAX);
    let whole = start.checked_add(length).filter(|end| *end <= content.len());
    let end = whole.unwrap_or(content.len());
    let data = content.get(start.min(end)..end).unwrap_or_default();
    let cut = whole.is_none().then(|| "the entry is cut off".to_string());

    let is_doubtful = (header.kind == b'S' && !header.is_gnu()) || (!is_meta && next.pax.is_sparse() && !header.is_posix());
    if is_doubtful {
        return Err(Stop::corrupt("programs differ about whether an entry is a sparse file"));
    }
    if is_meta {
        if cut.is_some() || data.len() > MAX_META {
            return Err(Stop::corrupt("an extended header is cut off or too long"));
        }
        match header.kind {
            b'L' => next.name = Some(data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
            b'K' => next.has_link = true,
            b'g' => Pax::parse(data)?.check_global()?,
            // GNU tar takes the last, others add them up; nobody writes two.
            _ if !next.pax.is_empty() => return Err(Stop::corrupt("an entry has two extended headers")),
            _ => next.pax = Pax::parse(data)?,
        }
        return Ok(padded(content, end));
    }

    let Next { name, pax, .. } = std::mem::take(next);
    let name = pax.name().map(<[u8]>::to_vec).or(name).unwrap_or_else(|| header.name());
    let name = String::from_utf8_lossy(&name).into_owned();
    if matches!(header.kind, b'1'..=b'6') {
        if size != 0 {
            return Err(Stop::corrupt("an entry that is no file has a size, and programs differ about what follows it"));
        }
    } else {
        let map = match map {
            Some(map) => Some((map, data)),
            None => sparse::from_pax(&pax, data)?,
        };
        let mut entry = Entry::new(name, map.as_ref().map_or(data.len() as u64, |(map, _)| map.size));
        let is_short = end.next_multiple_of(BLOCK) > content.len();
        entry.fault = cut.or_else(|| is_short.then(|| "the archive is cut off".to_string()));
        match &map {
            Some((map, data)) => {
                sink.take(entry, &mut |to| map.write(data, to))?;
                // Programs that know no sparse files give out what is stored.
                rest::take(content, at + BLOCK..end, "[stored data of a sparse file]", sink)?;
            }
            None => {
                sink.take_bytes(entry, data)?;
            }
        }
    }
    let aligned = padded(content, end);
    rest::take(content, end..aligned, "[data between the entries]", sink)?;
    Ok(aligned)
}

fn padded(content: &[u8], end: usize) -> usize {
    end.next_multiple_of(BLOCK).min(content.len())
}
