//! Between an extractor and whoever takes what comes out.

use std::fs::File;
use std::io::{self, Read, Write};

use portcullis_core::domain::verdict::Code;

use crate::content::Content;

/// Why an archive is not opened any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A limit of the whole submission: no archive of any level is read any further.
    Limit(Code, String),
    /// This archive can not be trusted or read; others go on.
    Corrupt(String),
    /// This archive is not opened for the reason that the code says (a password, a part that is missing); others go on.
    Closed(Code, String),
}

impl Stop {
    pub(crate) fn corrupt(why: impl Into<String>) -> Self {
        Self::Corrupt(why.into())
    }

    /// The one of two outcomes that is to be told. A rule may tolerate that something is closed, never that it can not be trusted.
    pub(crate) fn worse(one: Result<(), Self>, other: Result<(), Self>) -> Result<(), Self> {
        if matches!((&one, &other), (Err(Self::Closed(..)), Err(Self::Corrupt(_)))) { other } else { one.and(other) }
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
    /// Uncompressed size by its header; 0 if that says none.
    pub(crate) declared: u64,
    /// Why the content is only what came out before the decoder gave up. It is scanned, and blocked as `Failed`.
    pub(crate) fault: Option<String>,
    /// Whether this is how its document is made rather than a file in it: scanned like all, listed only if it is not clean.
    pub(crate) is_part: bool,
}

impl Entry {
    /// An entry of this name.
    pub(crate) fn new(name: impl Into<String>, declared: u64) -> Self {
        Self { name: name.into(), note: None, declared, fault: None, is_part: false }
    }

    /// The same as a part of its document.
    pub(crate) fn into_part(self) -> Self {
        Self { is_part: true, ..self }
    }

    /// The same with something to tell about it.
    pub(crate) fn with_note(self, note: Option<&'static str>) -> Self {
        Self { note, ..self }
    }
}

/// Takes what comes out of an archive.
pub(crate) trait Sink {
    /// Display name of the archive.
    fn name(&self) -> String;
    /// The archive says how many entries it has.
    fn announce(&mut self, entries: u64) -> Result<(), Stop>;
    /// One entry was met, of whatever kind. Called before anything else of the entry.
    fn count(&mut self) -> Result<(), Stop>;
    /// Reads one entry's content to its end. What a decoder produced before it gave up is forgotten, and not charged:
    /// for attempts with a password.
    fn read(&mut self, declared: u64, from: &mut dyn Read) -> Result<Content, ReadFault>;
    /// Collects what `fill` writes. If it fails, what came so far and why there is no more.
    fn collect(&mut self, declared: u64, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(Content, Option<String>), Stop>;
    /// A file without a name that holds these bytes, for decoders that own what they read from.
    fn spill(&mut self, bytes: &[u8]) -> Result<File, Stop>;
    /// A child: is scanned, and opened if it is an archive itself.
    fn child(&mut self, entry: Entry, content: Content) -> Result<(), Stop>;
    /// An entry whose content can not be had. It and its archive are blocked with `code`.
    fn blocked(&mut self, entry: Entry, code: Code, why: String);
}

impl dyn Sink + '_ {
    /// Whether there is time left; for work that gives no bytes.
    pub(crate) fn check_time(&mut self) -> Result<(), Stop> {
        self.collect(0, &mut |to| to.write(&[]).map(|_| ())).map(|_| ())
    }

    /// Takes one entry whose bytes `fill` writes, whole or as far as they come. The entry must be counted already.
    /// A limit is told of the entry as well. Gives whether it came whole.
    pub(crate) fn take(&mut self, mut entry: Entry, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<bool, Stop> {
        match self.collect(entry.declared, fill) {
            Ok((content, fault)) => {
                entry.fault = entry.fault.or(fault);
                let whole = entry.fault.is_none();
                self.child(entry, content)?;
                Ok(whole)
            }
            Err(stop) => {
                if let Stop::Limit(code, why) = &stop {
                    self.blocked(entry, *code, why.clone());
                }
                Err(stop)
            }
        }
    }

    /// Takes one entry that is read from a decoder.
    pub(crate) fn take_from(&mut self, entry: Entry, from: &mut dyn Read) -> Result<bool, Stop> {
        self.take(entry, &mut |to| pump(from, to))
    }

    /// Takes one entry that lies in the archive as it is.
    pub(crate) fn take_bytes(&mut self, entry: Entry, bytes: &[u8]) -> Result<bool, Stop> {
        self.take(entry, &mut |to| bytes.chunks(CHUNK).try_for_each(|chunk| to.write_all(chunk)))
    }
}

/// Bytes at a time: the ledger is asked as often.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Copies to the end. Unlike `io::copy` it writes what came before an error.
pub(crate) fn pump(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_trusted_is_told_before_what_is_closed() {
        let corrupt = || Err(Stop::corrupt("broken"));
        let closed = || Err(Stop::Closed(Code::EncryptedArchive, "locked".into()));
        for (one, other, told) in [
            (Ok(()), Ok(()), Ok(())),
            (Ok(()), closed(), closed()),
            (closed(), Ok(()), closed()),
            (closed(), corrupt(), corrupt()),
            (corrupt(), closed(), corrupt()),
        ] {
            assert_eq!(Stop::worse(one, other), told);
        }
    }
}
