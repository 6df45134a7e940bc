//! ZIP and everything built on it (OOXML, ODF, JAR, APK, EPUB, self-extracting archives).
//!
//! What always holds: before any entry is read, the two descriptions that every ZIP has of itself
//! (local headers, central directory) are compared ([`self::layout`]). Where they disagree, other
//! programs will see other files than this one, and the archive is refused.

mod layout;

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;
use zip::read::{Config, OwnedZipFileEntry};
use zip::result::ZipError;
// Unlike `ZipArchive`, it keeps entries that share a name: one of them could hide the other from the scan.
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, HasZipMetadata, ZipReadOptions};

use self::layout::Slot;
use super::{Entry, Extractor, Format, ReadFault, Sink, Stop, carried, rest};

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "ZIP, and what is made of it (OOXML, ODF, JAR, APK, EPUB)",
    reads: "all methods, those of PKZIP 1 included; ZIP64; AES and ZipCrypto with a password; behind programs and other content",
    extractor: &Zip,
}];

/// The extractor for ZIP.
pub(super) struct Zip;

/// Whether a content is a ZIP from its first byte.
pub(super) fn begins(content: &[u8]) -> bool {
    content.starts_with(b"PK") && layout::looks_like_zip(content)
}

impl Extractor for Zip {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/zip" || layout::looks_like_zip(content)
    }

    fn covers(&self, content: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/zip" || content.starts_with(b"PK")
    }

    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let mut archive = ZipIterable::try_new(Cursor::new(content), Config::default())?;
        sink.announce(archive.len() as u64)?;
        let mut entries: Vec<OwnedZipFileEntry> = Vec::new();
        for entry in archive.files()? {
            entries.push(entry?.into());
        }
        let slots: Vec<Slot> = entries.iter().map(slot_of).collect();
        let around = layout::check(content, &slots).map_err(Stop::Corrupt)?;

        let mut passwords: Vec<&[u8]> = passwords.iter().map(String::as_bytes).collect();
        for entry in entries {
            sink.count()?;
            if !is_plain_directory(&entry) {
                extract_entry(content, &entry, &mut passwords, sink)?;
            }
        }
        // Programs for other archives look for theirs in a whole file: also in the comment, or in a field of a header.
        for region in around.regions {
            if let Some(at) = carried::position(content.get(region.clone()).unwrap_or_default()) {
                rest::take(content, region.start + at..region.end, "[data between the entries]", sink)?;
            }
        }
        rest::behind(content, around.end, sink)
    }
}

impl From<ZipError> for Stop {
    fn from(error: ZipError) -> Self {
        Self::corrupt(error.to_string())
    }
}

fn slot_of(entry: &OwnedZipFileEntry) -> Slot {
    Slot {
        central: entry.central_header_start(),
        local: entry.header_start(),
        compressed: entry.compressed_size(),
        is_encrypted: entry.as_ref().get_metadata().is_encrypted(),
    }
}

/// A directory has no content; an entry that is named like one but has some is treated as a file.
fn is_plain_directory(entry: &OwnedZipFileEntry) -> bool {
    entry.is_dir() && entry.size() == 0 && entry.compressed_size() <= 2
}

fn extract_entry(content: &[u8], entry: &OwnedZipFileEntry, passwords: &mut [&[u8]], sink: &mut dyn Sink) -> Result<(), Stop> {
    let describe = || {
        let name = entry.name().map_or_else(|_| String::from_utf8_lossy(entry.name_raw()).into_owned(), std::borrow::Cow::into_owned);
        Entry::new(name, entry.size()).with_note(entry.is_symlink().then_some("symbolic link, not followed"))
    };
    if !entry.as_ref().get_metadata().is_encrypted() {
        match attempt(content, entry, None, sink) {
            Ok(child) => return sink.child(describe(), child),
            Err(Fault::Stop(stop)) => return Err(told(stop, describe(), sink)),
            Err(Fault::Password) => sink.blocked(describe(), Code::EncryptedArchive, "a password is needed".into()),
            Err(Fault::Broken(why)) => sink.blocked(describe(), Code::Failed, why),
        }
        return Ok(());
    }
    let mut broken = None;
    for index in 0..passwords.len() {
        let password = passwords.get(index).copied();
        match attempt(content, entry, password, sink) {
            Ok(child) => {
                // Entries of an archive mostly share a password: the one that fitted comes first from now on.
                passwords.swap(0, index);
                return sink.child(describe(), child);
            }
            Err(Fault::Stop(stop)) => return Err(told(stop, describe(), sink)),
            Err(Fault::Password) => {}
            // ZipCrypto takes 1 of 256 wrong passwords; then the content does not decode. Other causes look the same.
            Err(Fault::Broken(why)) => broken = Some(why),
        }
    }
    let why = match broken {
        Some(why) => format!("no password fits, or the entry is damaged ({why})"),
        None if passwords.is_empty() => "a password is needed".into(),
        None => "none of the passwords fits".into(),
    };
    sink.blocked(describe(), Code::EncryptedArchive, why);
    Ok(())
}

/// The entry at which a limit was hit is listed with it.
fn told(stop: Stop, entry: Entry, sink: &mut dyn Sink) -> Stop {
    if let Stop::Limit(code, why) = &stop {
        sink.blocked(entry, *code, why.clone());
    }
    stop
}

enum Fault {
    Stop(Stop),
    Password,
    Broken(String),
}

fn attempt(content: &[u8], entry: &OwnedZipFileEntry, password: Option<&[u8]>, sink: &mut dyn Sink) -> Result<crate::content::Content, Fault> {
    let borrowed = entry.as_ref();
    let metadata = borrowed.get_metadata();
    let measured = !metadata.is_encrypted() && metadata.compression_method == CompressionMethod::Deflated;
    let end = layout::data_of(content, &slot_of(entry)).map_or(0, |data| data.end as u64);
    let reached = Cell::new(0);
    let mut reader = Metered { content: Cursor::new(content), last: end.saturating_sub(1), reached: &reached };
    let mut file = entry.as_ref().with_reader(&mut reader, ZipReadOptions::new().password(password)).map_err(|error| match error {
        ZipError::InvalidPassword | ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Fault::Password,
        other => Fault::Broken(other.to_string()),
    })?;
    let child = sink.read(entry.size(), &mut file).map_err(|fault| match fault {
        ReadFault::Stop(stop) => Fault::Stop(stop),
        ReadFault::Broken(why) => Fault::Broken(why),
    })?;
    if measured && reached.get() < end {
        return Err(Fault::Broken("there are other data behind the compressed data of the entry".into()));
    }
    let size = child.as_ref().len() as u64;
    if size == entry.size() { Ok(child) } else { Err(Fault::Broken(format!("the entry has {size} bytes, its header says {}", entry.size()))) }
}

/// Tells whether a decoder needed the last byte of an entry.
///
/// Decoders read ahead in blocks, so how much they took says nothing. The last byte is therefore handed out
/// alone: who asks for it has used up all others. Bytes that no decoder reads are what hides an entry from
/// the directory and shows it to readers that go by where the compressed data end.
struct Metered<'a> {
    content: Cursor<&'a [u8]>,
    last: u64,
    reached: &'a Cell<u64>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.content.position();
        let most = if at < self.last { usize::try_from(self.last - at).unwrap_or(usize::MAX) } else { 1 };
        let most = most.min(buffer.len());
        let read = self.content.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.reached.set(self.reached.get().max(self.content.position()));
        Ok(read)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}
