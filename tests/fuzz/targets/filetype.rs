//! What a content is, and whether its name says so.
#![no_main]

use portcullis_engines::{filetype, fuzzing};

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    let file_type = filetype::detect(content);
    let _ = filetype::mismatch::find("name.pdf", &file_type);
});
