//! What a content is, and whether its name says so.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let file_type = portcullis_engines::filetype::detect(content);
    let _ = portcullis_engines::filetype::mismatch::find("name.pdf", &file_type);
});
