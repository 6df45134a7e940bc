//! Documents that hold other files.
#![no_main]

use portcullis_engines::fuzzing;

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::unpack(&["OLE2", "Protected ODF", "RTF", "uuencode", "data: URIs"], content);
});
