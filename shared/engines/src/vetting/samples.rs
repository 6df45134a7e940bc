//! Contents that rules are tried on: harmless ones of common kinds, and one that must be found. Made at run
//! time, so that nothing in this repository is a sample itself.

use std::io::{Cursor, Read, Write};
use std::sync::OnceLock;

/// A content with a name for people.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is.
    pub name: &'static str,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Bytes of the program sample.
const PROGRAM_BYTES: u64 = 1024 * 1024;

/// Contents that no rule may block.
pub fn known_clean() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let text = "The quick brown fox jumps over the lazy dog, 1234567890 times, and nobody minds.\r\n";
        let json = r#"{"id":4711,"name":"example","tags":["a","b"],"nested":{"url":"https://example.com/","ok":true}}"#;
        let html = "<!doctype html><html><head><title>Example</title><script>var a = 1; function f(x) { return x + a; }</script></head><body><p>Text</p></body></html>\n";
        let script = "#!/bin/sh\nset -eu\nfor name in \"$@\"; do\n  printf '%s\\n' \"$name\"\ndone\n";
        let base64 = "TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFkaXBpc2NpbmcgZWxpdC4K\n";
        let pdf = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
        let sample = |name, content: &[u8]| Sample { name, content: content.to_vec() };
        vec![
            sample("an empty file", b""),
            sample("plain text", text.repeat(4000).as_bytes()),
            sample("JSON", json.as_bytes()),
            sample("a web page", html.repeat(50).as_bytes()),
            sample("a shell script", script.as_bytes()),
            sample("Base64 text", base64.repeat(2000).as_bytes()),
            sample("a PDF document", pdf.as_bytes()),
            sample("a PNG image", &png()),
            sample("a ZIP archive", &zip(text.as_bytes())),
            sample("zeros", &vec![0; 256 * 1024]),
            sample("noise", &noise(512 * 1024)),
            sample("a program", &program()),
        ]
    })
}

/// Contents that must be found whatever rules are added.
pub fn known_bad() -> Vec<Sample> {
    // The standard anti-virus test file (eicar.org), in hex: this source is not one.
    let hex =
        "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a";
    vec![Sample { name: "the EICAR test file", content: hex::decode(hex).unwrap_or_default() }]
}

/// One grey pixel.
fn png() -> Vec<u8> {
    let hex =
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000 3a7e9b55 0000000a49444154789c63680000008200 81 77cd72b6 0000000049454e44ae426082";
    hex::decode(hex.replace(' ', "")).unwrap_or_default()
}

fn zip(content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let written = writer.start_file("readme.txt", zip::write::SimpleFileOptions::default()).is_ok() && writer.write_all(content).is_ok();
    writer.finish().ok().filter(|_| written).map(Cursor::into_inner).unwrap_or_default()
}

/// The same bytes each time (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The beginning of this very program: real code of a real linker.
fn program() -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open("/proc/self/exe") {
        let _ = file.take(PROGRAM_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::domain::report::FileType;
    use sha2::{Digest, Sha256};

    #[test]
    fn samples_are_what_they_say() {
        let of = |name: &str| known_clean().iter().find(|sample| sample.name == name).unwrap().content.clone();
        let mime = |name: &str| -> String {
            let FileType { mime, .. } = crate::filetype::detect(&of(name));
            mime
        };
        assert_eq!(mime("a PDF document"), "application/pdf");
        assert_eq!(mime("a PNG image"), "image/png");
        assert_eq!(mime("a ZIP archive"), "application/zip");
        assert!(of("a program").starts_with(b"\x7fELF"));
        let total: usize = known_clean().iter().map(|sample| sample.content.len()).sum();
        assert!((1_000_000..4_000_000).contains(&total), "{total}");
    }

    #[test]
    fn the_bad_sample_is_the_standard_test_file() {
        let sha256 = hex::encode(Sha256::digest(&known_bad()[0].content));
        assert_eq!(sha256, "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    }
}
