//! Documents: code that runs by itself and reaches out, fields that start programs, parts from servers, hostile objects.
//!
//! The parts of Open XML and OpenDocument packages are children of their package, so each is judged as it comes:
//! an OLE file ([`vba`], [`excel4`], [`ole`]), an XML part ([`xml`]), an RTF file ([`rtf`]), a table in text ([`dde`]).
//! What always holds: a VBA project that can not be read is suspicious, not clean. Macros as such are no finding.

mod dde;
mod excel4;
mod ole;
mod rtf;
mod vba;
mod xml;

pub(crate) use self::vba::module_source;
use portcullis_core::domain::engine::DOCUMENTS;

use super::deceptive::runs;
use super::{Heuristic, Subject};

/// The engine.
pub(crate) const ENGINE: Heuristic = Heuristic { identity: DOCUMENTS, judge: |subject| Ok(judge(subject)) };

fn judge(subject: &Subject<'_>) -> Option<String> {
    let content = subject.content;
    if content.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return vba::judge(content).or_else(|| excel4::judge_workbook(content)).or_else(|| ole::judge(content));
    }
    if rtf::is_rtf(content) {
        return rtf::judge(content);
    }
    excel4::judge_part(subject.name, content).or_else(|| xml::judge(content)).or_else(|| dde::judge_table(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests_support::judged;

    #[test]
    fn other_files_are_none_of_its_business() {
        for content in [&b""[..], b"hello", b"%PDF-1.7", b"PK\x03\x04", b"\x7fELF", b"{\\rtf1 hello}", b"<a/>"] {
            assert_eq!(judged(judge, "x", content), None);
        }
    }
}
