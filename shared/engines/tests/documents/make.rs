//! Documents made to measure.

use std::io::{Cursor, Write};

use crate::common::eicar;

/// A compound file with these streams; storages are made as needed.
pub(crate) fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    for (path, content) in streams {
        if let Some((storage, _)) = path.rsplit_once('/').filter(|(storage, _)| !storage.is_empty()) {
            file.create_storage_all(storage).unwrap();
        }
        file.create_stream(path).unwrap().write_all(content).unwrap();
    }
    file.into_inner().into_inner()
}

/// What follows the size in a package stream, and the class in an OLE 1.0 object.
pub(crate) fn package(name: &str, data: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let name = [name.as_bytes(), b"\0"].concat();
    let (start, size, data_size) = (b"\x02\0".to_vec(), length(name.len()), length(data.len()));
    [&start[..], &name, b"C:\\x\\y\0", &[0, 0, 3, 0], &size, &name, &data_size, data].concat()
}

/// A stream `\x01Ole10Native`.
pub(crate) fn native(name: &str, data: &[u8]) -> Vec<u8> {
    let package = package(name, data);
    [&u32::try_from(package.len()).unwrap().to_le_bytes()[..], &package].concat()
}

/// An OLE 1.0 object, as RTF has them.
pub(crate) fn object(class: &str, data: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let class = [class.as_bytes(), b"\0"].concat();
    let (class_size, size) = (length(class.len()), length(data.len()));
    [&[1, 5, 0, 0, 2, 0, 0, 0][..], &class_size, &class, &[0; 8], &size, data].concat()
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, n| word << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let letter = char::from(LETTERS[(word >> (18 - 6 * n) & 63) as usize]);
            out.push(if n <= three.len() { letter } else { '=' });
        }
        if out.len() % 78 == 76 {
            out.push_str("\r\n");
        }
    }
    out
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A PDF of these objects: number, dictionary (or other object), stream. Without a table, which readers do not need either.
pub(crate) fn pdf(objects: &[(u32, &str, Option<&[u8]>)]) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [] /Count 0 >> endobj\n".to_vec();
    for (number, dictionary, stream) in objects {
        out.extend(format!("{number} 0 obj\n").bytes());
        match stream {
            Some(data) => {
                out.extend(format!("<< /Length {} {dictionary} >>\nstream\n", data.len()).bytes());
                out.extend(*data);
                out.extend(b"\nendstream");
            }
            None => out.extend(dictionary.bytes()),
        }
        out.extend(b"\nendobj\n");
    }
    out.extend(b"trailer << /Root 1 0 R >>\nstartxref\n0\n%%EOF\n");
    out
}

/// A mail with the test file attached.
pub(crate) fn mail() -> String {
    let body = base64(&eicar());
    format!(
        "From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"XX\"\r\n\r\n\
         preamble\r\n--XX\r\nContent-Type: text/plain\r\n\r\nhello\r\n--XX\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=\"eicar.com\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n--XX--\r\n"
    )
}
