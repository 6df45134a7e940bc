//! Archives with a directory of entries.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    portcullis_engines::fuzzing::unpack(&["ZIP"], content);
});
