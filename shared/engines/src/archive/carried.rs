//! Archives behind (or inside) files of other formats, which programs for those archives find and open.
//!
//! Only where the signatures have no business: in pictures, and behind the last section of a Windows program.
//! Inside programs they are constants of whoever knows the format.

use memchr::memmem;
use portcullis_core::domain::report::FileType;

const SIGNATURES: &[(&[u8], &str)] = &[(b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"), (b"MSCF\0\0\0\0", "Cabinet")];
/// Bytes of a row of the section table (PE/COFF specification, "Section Table").
const SECTION_BYTES: usize = 40;

/// The format of an archive that this content carries.
pub(super) fn find(content: &[u8], file_type: &FileType) -> Option<&'static str> {
    let range = match file_type.category.as_str() {
        "G" => content,
        "E" if content.starts_with(b"MZ") => content.get(overlay(content)?..)?,
        _ => return None,
    };
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
