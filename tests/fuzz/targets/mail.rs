//! Mail, and uploads wrapped like it.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["E-mail", "TNEF", "multipart/form-data"], content);
});
