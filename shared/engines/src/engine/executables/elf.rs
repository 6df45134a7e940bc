//! Linux programs. Source: System V gABI, chapters 4 and 5.
//!
//! The parser knows only addresses of the file as it says them; segments are read here once more, because hostile
//! files have no sections.

use yara_x::mods;
use yara_x::mods::elf::ELF;

use super::entropy;
use crate::engine::score::Score;

/// Points from which a program is suspicious.
const THRESHOLD: u32 = 5;
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
const PT_LOAD: i32 = 1;
const PT_INTERP: i32 = 3;

/// The threat name of a program.
pub(super) fn judge(content: &[u8]) -> Option<String> {
    let elf = mods::invoke::<ELF>(content)?;
    // ET_EXEC and ET_DYN run; objects and cores do not.
    let kind = u16::from_le_bytes([*content.get(16)?, *content.get(17)?]);
    let kind = if content.get(5) == Some(&2) { kind.swap_bytes() } else { kind };
    if !matches!(kind, 2 | 3) {
        return None;
    }
    let mut score = Score::default();
    let of_kind = |wanted: i32| elf.segments.iter().filter(move |s| s.type_.map(|t| t.value()) == Some(wanted));
    let data = |offset: i64, size: i64| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        content.get(start..start.saturating_add(usize::try_from(size).unwrap_or(0)).min(content.len())).unwrap_or_default()
    };
    let loads: Vec<_> = of_kind(PT_LOAD).collect();
    let no_sections = elf.sections.is_empty();
    score.add(
        4,
        "RandomCode",
        loads
            .iter()
            .any(|s| s.flags() & EXECUTE != 0 && s.file_size() > 8 * 1024 && !is_upx(content) && entropy::of(data(s.offset(), s.file_size())) > 7.5),
    );
    score.add(3, "WritableCode", loads.iter().any(|s| s.flags() & (EXECUTE | WRITE) == EXECUTE | WRITE && s.file_size() > 0));
    score.add(2, "NoSections", no_sections && !is_upx(content));
    // The parser gives the offset of the entry point; it has none for one that no segment holds.
    let entry = raw_entry(content).unwrap_or(0);
    let holder = loads.iter().find(|s| entry >= s.virtual_address() && entry - s.virtual_address() < s.memory_size());
    score.add(4, "EntryOutside", kind == 2 && entry != 0 && !loads.is_empty() && holder.is_none());
    score.add(3, "EntryNotExecutable", kind == 2 && holder.is_some_and(|s| s.flags() & EXECUTE == 0));
    score.add(
        3,
        "EntryInLastSegment",
        loads.len() > 2
            && entry != 0
            && holder.is_some_and(|s| loads.last().is_some_and(|last| std::ptr::eq(*s, *last)) && s.flags() & EXECUTE != 0)
            && !in_text(&elf, content, entry),
    );
    let interpreter = of_kind(PT_INTERP).next().map(|s| String::from_utf8_lossy(data(s.offset(), s.file_size())).trim_end_matches('\0').to_owned());
    let usual = ["/lib", "/usr/", "/system/", "/nix/", "/gnu/", "/libexec", "/data/", "@", "/home/linuxbrew", "/opt/"];
    score.add(3, "OddInterpreter", interpreter.is_some_and(|path| !path.is_empty() && !usual.iter().any(|prefix| path.starts_with(prefix))));
    score.add(3, "TinyLoader", content.len() < 1_024 && loads.len() <= 1 && has_socket_code(content));
    score.threat("Heur.ELF", THRESHOLD)
}

/// Packed by UPX, whose programs have neither sections nor ordinary code: common among honest programs.
fn is_upx(content: &[u8]) -> bool {
    memchr::memmem::find(content.get(..4_096).unwrap_or(content), b"UPX!").is_some()
}

/// `e_entry`.
fn raw_entry(content: &[u8]) -> Option<i64> {
    let big = content.get(5) == Some(&2);
    if content.get(4) == Some(&2) {
        let bytes: [u8; 8] = content.get(24..32)?.try_into().ok()?;
        Some(if big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) })
    } else {
        let bytes: [u8; 4] = content.get(24..28)?.try_into().ok()?;
        Some(i64::from(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }))
    }
}

/// Whether the entry point is in a section that is called what compilers call code.
fn in_text(elf: &ELF, _content: &[u8], entry: i64) -> bool {
    elf.sections.iter().any(|s| (s.name() == ".text" || s.name().starts_with(".init")) && entry >= s.address() && entry - s.address() < s.size())
}

/// `socket` and `connect` or `mmap` as system calls, as small loaders make them.
fn has_socket_code(content: &[u8]) -> bool {
    let codes: [&[u8]; 4] = [&[0x6a, 0x29, 0x58], &[0x6a, 0x09, 0x58, 0x99], &[0xb0, 0x66, 0x89, 0xe1, 0xcd, 0x80], &[0x6a, 0x66, 0x58]];
    codes.iter().any(|code| memchr::memmem::find(content, code).is_some())
}
