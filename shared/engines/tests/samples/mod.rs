//! The labelled set: what each engine has to find, and what looks like it and is harmless. Made at run time, so that nothing
//! in this repository is a sample itself; a `·` in a text stands in the middle of a telling word and is taken out.
//!
//! Used by the tests, by `examples/measure.rs` for the README's table, and by the fidelity lane `oracles`.

#![allow(dead_code, unreachable_pub, reason = "every user needs a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a sample that can not be made fails its test")]

mod documents;
mod executables;
mod pdf;
pub mod programs;
mod rules;
mod scripts;

/// A content with a label.
pub struct Sample {
    /// File name; no two are the same.
    pub name: String,
    /// The engine it is for.
    pub engine: &'static str,
    /// What is to be found: a bundled rule of YARA, or a part of the threat's name. For harmless ones: what is not.
    pub sign: &'static str,
    /// Whether it is to be found.
    pub bad: bool,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// All of them.
pub fn all() -> Vec<Sample> {
    let mut samples = rules::samples();
    samples.extend(documents::samples());
    samples.extend(pdf::samples());
    samples.extend(scripts::samples());
    samples.extend(executables::samples());
    samples
}

/// The samples of one engine: sign, whether it is to be found, extension or name, content.
fn labelled(engine: &'static str, samples: Vec<(&'static str, bool, &str, Vec<u8>)>) -> Vec<Sample> {
    let prefix = engine.to_lowercase();
    let named = |(n, (sign, bad, name, content)): (usize, (&'static str, bool, &str, Vec<u8>))| Sample {
        name: if name.contains('.') { format!("{prefix}-{n:02}-{name}") } else { format!("{prefix}-{n:02}.{name}") },
        engine,
        sign,
        bad,
        content,
    };
    samples.into_iter().enumerate().map(named).collect()
}

/// A text without its `·`.
pub fn text(text: &str) -> Vec<u8> {
    text.replace('·', "").into_bytes()
}

/// The same bytes each time, without any order (xorshift).
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
