//! Archives behind (or inside) files of other formats, which programs for those archives find and open:
//! self-extracting programs, archives behind pictures. (ZIP is found by its own extractor, from its end; what other archives
//! and the spaces around their entries carry comes here as a content of its own.)
//!
//! What always holds: a signature counts where the header behind it is sound. Where signatures have no business (in
//! pictures, and behind the last section of a Windows program) one with a damaged header counts as not looked into.

use memchr::memmem;
use portcullis_core::domain::report::FileType;

use super::{Extractor, Format, Sink, Stop, cab, closed, rar, sevenz, zip};

const SIGNATURES: &[(&[u8], &str)] = &[(b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"), (b"MSCF\0\0\0\0", "Cabinet")];
/// Bytes of a row of the section table (PE/COFF specification, "Section Table").
const SECTION_BYTES: usize = 40;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "Self-extracting programs",
    reads: "7-Zip, RAR, Cabinet and ZIP inside or behind programs and other files",
    extractor: &Carried,
}];

struct Carried;

impl Extractor for Carried {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        // Containers are opened by what they are; what is behind them comes back here as a content of its own.
        !matches!(file_type.category.as_str(), "A" | "I" | "M") && !zip::begins(content) && first(content).is_some()
    }

    fn covers(&self, _: &[u8], _: &FileType) -> bool {
        false
    }

    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        // What is behind the first one is handed over by its extractor, and searched in turn.
        let Some((at, extractor)) = first(content) else { return Ok(()) };
        extractor.extract(content.get(at..).unwrap_or_default(), passwords, sink)
    }
}

/// Where the first of these archives begins in a content.
pub(super) fn position(content: &[u8]) -> Option<usize> {
    first(content).map(|(at, _)| at)
}

/// The first archive in a content that is sound as far as its first header says.
fn first(content: &[u8]) -> Option<(usize, &'static dyn Extractor)> {
    type Sound = fn(&[u8]) -> bool;
    let kinds: [(&[u8], Sound, &'static dyn Extractor); 3] = [
        (b"7z\xbc\xaf\x27\x1c", |found| sevenz::end(found).is_some(), &sevenz::SevenZ),
        (b"Rar!\x1a\x07", rar::begins, &rar::Rar),
        (b"MSCF\0\0\0\0", cab::begins, &cab::Cab),
    ];
    let found = kinds.into_iter().filter_map(|(signature, sound, extractor)| {
        let at = memmem::find_iter(content, signature).find(|at| sound(content.get(*at..).unwrap_or_default()))?;
        Some((at, extractor))
    });
    found.min_by_key(|(at, _)| *at)
}

/// The format of an archive that this content carries, and whose header is damaged.
pub(super) fn find(content: &[u8], file_type: &FileType) -> Option<&'static str> {
    let range = match file_type.category.as_str() {
        "G" => content,
        "E" if content.starts_with(b"MZ") => content.get(overlay(content)?..)?,
        _ => return None,
    };
    // An archive that is opened may be just one of the files that an installer holds.
    if content.starts_with(b"MZ")
        && let Some(installer) = closed::installer(range)
    {
        return Some(installer);
    }
    if first(content).is_some() {
        return None;
    }
    SIGNATURES.iter().find(|(signature, _)| memmem::find(range, signature).is_some()).map(|(_, name)| *name)
}

/// Where a program for Windows ends and what is appended to it begins.
fn overlay(content: &[u8]) -> Option<usize> {
    let u16_at = |at: usize| Some(usize::from(u16::from_le_bytes(content.get(at..at.checked_add(2)?)?.try_into().ok()?)));
    let u32_at = |at: usize| usize::try_from(u32::from_le_bytes(content.get(at..at.checked_add(4)?)?.try_into().ok()?)).ok();
    let header = u32_at(0x3c)?;
    content.get(header..)?.starts_with(b"PE\0\0").then_some(())?;
    let table = header.checked_add(24)?.checked_add(u16_at(header.checked_add(20)?)?)?;
    let sections = u16_at(header.checked_add(6)?)?;
    let mut end = table.checked_add(sections.checked_mul(SECTION_BYTES)?)?;
    for section in 0..sections {
        let row = table.checked_add(section.checked_mul(SECTION_BYTES)?)?;
        let (size, start) = (u32_at(row.checked_add(16)?)?, u32_at(row.checked_add(20)?)?);
        // A section that claims to reach beyond the file must not hide what is there.
        end = start.checked_add(size).filter(|end| *end <= content.len()).map_or(end, |section| end.max(section));
    }
    Some(end)
}
