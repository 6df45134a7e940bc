//! What opens archives, and the account that every byte coming out of one is charged to.
//!
//! An [`Extractor`] knows one format and nothing of engines, children or verdicts; it hands entries to a
//! [`Sink`]. What always holds: only the sink reads decompressed bytes, so every byte of every format and
//! level is charged to one [`Ledger`], and headers are never believed.

mod ledger;
pub(crate) mod zip;
mod zip_layout;

use std::io::Read;

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

pub(crate) use self::ledger::Ledger;
use crate::content::Content;

/// Why an archive is not opened any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A limit of the whole submission: no archive of any level is read any further.
    Limit(Code, String),
    /// This archive can not be trusted or read; others go on.
    Corrupt(String),
}

impl Stop {
    pub(crate) fn corrupt(why: impl Into<String>) -> Self {
        Self::Corrupt(why.into())
    }
}

/// Why an entry's content could not be had.
pub(crate) enum ReadFault {
    /// A limit was hit on the way.
    Stop(Stop),
    /// The decoder gave up (or the password is wrong).
    Broken(String),
}

/// An entry as the archive describes it.
pub(crate) struct Entry {
    /// Path inside the archive, as stored; display text only.
    pub(crate) name: String,
    /// Something to tell about it, e.g. that it is a symbolic link.
    pub(crate) note: Option<&'static str>,
    /// Uncompressed size by its header.
    pub(crate) declared: u64,
}

/// Takes what comes out of an archive.
pub(crate) trait Sink {
    /// The archive says how many entries it has.
    fn announce(&mut self, entries: u64) -> Result<(), Stop>;
    /// One entry was met, of whatever kind. Called before anything else of the entry.
    fn count(&mut self) -> Result<(), Stop>;
    /// Reads one entry's content to its end.
    fn read(&mut self, declared: u64, from: &mut dyn Read) -> Result<Content, ReadFault>;
    /// A child: is scanned, and opened if it is an archive itself.
    fn child(&mut self, entry: Entry, content: Content) -> Result<(), Stop>;
    /// An entry whose content can not be had. It and its archive are blocked with `code`.
    fn blocked(&mut self, entry: Entry, code: Code, why: String);
}

/// Opens archives of one format.
pub(crate) trait Extractor: Sync {
    /// Whether the content is to be opened by this extractor.
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool;
    /// Hands every entry to `sink`.
    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop>;
}

/// All extractors; the first that recognises a content opens it.
const EXTRACTORS: &[&dyn Extractor] = &[&zip::Zip];

/// Whether a content is an archive (or a disk image) by its type. Without an extractor, what is in it has not been looked at.
pub(crate) fn is_container(file_type: &FileType) -> bool {
    matches!(file_type.category.as_str(), "A" | "I")
}

/// What is said of a container without an extractor.
pub(crate) fn unopened(file_type: &FileType) -> String {
    format!("contents of this format can not be looked into: {}", file_type.description)
}

/// The extractor for a content, if it is an archive.
pub(crate) fn extractor_for(content: &[u8], file_type: &FileType) -> Option<&'static dyn Extractor> {
    EXTRACTORS.iter().copied().find(|extractor| extractor.recognises(content, file_type))
}
