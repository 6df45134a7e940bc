//! Programs as packers, infectors and droppers leave them; and as compilers and installers do.

use super::programs::{CODE, READ, Section, Segment, WRITE, code, elf, load, macho, pe, section};
use super::{Sample, labelled, noise};

const RX: u32 = CODE | READ;
const RW: u32 = READ | WRITE;
const RWX: u32 = CODE | READ | WRITE;

fn text() -> Section {
    section(b".text", RX, code(20_000))
}

fn data() -> Section {
    section(b".data", RW, vec![1; 3_000])
}

fn interpreter(path: &str) -> Segment {
    Segment { kind: 3, flags: 4, data: format!("{path}\0").into_bytes() }
}

pub(super) fn samples() -> Vec<Sample> {
    let itself: Vec<u8> = std::fs::read("/bin/sh").or_else(|_| std::fs::read("/proc/self/exe")).unwrap();
    let small = pe(&[text(), data()], 0x1000, b"");
    let archive = [&b"PK\x03\x04"[..], &noise(200_000)].concat();
    let samples = vec![
        ("Heur.PE.", true, "exe", pe(&[section(b".aspack", RWX, noise(30_000)), data()], 0x1000, b"")),
        ("Heur.PE.", true, "exe", pe(&[section(b".text", RWX, code(5_000)), data()], 0x90_0000, b"")),
        ("Heur.PE.", true, "exe", pe(&[text(), data(), section(b".xyz", RWX, noise(30_000))], 0x7000, b"")),
        ("Heur.PE.", true, "exe", pe(&[section(b"\x01\x02\x03", RWX, code(5_000)), data()], 0x1000, &small)),
        ("Heur.PE.", true, "exe", pe(&[text(), section(b".data", RW, code(5_000)), section(b"\xff\xfe", RWX, code(600))], 0x6000, &small)),
        ("Heur.PE.", true, "dll", pe(&[section(b".vmp0", RWX, noise(90_000))], 0x1000, &noise(200_000))),
        ("Heur.ELF.", true, "elf", elf(2, &[load(7, noise(40_000))], Ok((0, 0)))),
        ("Heur.ELF.", true, "elf", elf(2, &[load(5, code(9_000)), load(6, vec![1; 900])], Err(0x90_0000))),
        ("Heur.ELF.", true, "elf", elf(2, &[load(5, code(9_000)), load(6, code(900))], Ok((1, 16)))),
        ("Heur.ELF.", true, "elf", elf(2, &[load(5, [&b"\x6a\x29\x58\x99\x6a\x02\x5f"[..], &code(200)].concat())], Ok((0, 0)))),
        ("Heur.ELF.", true, "elf", elf(3, &[interpreter("/tmp/.x/ld.so"), load(5, code(9_000))], Ok((1, 0)))),
        ("Heur.MachO.", true, "macho", macho(&[(b"__TEXT", 7, noise(60_000))])),
        ("Heur.Name.", true, "invoice.pdf.exe", small.clone()),
        ("Heur.Name.", true, "annex\u{202e}fdp.exe", small.clone()),
        // Harmless.
        ("Heur.", false, "exe", small.clone()),
        ("Heur.", false, "setup.exe", pe(&[text(), data(), section(b".rsrc", READ, noise(90_000))], 0x1000, &archive)),
        (
            "Heur.",
            false,
            "upx.exe",
            pe(&[Section { virtual_size: 0x2_0000, ..section(b"UPX0", RWX, Vec::new()) }, section(b"UPX1", RX, code(9_000)), data()], 0x2_1000, b""),
        ),
        ("Heur.", false, "resources.dll", pe(&[section(b".rsrc", READ, noise(90_000))], 0, b"")),
        ("Heur.", false, "sh", itself),
        ("Heur.", false, "elf", elf(3, &[interpreter("/lib64/ld-linux-x86-64.so.2"), load(5, code(9_000)), load(6, vec![1; 900])], Ok((1, 0)))),
        ("Heur.", false, "macho", macho(&[(b"__TEXT", 5, code(60_000)), (b"__DATA", 3, noise(9_000))])),
        ("Heur.", false, "tool-1.2.exe", small),
    ];
    labelled("Executables", samples)
}
