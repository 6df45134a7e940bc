//! Files that the suites send, made at run time.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::{FullFileOptions, SimpleFileOptions};

/// The EICAR test file, put together at run time: no scanner shall stop at this source.
pub fn eicar() -> Vec<u8> {
    [&br"X5O!P%@AP[4\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"].concat()
}

/// A content that no other test sends, so that its digests are its own.
pub fn unique(text: &str) -> Vec<u8> {
    format!("{text} {}\n", uuid::Uuid::new_v4()).into_bytes()
}

/// A ZIP of these files, deflated.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A ZIP with one AES-256 entry.
pub fn encrypted_zip(name: &str, content: &[u8], password: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options: FullFileOptions<'_, '_> = FullFileOptions::default().with_aes_encryption(zip::AesMode::Aes256, password);
    writer.start_file(name, options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A ZIP with one entry of so many zero bytes.
pub fn zeros(bytes: u64) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros", SimpleFileOptions::default().large_file(true)).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes), &mut writer).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A ZIP with so many empty entries.
pub fn empty_entries(count: usize) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..count {
        writer.start_file(n.to_string(), SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A ZIP whose only entry is a symbolic link.
pub fn symlink(target: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", target, SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A stored ZIP of one text file whose headers (local and central) say another size.
pub fn lying_zip(really: usize, says: u32) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a.txt", SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
    writer.write_all(&vec![b'x'; really]).unwrap();
    let mut archive = writer.finish().unwrap().into_inner();
    let true_size = u32::try_from(really).unwrap().to_le_bytes();
    for signature in [&b"PK\x03\x04"[..], b"PK\x01\x02"] {
        let at = archive.windows(4).position(|window| window == signature).unwrap();
        // The uncompressed size is the last of the two sizes that follow the CRC (APPNOTE 4.3.7, 4.3.12).
        let field = at + if signature[2] == 3 { 22 } else { 24 };
        assert_eq!(archive[field..field + 4], true_size);
        archive[field..field + 4].copy_from_slice(&says.to_le_bytes());
    }
    archive
}

/// A ZIP with two central entries that point at the same bytes.
pub fn overlapping_zip() -> Vec<u8> {
    let honest = zip(&[("a.txt", b"x")]);
    let central = honest.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let end = honest.windows(4).position(|window| window == b"PK\x05\x06").unwrap();
    let entry = &honest[central..end];
    let mut archive = [&honest[..end], entry, &honest[end..]].concat();
    let end = end + entry.len();
    for field in [end + 8, end + 10] {
        archive[field..field + 2].copy_from_slice(&2_u16.to_le_bytes());
    }
    let size = u32::try_from(entry.len() * 2).unwrap();
    archive[end + 12..end + 16].copy_from_slice(&size.to_le_bytes());
    archive
}

/// `content` wrapped so many times.
pub fn nested(content: &[u8], levels: usize) -> Vec<u8> {
    (0..levels).fold(content.to_vec(), |inner, level| zip(&[(&format!("level{level}.zip"), &inner)]))
}
