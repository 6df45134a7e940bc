//! 7-Zip.
//!
//! What always holds: the checksum of every entry is compared; a decoder gets a bounded amount of memory; what is
//! behind the archive is looked at by itself.

use std::io::Cursor;
use std::ops::Range;

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;
use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, EncoderMethod, Error, Password};

use super::streams::DECODER_KIB;
use super::{Entry, Extractor, Format, ReadFault, Sink, Stop, rest};

pub(super) const MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c";
/// Bytes of the start header.
const START: usize = 32;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "7-Zip",
    reads: "all methods of 7-Zip itself, Zstandard and LZ4; solid; entries and headers encrypted with a password; dictionaries up to 128 MiB",
    extractor: &SevenZ,
}];

pub(super) struct SevenZ;

/// Where the archive that begins here ends, if its start header is sound.
pub(super) fn end(content: &[u8]) -> Option<usize> {
    let start = content.get(..START).filter(|start| start.starts_with(MAGIC))?;
    let word = |at: usize| Some(u64::from_le_bytes(*start.get(at..)?.first_chunk::<8>()?));
    let stated = u32::from_le_bytes(*start.get(8..)?.first_chunk::<4>()?);
    (crc32fast::hash(start.get(12..)?) == stated).then_some(())?;
    usize::try_from(word(12)?.checked_add(word(20)?)?.checked_add(START as u64)?).ok()
}

impl Extractor for SevenZ {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(MAGIC)
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/x-7z-compressed"
    }

    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        let archive = open(content, passwords, sink)?;
        sink.announce(archive.files.len() as u64)?;
        let mut result = Ok(());
        for index in 0..archive.blocks.len() {
            match block(content, &archive, index, passwords, sink) {
                Err(stop @ Stop::Limit(..)) => return Err(stop),
                other => result = Stop::worse(result, other),
            }
        }
        for file in archive.files.iter().filter(|file| !file.has_stream && !file.is_directory) {
            sink.count()?;
            sink.take_bytes(Entry::new(file.name.as_str(), 0), b"")?;
        }
        for gap in gaps(content, &archive) {
            rest::take(content, gap, "[data between the streams]", sink)?;
        }
        rest::behind(content, end(content).unwrap_or(content.len()), sink)?;
        result
    }
}

/// Where nothing of the archive lies: neither packed streams nor the header.
fn gaps(content: &[u8], archive: &Archive) -> Vec<Range<usize>> {
    let read = || {
        let place = |at: u64, size: u64| {
            let start = usize::try_from(at.checked_add(START as u64)?).ok()?;
            Some(start..start.checked_add(usize::try_from(size).ok()?)?)
        };
        let word = |at: usize| Some(u64::from_le_bytes(*content.get(at..)?.first_chunk::<8>()?));
        let header = place(word(12)?, word(20)?)?;
        let packed = archive.pack_sizes().iter().try_fold(0_u64, |sum, size| sum.checked_add(*size))?;
        let mut read = vec![place(archive.pack_pos(), packed)?, header.clone()];
        // A header that is packed itself lies where the one in its place says.
        if let Some((at, size)) = content.get(header).and_then(packed_header) {
            read.push(place(at, size)?);
        }
        Some(read)
    };
    // Numbers that nothing can be done with: all is looked at once more.
    rest::gaps(read().unwrap_or_default(), START..end(content).unwrap_or(content.len()).min(content.len()))
}

/// Where the packed header lies, and its size (7zFormat.txt, "Packed Streams"): one stream, as all programs write it.
fn packed_header(header: &[u8]) -> Option<(u64, u64)> {
    let (at, rest) = number(header.strip_prefix(&[0x17, 0x06])?)?;
    let (size, _) = number(rest.strip_prefix(&[0x01, 0x09])?)?;
    Some((at, size))
}

/// A number: the leading ones of the first byte tell how many follow, lowest first (7zFormat.txt, "REAL_UINT64").
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let more = first.leading_ones() as usize;
    let (low, rest) = rest.split_at_checked(more)?;
    let high = u64::from(u32::from(*first) & (0x7f_u32 >> more)).checked_shl(8 * u32::try_from(more).ok()?).unwrap_or_default();
    Some((low.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)) | high, rest))
}

/// Reads the headers, with the passwords if they are encrypted.
fn open(content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<Archive, Stop> {
    for password in std::iter::once("").chain(passwords.iter().map(String::as_str)) {
        sink.check_time()?;
        match Archive::read_with_memory_limit(&mut Cursor::new(content), &Password::from(password), DECODER_KIB as usize) {
            Ok(archive) => return Ok(archive),
            Err(Error::PasswordRequired | Error::MaybeBadPassword(_)) => {}
            // Nothing but garbage comes out with a wrong password, and it is an error of any kind.
            Err(_) if !password.is_empty() => {}
            Err(error) => return Err(Stop::Corrupt(told(&error))),
        }
    }
    let why = if passwords.is_empty() { "a password is needed" } else { "none of the passwords fits" };
    Err(Stop::Closed(Code::EncryptedArchive, why.into()))
}

/// One block of entries that are compressed together.
fn block(content: &[u8], archive: &Archive, index: usize, passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
    let is_encrypted =
        archive.blocks.get(index).is_some_and(|block| block.coders.iter().any(|coder| coder.encoder_method_id() == EncoderMethod::ID_AES256_SHA256));
    let files: Vec<ArchiveEntry> = BlockDecoder::new(1, index, archive, &Password::empty(), &mut Cursor::new(content))
        .entries()
        .iter()
        .filter(|file| file.has_stream)
        .cloned()
        .collect();
    for _ in &files {
        sink.count()?;
    }
    if !is_encrypted {
        return decode(content, archive, index, "", false, sink).map(|_| ());
    }
    for password in passwords {
        sink.check_time()?;
        if decode(content, archive, index, password, true, sink)? {
            return Ok(());
        }
    }
    let why = if passwords.is_empty() { "a password is needed" } else { "no password fits, or the archive is damaged" };
    for file in &files {
        sink.blocked(Entry::new(file.name.as_str(), file.size), Code::EncryptedArchive, why.into());
    }
    Ok(())
}

/// Decodes a block. With `attempt` the first entry decides whether the password fits, which is what is given back.
fn decode(content: &[u8], archive: &Archive, index: usize, password: &str, attempt: bool, sink: &mut dyn Sink) -> Result<bool, Stop> {
    let (mut stop, mut is_first, mut fits, mut is_broken) = (None, true, !attempt, false);
    let mut source = Cursor::new(content);
    let password = Password::from(password);
    let decoder = BlockDecoder::new_with_memory_limit(1, DECODER_KIB as usize, index, archive, &password, &mut source);
    let mut each = |file: &ArchiveEntry, from: &mut dyn std::io::Read| -> Result<bool, Error> {
        if !file.has_stream {
            return Ok(true);
        }
        let entry = Entry::new(file.name.as_str(), file.size).with_note(is_link(file).then_some("symbolic link, not followed"));
        let taken = if attempt && std::mem::take(&mut is_first) {
            match sink.read(file.size, from) {
                // Without a checksum nothing tells a wrong password from a right one.
                Ok(_) if !file.has_crc => Ok(false),
                Ok(child) => {
                    fits = true;
                    sink.child(entry, child).map(|()| true)
                }
                Err(ReadFault::Broken(_)) => Ok(false),
                Err(ReadFault::Stop(stop)) => Err(stop),
            }
        } else {
            sink.take_from(entry, from)
        };
        match taken {
            Ok(whole) => {
                is_broken |= !whole;
                Ok(whole)
            }
            Err(why) => {
                stop = Some(why);
                Ok(false)
            }
        }
    };
    let result = decoder.for_each_entries(&mut each);
    match (stop, result) {
        (Some(stop), _) => Err(stop),
        // The entry tells it already.
        (None, Err(error)) if fits && !is_broken => Err(Stop::Corrupt(told(&error))),
        _ => Ok(fits),
    }
}

/// UNIX mode in the upper half of the attributes (7-Zip, p7zip: `FILE_ATTRIBUTE_UNIX_EXTENSION`).
fn is_link(file: &ArchiveEntry) -> bool {
    let attributes = file.windows_attributes;
    file.has_windows_attributes && attributes & 0x8000 != 0 && attributes >> 16 & 0o170_000 == 0o120_000
}

fn told(error: &Error) -> String {
    match error {
        Error::MaxMemLimited { actaul_kb, .. } => format!("the decoder needs {actaul_kb} KiB of memory, more than is permitted"),
        Error::UnsupportedCompressionMethod(method) => format!("the method `{method}` is not known"),
        Error::ChecksumVerificationFailed | Error::NextHeaderCrcMismatch => "a checksum is wrong".into(),
        Error::Io(error, _) | Error::MaybeBadPassword(error) => format!("the archive can not be decoded: {error}"),
        other => format!("the archive can not be read: {other:?}"),
    }
}
