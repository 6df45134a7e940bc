//! What opens archives, and the account that every byte coming out of one is charged to.
//!
//! An [`Extractor`] knows one format and nothing of engines, children or verdicts; it hands entries to a
//! [`Sink`]. What always holds: only the sink reads decompressed bytes, so every byte of every format and
//! level is charged to one [`Ledger`], and headers are never believed.

mod carried;
mod ledger;
pub(crate) mod zip;
mod zip_layout;

use std::io::Read;

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;

pub(crate) use self::ledger::Ledger;
use crate::content::Content;
use crate::engine::guarded;

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

/// Whether a content is an archive, a disk image or a mail by its type. Without an extractor, what is in it has not been looked at.
fn is_container(file_type: &FileType) -> bool {
    matches!(file_type.category.as_str(), "A" | "I" | "M")
}

/// What is to be done with a content.
pub(crate) enum Plan {
    /// It holds no other contents.
    Nothing,
    /// It is to be opened.
    Open(&'static dyn Extractor),
    /// It, or something in it, holds contents that are not looked into, for this reason.
    Unopened(String),
    /// Nobody knows: what decides this panicked.
    Unknown,
}

/// What is to be done with a content. With extraction off, archives are told apart as well: they stay closed.
pub(crate) fn plan(content: &[u8], file_type: &FileType, enabled: bool) -> Plan {
    guarded(|| {
        crate::hooks::trigger_plan(content);
        match EXTRACTORS.iter().copied().find(|extractor| extractor.recognises(content, file_type)) {
            Some(_) if !enabled => Plan::Unopened("archives are not opened under this rule".into()),
            Some(extractor) => Plan::Open(extractor),
            None if is_container(file_type) => Plan::Unopened(format!("contents of this format can not be looked into: {}", file_type.description)),
            None => carried::find(content, file_type)
                .map_or(Plan::Nothing, |what| Plan::Unopened(format!("the file carries an archive that can not be looked into: {what}"))),
        }
    })
    .unwrap_or(Plan::Unknown)
}
