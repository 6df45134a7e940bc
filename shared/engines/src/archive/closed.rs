//! Containers that are known by their marks, and that nobody here opens.

use memchr::memmem;

use super::volumes;

/// Where the marks of installers are looked for behind a program.
const OVERLAY_HEAD: usize = 64 * 1024;

/// The name of the container that a content is.
pub(super) fn find(content: &[u8]) -> Option<&'static str> {
    let has = |at: usize, mark: &[u8]| content.get(at..).is_some_and(|rest| rest.starts_with(mark));
    // UID 3 of an installation file for EPOC (Symbian OS, "SIS file format").
    if has(8, b"\x19\x04\x00\x10") {
        return Some("Symbian installation file");
    }
    // [MS-OXTNEF] §2.1.3.2.
    if has(0, b"\x78\x9f\x3e\x22") {
        return Some("TNEF (`winmail.dat`)");
    }
    // The payload of packages with files over 4 GiB: sizes and names stand in the package's own header.
    if has(0, b"07070X") {
        return Some("RPM payload without names");
    }
    if has(0, b"KWAJ\x88\xf0\x27\xd1") {
        return Some("MS-DOS compress (KWAJ)");
    }
    if volumes::has_udf(content) {
        return Some("UDF");
    }
    if volumes::has_apple(content) {
        return Some("a disk image of Apple's (HFS, APFS)");
    }
    if volumes::is_high_sierra(content) || volumes::is_raw(content) {
        return Some("a disc image (High Sierra or raw sectors)");
    }
    let head = content.get(..4096).unwrap_or(content);
    memmem::find(head, b"(This file must be converted with BinHex").map(|_| "BinHex")
}

/// The name of the installer whose archive lies behind a program.
pub(super) fn installer(overlay: &[u8]) -> Option<&'static str> {
    let head = overlay.get(..OVERLAY_HEAD).unwrap_or(overlay);
    let has = |mark: &[u8]| memmem::find(head, mark).is_some();
    if has(b"\xef\xbe\xad\xdeNullsoftInst") {
        Some("NSIS")
    } else if memmem::find(overlay, b"Inno Setup Setup Data").is_some() {
        Some("Inno Setup")
    } else {
        None
    }
}
