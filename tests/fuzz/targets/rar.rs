//! RAR.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["RAR"], content);
});
