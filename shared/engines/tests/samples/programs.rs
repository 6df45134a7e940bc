//! Programs by construction. Sources: PE/COFF specification; System V gABI, chapters 4 and 5; Apple's `mach-o/loader.h`.

/// Characteristics of a section: code and executable, readable, writable.
pub const CODE: u32 = 0x2000_0020;
pub const READ: u32 = 0x4000_0000;
pub const WRITE: u32 = 0x8000_0000;

/// A section of a Windows program.
pub struct Section {
    pub name: &'static [u8],
    pub virtual_size: u32,
    pub characteristics: u32,
    pub data: Vec<u8>,
}

pub fn section(name: &'static [u8], characteristics: u32, data: Vec<u8>) -> Section {
    Section { name, virtual_size: u32::try_from(data.len()).unwrap(), characteristics, data }
}

/// A 32-bit Windows program: sections one after the other, pages of 4 KiB, from address 0x1000 on; entry point relative to the image.
pub fn pe(sections: &[Section], entry: u32, overlay: &[u8]) -> Vec<u8> {
    let round = |value: u32, to: u32| value.div_ceil(to) * to;
    let count = u16::try_from(sections.len()).unwrap();
    let headers = round(64 + 24 + 224 + 40 * u32::from(count), 512);
    let mut out = vec![0_u8; 64];
    out[..2].copy_from_slice(b"MZ");
    out[60] = 64;
    out.extend(b"PE\0\0\x4c\x01");
    out.extend(count.to_le_bytes());
    out.extend([0; 12]);
    out.extend(224_u16.to_le_bytes());
    out.extend(0x0102_u16.to_le_bytes());
    let mut optional = vec![0_u8; 224];
    let image = sections.iter().fold(0x1000, |at, s| at + round(s.virtual_size.max(1), 0x1000));
    for (at, value) in [
        (0, 0x10b),
        (16, entry),
        (20, 0x1000),
        (28, 0x40_0000),
        (32, 0x1000),
        (36, 0x200),
        (40, 4),
        (48, 4),
        (56, image),
        (60, headers),
        (68, 2),
        (92, 16),
    ] {
        optional[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    out.extend(optional);
    let (mut address, mut offset) = (0x1000, headers);
    for s in sections {
        let raw = round(u32::try_from(s.data.len()).unwrap(), 512);
        let mut name = s.name.to_vec();
        name.resize(8, 0);
        out.extend(name);
        for value in [s.virtual_size, address, raw, if raw == 0 { 0 } else { offset }, 0, 0, 0, s.characteristics] {
            out.extend(value.to_le_bytes());
        }
        address += round(s.virtual_size.max(1), 0x1000);
        offset += raw;
    }
    out.resize(headers as usize, 0);
    for s in sections {
        out.extend(&s.data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend(overlay);
    out
}

/// Code as compilers make it, more or less: few different bytes.
pub fn code(length: usize) -> Vec<u8> {
    b"\x55\x89\xe5\x83\xec\x10\x8b\x45\x08\x85\xc0\x74\x05\xe8\x10\0\0\0\xc9\xc3\x90\x90".iter().copied().cycle().take(length).collect()
}

/// A segment of an ELF program.
pub struct Segment {
    pub kind: u32,
    /// 1 executable, 2 writable, 4 readable.
    pub flags: u32,
    pub data: Vec<u8>,
}

pub fn load(flags: u32, data: Vec<u8>) -> Segment {
    Segment { kind: 1, flags, data }
}

/// A 64-bit little-endian ELF without sections; segments lie 64 KiB apart from 0x400000 on. The entry point is told in
/// (segment, offset), or as an address outside of all.
pub fn elf(kind: u16, segments: &[Segment], entry: Result<(u64, u64), u64>) -> Vec<u8> {
    let base = |n: u64| 0x40_0000 + n * 0x1_0000;
    let entry = entry.map_or_else(|address| address, |(segment, offset)| base(segment) + offset);
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(62_u16.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    for value in [entry, 64, 0] {
        out.extend(value.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    for value in [64, 56, u16::try_from(segments.len()).unwrap(), 64, 0, 0] {
        out.extend(value.to_le_bytes());
    }
    let mut offset = 64 + 56 * segments.len() as u64;
    for (n, segment) in segments.iter().enumerate() {
        out.extend(segment.kind.to_le_bytes());
        out.extend(segment.flags.to_le_bytes());
        let size = segment.data.len() as u64;
        for value in [offset, base(n as u64), base(n as u64), size, size, 0x1000] {
            out.extend(value.to_le_bytes());
        }
        offset += size;
    }
    for segment in segments {
        out.extend(&segment.data);
    }
    out
}

/// A 64-bit program for macOS with segments (name, protection: 1 read, 2 write, 4 execute; data), unsigned.
pub fn macho(segments: &[(&[u8], u32, Vec<u8>)]) -> Vec<u8> {
    let commands = 72 * u32::try_from(segments.len()).unwrap();
    let mut out = Vec::new();
    for value in [0xfeed_facf, 0x0100_0007, 3, 2, u32::try_from(segments.len()).unwrap(), commands, 0, 0] {
        out.extend(u32::to_le_bytes(value));
    }
    let mut offset = u64::from(32 + commands);
    for (n, (name, protection, data)) in segments.iter().enumerate() {
        out.extend(0x19_u32.to_le_bytes());
        out.extend(72_u32.to_le_bytes());
        let mut name = name.to_vec();
        name.resize(16, 0);
        out.extend(name);
        for value in [0x1_0000_0000 + n as u64 * 0x10_0000, data.len() as u64, offset, data.len() as u64] {
            out.extend(value.to_le_bytes());
        }
        for value in [*protection, *protection, 0, 0] {
            out.extend(value.to_le_bytes());
        }
        offset += data.len() as u64;
    }
    for (_, _, data) in segments {
        out.extend(data);
    }
    out
}
