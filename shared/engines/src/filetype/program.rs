//! Kinds of programs.

use portcullis_core::domain::report::FileType;

use super::named;

/// Extensions of Windows programs and libraries; which is which, the file does not say.
const WINDOWS: &[&str] =
    &["exe", "dll", "sys", "scr", "com", "ocx", "cpl", "drv", "efi", "pyd", "node", "ax", "acm", "mui", "xll", "winmd", "tsp", "fon", "ime", "pif"];

/// By the file header and the optional header (PE/COFF specification); `None` for a program for DOS.
pub(super) fn pe(content: &[u8]) -> Option<FileType> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(content.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(content.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let header = usize::try_from(u32_at(0x3c)?).ok()?;
    content.get(header..)?.starts_with(b"PE\0\0").then_some(())?;
    let optional = header.checked_add(24)?;
    let (bits, directories) = match u16_at(optional)? {
        0x10b => ("PE32", optional + 96),
        0x20b => ("PE32+", optional + 112),
        _ => return None,
    };
    let library = u16_at(header + 22)? & 0x2000 != 0;
    let role = match (library, u16_at(optional + 68)?) {
        (_, 1) => "driver",
        (_, 10..=13) => "EFI program",
        (true, _) => "library",
        (false, 3) => "console program",
        (false, _) => "program",
    };
    let machine = match u16_at(header + 4)? {
        0x014c => "x86",
        0x8664 => "x86-64",
        0x01c0 | 0x01c4 => "ARM",
        0xaa64 => "ARM64",
        _ => "other processor",
    };
    // Entry 14: the header of .NET programs.
    let dotnet = u32_at(directories + 14 * 8).is_some_and(|address| address != 0);
    let description = format!("{bits} {role} for Windows, {machine}{}", if dotnet { ", .NET" } else { "" });
    Some(named("application/vnd.microsoft.portable-executable", &description, WINDOWS, "E"))
}

/// By `e_type`, in the byte order of `e_ident[EI_DATA]` (System V gABI, chapter 4).
pub(super) fn elf(content: &[u8]) -> FileType {
    let pair = (content.get(16).copied().unwrap_or(0), content.get(17).copied().unwrap_or(0));
    let kind = if content.get(5) == Some(&2) { pair.1 } else { pair.0 };
    let bits = if content.get(4) == Some(&2) { "64-bit" } else { "32-bit" };
    let (mime, what) = match kind {
        1 => ("application/x-object", "relocatable"),
        3 => ("application/x-sharedlib", "shared object or program"),
        4 => ("application/x-coredump", "core file"),
        _ => ("application/x-executable", "executable"),
    };
    named(mime, &format!("ELF {bits} {what}"), &[], "E")
}
