//! ZIP and what is made of it.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["ZIP"], content);
});
