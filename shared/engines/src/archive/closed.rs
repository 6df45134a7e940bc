//! Containers that are known by their marks, and that nobody here opens.

use memchr::memmem;

use super::streams::is_legacy_lz4;
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
    // gzip unpacks them too: its own magic of before 1993, pack (a length, then at most 25 levels), and LZH.
    let byte = |at: usize| content.get(at).copied().unwrap_or_default();
    if (has(0, b"\x1f\x9e\x08") && byte(3) < 0x20) || (has(0, b"\x1f\x1e") && (1..=25).contains(&byte(6))) || has(0, b"\x1f\xa0") {
        return Some("old gzip, pack or LZH");
    }
    // Zstandard before its format was fixed (0.1 to 0.7).
    if has(1, b"\xb5\x2f\xfd") && matches!(byte(0), 0x1e | 0x22..=0x27) {
        return Some("Zstandard of before 0.8");
    }
    if is_legacy_lz4(content) {
        return Some("LZ4 legacy frames");
    }
    // deb-old(5): the version's digits, then the length of the first part.
    if has(0, b"0.93") && byte(8) == b'\n' {
        return Some("Debian package of before 1995");
    }
    if has(0, b"\x45\x3d\xcd\x28") || has(0, b"\x28\xcd\x3d\x45") {
        return Some("cramfs");
    }
    if has(0, b"\x8f\xaf\xac\x84") {
        return Some("PPMd");
    }
    if has(64, b"\x7f\x10\xda\xbe") {
        return Some("VirtualBox disk image");
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
