//! File systems of discs that nobody here opens, by the marks that their readers go by.
//!
//! An image that has one beside a file system that is opened shows other files to programs that prefer it (Windows takes
//! UDF, macOS takes HFS), so it is reported as not looked into. What always holds: a mark counts where a reader looks for
//! it. A row of a partition map alone says nothing: what distributions of Linux mark as Apple's there, for machines to
//! start from, mostly is FAT. Boot partitions of FAT are scanned as they are, and their files not taken out.

/// Where the volume recognition area begins (ECMA-167 2/8.3), and how far Linux goes on looking through it.
const RECOGNITION: std::ops::Range<usize> = 0x8000..0x80_8000;
/// Rows of partition tables that are looked at.
const ROWS: usize = 128;

/// Whether there is a UDF file system (ECMA-167 3/9.1).
pub(super) fn has_udf(content: &[u8]) -> bool {
    let area = content.get(RECOGNITION.start..content.len().min(RECOGNITION.end)).unwrap_or_default();
    area.chunks(2048).any(|sector| matches!(sector.get(1..6), Some(b"NSR02" | b"NSR03")))
}

/// Whether there is a volume of HFS, HFS+ or APFS: the whole content, or in a partition.
pub(super) fn has_apple(content: &[u8]) -> bool {
    starts(content).into_iter().any(|at| content.get(at..).is_some_and(is_apple))
}

/// Whether it is of the format in front of ISO 9660, which Linux and Windows still read.
pub(super) fn is_high_sierra(content: &[u8]) -> bool {
    content.get(RECOGNITION.start + 9..).is_some_and(|mark| mark.starts_with(b"CDROM\x01"))
}

/// Whether it is a copy of a disc's sectors with all that surrounds their data (ECMA-130 §14: the synchronisation field).
pub(super) fn is_raw(content: &[u8]) -> bool {
    content.starts_with(b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0")
}

fn is_apple(volume: &[u8]) -> bool {
    // Apple TN1150, "Volume Header": signature and version; Apple File System Reference, `nx_superblock_t`.
    let header = volume.get(1024..).unwrap_or_default();
    if header.starts_with(b"H+\0\x04") || header.starts_with(b"HX\0\x05") || volume.get(32..36) == Some(b"NXSB") {
        return true;
    }
    // Inside Macintosh, "Master Directory Blocks": `BD` alone is how a text goes on.
    let fields = || {
        let block = u32::from_be_bytes(*header.get(20..)?.first_chunk::<4>()?);
        let name = *header.get(36)?;
        (header.starts_with(b"BD") && block > 0 && block % 512 == 0 && (1..=27).contains(&name)).then_some(())
    };
    fields().is_some()
}

/// Where volumes may begin: the content itself, and what the partition tables tell (Apple's, GUID, master boot record).
fn starts(content: &[u8]) -> Vec<usize> {
    let little = |at: usize| usize::try_from(u32::from_le_bytes(*content.get(at..)?.first_chunk::<4>()?)).ok();
    let long = |at: usize| usize::try_from(u64::from_le_bytes(*content.get(at..)?.first_chunk::<8>()?)).ok();
    let mut found = vec![0];
    for block in [512, 2048] {
        found.extend((1..=ROWS).filter_map(|row| {
            let row = content.get(row * block..)?.strip_prefix(b"PM")?;
            usize::try_from(u32::from_be_bytes(*row.get(6..)?.first_chunk::<4>()?)).ok()?.checked_mul(block)
        }));
        if content.get(block..block + 8) == Some(b"EFI PART") {
            let row = |row: usize| long(block + 72)?.checked_mul(block)?.checked_add(row.checked_mul(little(block + 84)?)?);
            found.extend((0..ROWS).filter_map(|n| long(row(n)?.checked_add(32)?)?.checked_mul(block)));
        }
    }
    if content.get(510..512) == Some(b"\x55\xaa") {
        found.extend((0..4).filter_map(|row| little(446 + 16 * row + 8)?.checked_mul(512)));
    }
    found
}
