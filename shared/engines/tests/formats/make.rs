//! One archive of each format, made at run time. Each holds a text and the EICAR test file.

use std::io::{Cursor, Write};

use sevenz_rust2::encoder_options::AesEncoderOptions;
use sevenz_rust2::{ArchiveEntry, ArchiveWriter, EncoderConfiguration, EncoderMethod, Password};

use crate::common::{eicar, encrypted, zip};

pub(crate) const TEXT: &[u8] = b"A text that is in the archive as well, long enough to be compressed: text, text, text, text, text.\n";

/// An archive and what is known of it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Bytes at its start that make it what it is: without them it is another content.
    pub(crate) magic: usize,
    /// Whether a checksum covers the content of entries.
    pub(crate) checked: bool,
}

fn sample(name: &'static str, magic: usize, checked: bool, bytes: Vec<u8>) -> Sample {
    Sample { name, bytes, magic, checked }
}

/// The two entries that multi-entry formats have.
pub(crate) fn entries() -> Vec<(&'static str, Vec<u8>)> {
    vec![("text.txt", TEXT.to_vec()), ("eicar.com", eicar())]
}

pub(crate) fn samples() -> Vec<Sample> {
    let eicar = eicar();
    let tar = tar(&entries());
    vec![
        sample("a.com.gz", 3, true, gzip(&eicar)),
        sample("a.com.bz2", 10, true, bzip2(&eicar)),
        sample("a.com.xz", 6, true, xz(&eicar)),
        sample("a.com.zst", 4, true, zstd(&eicar)),
        sample("a.com.lz4", 4, true, lz4(&eicar)),
        sample("a.com.lzma", 14, false, lzma(&eicar)),
        sample("a.co_", 14, false, szdd(&eicar)),
        sample("a.tar.gz", 3, true, gzip(&tar)),
        sample("a.tar", 512, false, tar),
        sample("a.a", 9, false, ar(&entries())),
        sample("newc.cpio", 6, false, cpio_newc(&entries())),
        sample("odc.cpio", 6, false, cpio_odc(&entries())),
        sample("bin.cpio", 2, false, cpio_bin(&entries())),
        sample("a.rpm", 4, true, rpm(&gzip(&cpio_newc(&entries())))),
        sample("a.7z", 6, true, sevenz(&entries(), &[EncoderMethod::LZMA2.into()])),
        sample("copy.7z", 6, true, sevenz(&entries(), &[EncoderMethod::COPY.into()])),
        sample("a.rar", 7, true, rar(&entries(), rars::ArchiveVersion::Rar50, |builder| builder)),
        sample("old.rar", 7, true, rar(&entries(), rars::ArchiveVersion::Rar29, |builder| builder)),
        sample("solid.rar", 7, true, rar(&entries(), rars::ArchiveVersion::Rar50, |builder| builder.solid(true))),
        sample("a.cab", 8, true, cab(&entries(), cab::CompressionType::MsZip)),
        sample("stored.cab", 8, true, cab(&entries(), cab::CompressionType::None)),
        sample("a.iso", 0, false, iso(&entries())),
        sample("a.zip", 4, true, zip(&entries().iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())),
    ]
}

/// Archives that need the password `right`.
pub(crate) fn locked() -> Vec<(&'static str, Vec<u8>)> {
    let aes = || EncoderConfiguration::from(AesEncoderOptions::new(Password::from("right")));
    let rar_of = |version, headers: bool, solid: bool| {
        rar(&entries(), version, |builder| builder.password(Some(b"right".to_vec())).header_encryption(headers).solid(solid))
    };
    vec![
        ("aes.zip", encrypted("eicar.com", &eicar(), "right", true)),
        ("zipcrypto.zip", encrypted("eicar.com", &eicar(), "right", false)),
        ("content.7z", sevenz_with(&entries(), &[aes(), EncoderMethod::LZMA2.into()], false)),
        ("header.7z", sevenz_with(&entries(), &[aes(), EncoderMethod::LZMA2.into()], true)),
        ("content.rar", rar_of(rars::ArchiveVersion::Rar50, false, false)),
        ("header.rar", rar_of(rars::ArchiveVersion::Rar50, true, false)),
        ("solid.rar", rar_of(rars::ArchiveVersion::Rar50, false, true)),
        ("old.rar", rar_of(rars::ArchiveVersion::Rar29, false, false)),
    ]
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn lzma(content: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::with_preset(1);
    let mut encoder = lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, Some(content.len() as u64)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn lz4(content: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Of literals only: a byte that says so before every eight.
pub(crate) fn szdd(content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let groups = content.chunks(8).flat_map(|eight| [&[0xff], eight].concat());
    b"SZDD\x88\xf0\x27\x33Am".iter().copied().chain(size).chain(groups).collect()
}

pub(crate) fn tar(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn ar(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in entries {
        out.extend(format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", format!("{name}/"), 0, 0, 0, 644, content.len()).into_bytes());
        out.extend(content);
        if out.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn with_trailer(entries: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>, u32)> {
    let mut all: Vec<_> = entries.iter().map(|(name, content)| ((*name).to_string(), content.clone(), 0o100_644)).collect();
    all.push(("TRAILER!!!".into(), Vec::new(), 0));
    all
}

pub(crate) fn cpio_newc(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, mode) in with_trailer(entries) {
        let fields = [1, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        out.extend(b"070701");
        fields.iter().for_each(|field| out.extend(format!("{field:08x}").into_bytes()));
        out.extend(name.bytes().chain([0]));
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

pub(crate) fn cpio_odc(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, mode) in with_trailer(entries) {
        let head =
            format!("070707{:06o}{:06o}{mode:06o}{:06o}{:06o}{:06o}{:06o}{:011o}{:06o}{:011o}", 0, 1, 0, 0, 1, 0, 0, name.len() + 1, content.len());
        out.extend(head.into_bytes());
        out.extend(name.bytes().chain([0]));
        out.extend(content);
    }
    out
}

pub(crate) fn cpio_bin(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, mode) in with_trailer(entries) {
        let fields = [0o070_707, 0, 1, mode as u16, 0, 0, 1, 0, 0, 0, name.len() as u16 + 1, 0, content.len() as u16];
        fields.iter().for_each(|field| out.extend(field.to_le_bytes()));
        out.extend(name.bytes().chain([0]));
        out.resize(out.len().next_multiple_of(2), 0);
        out.extend(content);
        out.resize(out.len().next_multiple_of(2), 0);
    }
    out
}

pub(crate) fn rpm(payload: &[u8]) -> Vec<u8> {
    let mut out = b"\xed\xab\xee\xdb\x03\x00".to_vec();
    out.resize(96, 0);
    for data in [5_u32, 16] {
        out.extend(b"\x8e\xad\xe8\x01\0\0\0\0");
        out.extend(1_u32.to_be_bytes());
        out.extend(data.to_be_bytes());
        out.extend([0; 16]);
        out.extend(vec![b'x'; data as usize]);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out.extend(payload);
    out
}

pub(crate) fn sevenz_with(entries: &[(&str, Vec<u8>)], methods: &[EncoderConfiguration], header: bool) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    writer.set_content_methods(methods.to_vec());
    writer.set_encrypt_header(header);
    for (name, content) in entries {
        writer.push_archive_entry(ArchiveEntry::new_file(name), Some(content.as_slice())).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn sevenz(entries: &[(&str, Vec<u8>)], methods: &[EncoderConfiguration]) -> Vec<u8> {
    sevenz_with(entries, methods, false)
}

pub(crate) fn rar(entries: &[(&str, Vec<u8>)], version: rars::ArchiveVersion, set: impl Fn(rars::Builder) -> rars::Builder) -> Vec<u8> {
    let mut builder = set(rars::Builder::new(version));
    for (name, content) in entries {
        builder.add_bytes(name.as_bytes().to_vec(), content.clone(), None, None).unwrap();
    }
    builder.to_bytes().unwrap()
}

pub(crate) fn cab(entries: &[(&str, Vec<u8>)], method: cab::CompressionType) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(method);
    for (name, _) in entries {
        folder.add_file(*name);
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).unwrap();
    let mut left = entries.iter();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(&left.next().unwrap().1).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A compound file with one stream.
pub(crate) fn compound(stream: &str) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_stream(stream).unwrap().write_all(&[0; 9_000]).unwrap();
    file.into_inner().into_inner()
}

fn both(value: usize) -> Vec<u8> {
    [(value as u32).to_le_bytes(), (value as u32).to_be_bytes()].concat()
}

/// A directory record.
pub(crate) fn record(name: &[u8], sector: usize, size: usize, flags: u8) -> Vec<u8> {
    let length = (33 + name.len()).next_multiple_of(2);
    let mut out = [&[length as u8, 0][..], &both(sector), &both(size), &[0; 7], &[flags, 0, 0], &[1, 0, 0, 1], &[name.len() as u8], name].concat();
    out.resize(length, 0);
    out
}

/// A volume descriptor with its root directory in a sector of its own.
pub(crate) fn volume(kind: u8, root: usize, sectors: usize) -> Vec<u8> {
    let mut out = vec![0; 2048];
    out[0] = kind;
    out[1..7].copy_from_slice(b"CD001\x01");
    out[80..88].copy_from_slice(&both(sectors));
    if kind == 2 {
        out[88..91].copy_from_slice(b"%/E");
    }
    out[128..132].copy_from_slice(&[0, 8, 8, 0]);
    if kind != 255 {
        let record = record(&[0], root, 2048, 2);
        out[156..156 + record.len()].copy_from_slice(&record);
    }
    out
}

/// An image: descriptors in sectors 16 and 17, the root directory in 20, a file in every sector from 21 on.
pub(crate) fn iso(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0; 16 * 2048];
    out.extend(volume(1, 20, 21 + entries.len()));
    out.extend(volume(255, 0, 0));
    out.resize(20 * 2048, 0);
    let mut root = [record(&[0], 20, 2048, 2), record(&[1], 20, 2048, 2)].concat();
    for (n, (name, content)) in entries.iter().enumerate() {
        root.extend(record(format!("{};1", name.to_uppercase()).as_bytes(), 21 + n, content.len(), 0));
    }
    root.resize(2048, 0);
    out.extend(root);
    for (_, content) in entries {
        out.extend(content);
        out.resize(out.len().next_multiple_of(2048), 0);
    }
    out
}
