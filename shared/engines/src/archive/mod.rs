//! What opens archives, and the account that every byte coming out of one is charged to.
//!
//! An [`Extractor`] knows one format and nothing of engines, children or verdicts; it hands entries to a
//! [`Sink`]. What always holds: only the sink takes decompressed bytes, so every byte of every format and
//! level is charged to one [`Ledger`]; headers are never believed; bytes that an extractor did not read are
//! looked at as a content of their own ([`rest`]), so that nothing hides behind, between or before archives.

mod cab;
mod carried;
mod closed;
mod cpio;
mod documents;
mod iso;
mod ledger;
mod rar;
mod registry;
mod rest;
mod sevenz;
mod sink;
mod streams;
mod tar;
mod unix;
mod volumes;
mod zip;

use portcullis_core::domain::report::FileType;

pub(crate) use self::documents::is_part;
pub(crate) use self::ledger::Ledger;
#[cfg(fuzzing)]
pub(crate) use self::registry::formats;
pub(crate) use self::registry::{Opening, Plan, plan};
pub(crate) use self::sink::{Entry, ReadFault, Sink, Stop};

/// Opens archives of one format.
pub(crate) trait Extractor: Sync {
    /// Whether the content is to be opened by this extractor.
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool;
    /// Whether opening by this extractor shows all that a container of this type holds. A content that is two things
    /// at once (a ZIP behind a disk image) is opened as the one and reported as not looked into as the other.
    fn covers(&self, content: &[u8], file_type: &FileType) -> bool;
    /// Hands every entry to `sink`, in an order that depends on the content only.
    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop>;
}

/// A row of the table of formats: what stands in the README, and what opens it.
pub(crate) struct Format {
    /// Name, for people.
    pub(crate) name: &'static str,
    /// What of it is read, and what is not; for the README.
    #[allow(dead_code, reason = "read by the test of the README")]
    pub(crate) reads: &'static str,
    /// What opens it.
    pub(crate) extractor: &'static dyn Extractor,
}
