//! Programs for macOS. Source: Apple's `mach-o/loader.h`.

use yara_x::mods;
use yara_x::mods::macho::{Macho, Segment};

use super::entropy;
use crate::engine::score::Score;

/// Points from which a program is suspicious.
const THRESHOLD: u32 = 5;
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;

/// The threat name of a program; of a universal one the worst of its parts.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    let macho = mods::invoke::<Macho>(content)?;
    let parts = macho
        .fat_arch
        .iter()
        .zip(&macho.file)
        .map(|(arch, file)| (usize::try_from(arch.offset()).unwrap_or(usize::MAX), &file.segments, file.code_signature_data.is_some()));
    std::iter::once((0, &macho.segments, macho.code_signature_data.is_some()))
        .chain(parts)
        .find_map(|(base, segments, signed)| weigh(content, base, segments, signed))
}

fn weigh(content: &[u8], base: usize, segments: &[Segment], signed: bool) -> Option<String> {
    let name = |segment: &Segment| String::from_utf8_lossy(segment.segname()).trim_end_matches('\0').to_owned();
    let data = |segment: &Segment| {
        let start = base.saturating_add(usize::try_from(segment.fileoff()).unwrap_or(usize::MAX));
        content.get(start..start.saturating_add(usize::try_from(segment.filesize()).unwrap_or(0)).min(content.len())).unwrap_or_default()
    };
    let mut score = Score::default();
    score.add(3, "WritableCode", segments.iter().any(|s| s.initprot() & (WRITE | EXECUTE) == WRITE | EXECUTE && s.filesize() > 0));
    score.add(3, "RandomCode", segments.iter().any(|s| s.initprot() & EXECUTE != 0 && data(s).len() > 8 * 1024 && entropy::of(data(s)) > 7.5));
    score.add(2, "PackerSegment", segments.iter().any(|s| matches!(name(s).as_str(), "__XHDR" | "upxTEXT" | "__MPRESS__")));
    let beyond = |s: &Segment| usize::try_from(s.fileoff().saturating_add(s.filesize())).is_ok_and(|end| base.saturating_add(end) > content.len());
    score.add(2, "BeyondTheFile", segments.iter().any(beyond));
    score.add(1, "Unsigned", !signed && !segments.is_empty());
    score.threat("Heur.MachO", THRESHOLD)
}
