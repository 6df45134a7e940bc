//! Programs: what packers, infectors and droppers make of PE, ELF and Mach-O files.
//!
//! Works on the structures that yara-x parses. Being unsigned, stripped, packed by UPX or an installer is no finding;
//! several anomalies that compilers and installers do not produce together are.

mod elf;
mod entropy;
mod macho;
mod pe;

use portcullis_core::domain::engine::EXECUTABLES;

use super::{Heuristic, Subject, deceptive};

/// The engine.
pub(crate) const ENGINE: Heuristic = Heuristic { identity: EXECUTABLES, judge: |subject| Ok(judge(subject)) };

fn judge(subject: &Subject<'_>) -> Option<String> {
    let content = subject.content;
    let by_content = match content {
        [b'M', b'Z', ..] => pe::judge(content),
        [0x7f, b'E', b'L', b'F', ..] => elf::judge(content),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => macho::judge(content),
        _ => None,
    };
    deceptive::program(subject.name).map(Into::into).or(by_content)
}
