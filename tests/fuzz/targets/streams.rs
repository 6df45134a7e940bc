//! Streams of one content.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["gzip", "bzip2", "xz", "LZMA", "Zstandard", "LZ4", "MS-DOS compress (SZDD)"], content);
});
