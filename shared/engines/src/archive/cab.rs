//! Microsoft Cabinet ([MS-CAB]).
//!
//! Read by hand, because the library for it finds files by name only, so one of two files of the same name would
//! hide the other. What always holds: a folder is decoded once, in order; checksums are compared.

mod blocks;

use std::ops::Range;

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

use self::blocks::Blocks;
use super::{Entry, Extractor, Format, Sink, Stop, rest};

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "Cabinet",
    reads: "stored, MSZIP, LZX; not Quantum; a volume's own files, not those that continue in another",
    extractor: &Cab,
}];

/// Bytes of the fixed headers.
const HEADER: usize = 36;
/// Bytes that are reserved in the header of a signed cabinet.
const SIGNATURE: usize = 20;

pub(super) struct Cab;

fn short(content: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*content.get(at..)?.first_chunk::<2>()?)))
}

fn word(content: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*content.get(at..)?.first_chunk::<4>()?)).ok()
}

/// Whether a cabinet begins here.
pub(super) fn begins(content: &[u8]) -> bool {
    let check = || {
        let (size, files) = (word(content, 8)?, word(content, 16)?);
        let sound = content.starts_with(b"MSCF\0\0\0\0") && word(content, 12)? == 0 && content.get(25) == Some(&1) && size >= HEADER && files < size;
        (sound && short(content, 26)? > 0).then_some(())
    };
    check().is_some()
}

struct Layout {
    /// Where the cabinet ends by its header.
    end: usize,
    /// Where the headers lie.
    headers: [Range<usize>; 3],
    folders: Vec<Folder>,
    files: Vec<File>,
}

struct Folder {
    /// Where the data blocks begin, and how many there are.
    data: usize,
    blocks: usize,
    method: usize,
}

struct File {
    name: String,
    offset: usize,
    size: usize,
    folder: usize,
}

struct Cursor<'a> {
    content: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn short(&mut self) -> Option<usize> {
        self.at += 2;
        short(self.content, self.at - 2)
    }

    fn word(&mut self) -> Option<usize> {
        self.at += 4;
        word(self.content, self.at - 4)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        // Longer ones are no names ([MS-CAB] §2.3), but a place to hide something.
        let text = self.content.get(self.at..)?.split(|byte| *byte == 0).next().filter(|text| text.len() <= 256)?;
        self.at = self.at.checked_add(text.len() + 1)?;
        (self.at <= self.content.len()).then_some(text)
    }
}

/// Reads the headers; gives also the space that is reserved in data blocks.
fn layout(content: &[u8]) -> Option<(Layout, usize)> {
    let mut at = Cursor { content, at: 8 };
    let end = at.word()?;
    at.at = 16;
    let first_file = at.word()?;
    at.at = 26;
    let (folders, files, flags) = (at.short()?, at.short()?, at.short()?);
    at.at = HEADER;
    let (mut in_folder, mut in_block, mut tables) = (0, 0, HEADER);
    if flags & 4 != 0 {
        let header = at.short()?;
        (in_folder, in_block) = (usize::from(*content.get(at.at)?), usize::from(*content.get(at.at + 1)?));
        at.at = at.at.checked_add(2 + header)?;
        // What is reserved for others is looked at, unless it is as long as what tells where a signature lies.
        tables = if header > SIGNATURE { at.at } else { HEADER };
    }
    for part in [1, 2] {
        if flags & part != 0 {
            at.string()?;
            at.string()?;
        }
    }
    let mut layout = Layout { end, headers: [0..HEADER, 0..0, 0..0], folders: Vec::new(), files: Vec::new() };
    for _ in 0..folders {
        layout.folders.push(Folder { data: at.word()?, blocks: at.short()?, method: at.short()? });
        at.at += in_folder;
    }
    layout.headers[1] = tables..at.at;
    layout.headers[2].start = first_file;
    at.at = first_file;
    for _ in 0..files {
        let (size, offset, folder) = (at.word()?, at.word()?, at.short()?);
        at.at += 6;
        let name = String::from_utf8_lossy(at.string()?).replace('\\', "/");
        layout.files.push(File { name, offset, size, folder });
    }
    layout.headers[2].end = at.at;
    Some((layout, in_block))
}

impl Extractor for Cab {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(b"MSCF\0\0\0\0")
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/vnd.ms-cab-compressed"
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let (layout, reserved) = layout(content).ok_or_else(|| Stop::corrupt("the headers of the cabinet are damaged"))?;
        sink.announce(layout.files.len() as u64)?;
        for file in &layout.files {
            sink.count()?;
            // 0xfffd: continued from the previous cabinet, 0xfffe: to the next one, 0xffff: both.
            if file.folder >= 0xfffd {
                let entry = Entry::new(file.name.as_str(), file.size as u64);
                sink.blocked(entry, Code::Failed, "the file continues in another cabinet".into());
            } else if file.folder >= layout.folders.len() {
                return Err(Stop::corrupt("a file lies in no folder"));
            }
        }
        let mut files: Vec<Vec<&File>> = layout.folders.iter().map(|_| Vec::new()).collect();
        for file in &layout.files {
            if let Some(files) = files.get_mut(file.folder) {
                files.push(file);
            }
        }
        let mut owns_all = true;
        let mut read = layout.headers.to_vec();
        for (folder, mut files) in layout.folders.iter().zip(files) {
            files.sort_by_key(|file| file.offset);
            let (owns, end) = self::folder(content, folder, reserved, &files, sink)?;
            owns_all &= owns;
            read.push(folder.data..end);
        }
        for gap in rest::gaps(read, 0..layout.end.min(content.len())) {
            rest::take(content, gap, "[data between the folders]", sink)?;
        }
        rest::behind(content, layout.end, sink)?;
        // A volume has parts of files whose other parts lie elsewhere; it is blocked for those.
        let is_volume = layout.files.iter().any(|file| file.folder >= 0xfffd);
        if owns_all || is_volume { Ok(()) } else { Err(Stop::corrupt("there are data in the cabinet that belong to no file")) }
    }
}

/// Decodes a folder once and cuts its files out. Gives whether they own all that is in it, and where it ends.
fn folder(content: &[u8], folder: &Folder, reserved: usize, files: &[&File], sink: &mut dyn Sink) -> Result<(bool, usize), Stop> {
    let mut blocks = Blocks::new(content, folder.data, folder.blocks, reserved, folder.method)?;
    let mut at = 0;
    let mut owns_all = true;
    for file in files {
        let gap = file.offset.checked_sub(at).ok_or_else(|| Stop::corrupt("files of the cabinet overlap"))?;
        if gap > 0 {
            owns_all = false;
            if !others(&mut blocks, gap, sink)? {
                return Ok((owns_all, blocks.end()));
            }
        }
        if !sink.take(Entry::new(file.name.as_str(), file.size as u64), &mut |to| blocks.copy(file.size, to))? {
            return Ok((owns_all, blocks.end()));
        }
        at = file.offset + file.size;
    }
    if blocks.has_more() {
        owns_all = false;
        others(&mut blocks, usize::MAX, sink)?;
    }
    Ok((owns_all, blocks.end()))
}

/// Data that belong to no file, as a content of its own. Gives whether it came whole.
fn others(blocks: &mut Blocks<'_>, most: usize, sink: &mut dyn Sink) -> Result<bool, Stop> {
    sink.count()?;
    sink.take(Entry::new("[data of no file]", 0), &mut |to| blocks.copy(most, to))
}
