//! The engines that parse: documents, PDF, scripts, executables, YARA-X's modules.
#![no_main]

use std::sync::LazyLock;

use portcullis_engines::{Definitions, fuzzing};

static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| Definitions::load(None, None));

libfuzzer_sys::fuzz_target!(init: fuzzing::start(), |content: &[u8]| {
    fuzzing::judge(&DEFINITIONS, content);
});
