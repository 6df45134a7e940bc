//! Disk images and self-extracting programs.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["ISO 9660", "Self-extracting"], content);
});
