//! Lists of millions of digests in one file: a filter in memory, sorted records behind a mapping.
//!
//! The filter (BinaryFuse16, 18 bits a digest) says no to nearly everything that is not listed; what it does not refuse is
//! looked up in the records, so nothing is found that is not there. What always holds: a file is used only when its digest,
//! its order and its sizes are right; SHA-512 is kept to its first 32 bytes.
//!
//! | at | bytes | what (little endian) |
//! |---|---|---|
//! | 0 | 8 | `PCHASHES` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | list: 0 allow, 1 block, 2 skip |
//! | 16 | 8 | time of the import, Unix seconds |
//! | 24 | 16 | labels: offset, bytes |
//! | 40 | 4 × 56 | md5, sha1, sha256, sha512: count; offset of the records; offset and length (in 16 bits) of the filter; its descriptor (20, padded to 24) |
//! | 264 | 32 | SHA-256 of everything else |
//! | 296 | | records (digest, 32-bit offset of the label), filters, labels (16-bit length, text) |

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use xorf::{BinaryFuse16, Descriptor, Filter};

use crate::content::Content;

const MAGIC: &[u8; 8] = b"PCHASHES";
const VERSION: u32 = 1;
const HEADER: usize = 296;
const DIGEST_AT: usize = 264;
/// Bytes kept of md5, sha1, sha256 and sha512.
const KEPT: [usize; 4] = [16, 20, 32, 32];
/// Longest label, in bytes.
const MAX_LABEL: usize = 1_024;

/// What a list says about the contents on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Contents that are let through whatever engines say.
    Allow,
    /// Contents that are blocked.
    Block,
    /// Contents of which some engines' findings do not count.
    Skip,
}

impl List {
    /// By the beginning of a file name.
    pub fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        [("allow", Self::Allow), ("block", Self::Block), ("skip", Self::Skip)]
            .into_iter()
            .find(|(word, _)| lower.starts_with(word))
            .map(|(_, list)| list)
    }

    fn number(self) -> u32 {
        match self {
            Self::Allow => 0,
            Self::Block => 1,
            Self::Skip => 2,
        }
    }
}

/// Which of the four sections a digest of this many bytes belongs to.
pub(super) fn section_of(digest: &[u8]) -> Option<usize> {
    [16, 20, 32, 64].iter().position(|length| *length == digest.len())
}

struct Section {
    count: usize,
    records: usize,
    filter: BinaryFuse16,
}

/// A list file, mapped.
pub(super) struct ListFile {
    content: Content,
    sections: [Option<Section>; 4],
    labels: usize,
    pub(super) list: List,
    pub(super) created: SystemTime,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at).map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}

fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}

impl ListFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// What is wrong with it, to follow "the list".
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let content = Content::open(path).map_err(|error| format!("could not be read: {error}"))?;
        let bytes = content.as_ref();
        if bytes.get(..8) != Some(MAGIC) {
            return Err("is no list made by `portcullis import-hashes`".into());
        }
        if u32_at(bytes, 8) != Some(VERSION) {
            return Err(format!("has the version {}, not {VERSION}", u32_at(bytes, 8).unwrap_or(0)));
        }
        let mut hash = Sha256::new();
        hash.update(bytes.get(..DIGEST_AT).unwrap_or_default());
        hash.update(bytes.get(HEADER..).unwrap_or_default());
        if bytes.get(DIGEST_AT..HEADER) != Some(hash.finalize().as_slice()) {
            return Err("is damaged: its digest is wrong".into());
        }
        let opened = Self::sections(bytes).ok_or("is damaged: its sizes do not fit one another")?;
        let (sections, labels, list, created) = opened;
        let file = Self { content, sections, labels, list, created };
        file.is_ordered().then_some(file).ok_or_else(|| "is damaged: its records are not in order".into())
    }

    #[allow(clippy::type_complexity, reason = "the parts of the one struct that is made of it")]
    fn sections(bytes: &[u8]) -> Option<([Option<Section>; 4], usize, List, SystemTime)> {
        let list = [List::Allow, List::Block, List::Skip].into_iter().find(|list| Some(list.number()) == u32_at(bytes, 12))?;
        let created = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64_at(bytes, 16)?))?;
        let labels = size_at(bytes, 24)?;
        bytes.get(labels..labels.checked_add(size_at(bytes, 32)?)?)?;
        let mut sections = [None, None, None, None];
        for ((at, kept), section) in (40_usize..).step_by(56).zip(KEPT).zip(&mut sections) {
            let (count, records) = (size_at(bytes, at)?, size_at(bytes, at + 8)?);
            if count == 0 {
                continue;
            }
            bytes.get(records..records.checked_add(count.checked_mul(kept + 4)?)?)?;
            let (from, length) = (size_at(bytes, at + 16)?, size_at(bytes, at + 24)?);
            let fingerprints = bytes.get(from..from.checked_add(length.checked_mul(2)?)?)?;
            let descriptor = Descriptor {
                seed: u64_at(bytes, at + 32)?,
                segment_length: u32_at(bytes, at + 40)?,
                segment_length_mask: u32_at(bytes, at + 44)?,
                segment_count_length: u32_at(bytes, at + 48)?,
            };
            // The filter indexes without looking: h0 < segment_count_length, h1 and h2 within the two segments behind it.
            let reach = u64::from(descriptor.segment_count_length) + 2 * u64::from(descriptor.segment_length);
            if !descriptor.segment_length.is_power_of_two()
                || descriptor.segment_length_mask != descriptor.segment_length - 1
                || reach > length as u64
            {
                return None;
            }
            let fingerprints = fingerprints.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            *section = Some(Section { count, records, filter: BinaryFuse16 { descriptor, fingerprints } });
        }
        Some((sections, labels, list, created))
    }

    fn is_ordered(&self) -> bool {
        let bytes = self.content.as_ref();
        self.sections.iter().zip(KEPT).all(|(section, kept)| {
            let Some(section) = section else { return true };
            let records = bytes.get(section.records..section.records + section.count * (kept + 4)).unwrap_or_default();
            let mut previous: &[u8] = &[];
            records.chunks_exact(kept + 4).all(|record| {
                let digest = record.get(..kept).unwrap_or_default();
                let follows = previous < digest;
                previous = digest;
                follows
            })
        })
    }

    /// Digests on the list.
    pub(super) fn len(&self) -> usize {
        self.sections.iter().flatten().map(|section| section.count).sum()
    }

    /// The label of a digest; `None` if it is not listed.
    pub(super) fn find(&self, digest: &[u8]) -> Option<&str> {
        let number = section_of(digest)?;
        let (section, kept) = (self.sections.get(number)?.as_ref()?, *KEPT.get(number)?);
        let digest = digest.get(..kept)?;
        if !section.filter.contains(&key(digest)) {
            return None;
        }
        let records = self.content.as_ref().get(section.records..)?.get(..section.count * (kept + 4))?;
        let (mut low, mut high) = (0, section.count);
        while low < high {
            let middle = low.midpoint(high);
            let record = records.get(middle * (kept + 4)..)?.get(..kept + 4)?;
            match record.get(..kept)?.cmp(digest) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.label(u32_at(record, kept)? as usize)),
            }
        }
        None
    }

    fn label(&self, offset: usize) -> &str {
        let bytes = self.content.as_ref();
        let at = self.labels.saturating_add(offset);
        let length = number(bytes, at).map_or(0, u16::from_le_bytes);
        let text = at.checked_add(2).and_then(|at| bytes.get(at..at.checked_add(usize::from(length))?));
        text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// Digests are evenly spread: their first bytes are as good as any hash of them.
fn key(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Collects a list, and writes it.
pub struct Builder {
    list: List,
    records: [Vec<([u8; 32], u32)>; 4],
    labels: Vec<u8>,
    offsets: std::collections::HashMap<Box<str>, u32>,
}

impl Builder {
    /// An empty list.
    pub fn new(list: List) -> Self {
        // Offset 0 is the empty label.
        Self { list, records: Default::default(), labels: vec![0, 0], offsets: std::iter::once((Box::from(""), 0)).collect() }
    }

    /// Adds a digest of 16, 20, 32 or 64 bytes. Of one that stands twice the first label stays.
    ///
    /// # Errors
    /// One sentence's end: the length is none of these, or there are too many labels.
    pub fn add(&mut self, digest: &[u8], label: &str) -> Result<(), &'static str> {
        let number = section_of(digest).ok_or("not of the length of md5, sha1, sha256 or sha512")?;
        let mut end = label.len().min(MAX_LABEL);
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        let label = label.get(..end).unwrap_or_default();
        let offset = if let Some(offset) = self.offsets.get(label) {
            *offset
        } else {
            let offset = u32::try_from(self.labels.len()).map_err(|_| "the labels are too long, all together")?;
            self.labels.extend(u16::try_from(end).unwrap_or(0).to_le_bytes());
            self.labels.extend(label.as_bytes());
            self.offsets.insert(label.into(), offset);
            offset
        };
        let mut kept = [0; 32];
        for (to, from) in kept.iter_mut().zip(digest) {
            *to = *from;
        }
        if let Some(records) = self.records.get_mut(number) {
            records.push((kept, offset));
        }
        Ok(())
    }

    /// Writes the file beside its place, checks it, and moves it there. Gives the number of digests and the file's SHA-256 (hex).
    ///
    /// # Errors
    /// What could not be written, or what the check found.
    pub fn write(mut self, path: &Path, now: SystemTime) -> Result<(usize, String), String> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let beside = path.with_file_name(name);
        let written = self.write_to(&beside, now).map_err(|error| format!("`{}`: {error}", beside.display())).and_then(|digest| {
            let file = ListFile::open(&beside).map_err(|why| format!("the written list {why}"))?;
            let missing = self.records.iter().zip([16, 20, 32, 64]).flat_map(|(records, length)| {
                records.iter().map(move |(digest, _)| {
                    let mut whole = digest.to_vec();
                    whole.resize(length, 0);
                    whole
                })
            });
            match missing.filter(|digest| file.find(digest).is_none()).count() {
                0 => Ok((file.len(), digest)),
                missing => Err(format!("the written list lacks {missing} digests")),
            }
        });
        match written {
            Ok(done) => std::fs::rename(&beside, path).map(|()| done).map_err(|error| format!("`{}`: {error}", path.display())),
            Err(why) => {
                let _ = std::fs::remove_file(&beside);
                Err(why)
            }
        }
    }

    fn write_to(&mut self, path: &Path, now: SystemTime) -> io::Result<String> {
        let mut header = vec![0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(to) = header.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
        };
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &self.list.number().to_le_bytes());
        put(16, &now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_le_bytes());
        let mut at = HEADER as u64;
        let mut filters = Vec::new();
        for (n, (records, kept)) in self.records.iter_mut().zip(KEPT).enumerate() {
            // Stable: of equal digests the first stays.
            records.sort_by_key(|(digest, _)| *digest);
            records.dedup_by(|later, earlier| later.0 == earlier.0);
            put(40 + n * 56, &(records.len() as u64).to_le_bytes());
            put(48 + n * 56, &at.to_le_bytes());
            at += records.len() as u64 * (kept as u64 + 4);
        }
        for (n, records) in self.records.iter().enumerate() {
            let mut keys: Vec<u64> = records.iter().map(|(digest, _)| key(digest)).collect();
            keys.sort_unstable();
            keys.dedup();
            if keys.is_empty() {
                continue;
            }
            let filter = BinaryFuse16::try_from_iterator(keys.into_iter()).map_err(io::Error::other)?;
            put(56 + n * 56, &at.to_le_bytes());
            put(64 + n * 56, &(filter.fingerprints.len() as u64).to_le_bytes());
            put(72 + n * 56, &filter.descriptor.seed.to_le_bytes());
            put(80 + n * 56, &filter.descriptor.segment_length.to_le_bytes());
            put(84 + n * 56, &filter.descriptor.segment_length_mask.to_le_bytes());
            put(88 + n * 56, &filter.descriptor.segment_count_length.to_le_bytes());
            at += filter.fingerprints.len() as u64 * 2;
            filters.push(filter);
        }
        put(24, &at.to_le_bytes());
        put(32, &(self.labels.len() as u64).to_le_bytes());

        let mut hash = Sha256::new();
        hash.update(header.get(..DIGEST_AT).unwrap_or_default());
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        out.write_all(&header)?;
        let mut write = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes)
        };
        let mut block = Vec::with_capacity(1 << 20);
        for (records, kept) in self.records.iter().zip(KEPT) {
            for (digest, label) in records {
                block.extend_from_slice(digest.get(..kept).unwrap_or_default());
                block.extend_from_slice(&label.to_le_bytes());
                if block.len() > 1_000_000 {
                    write(&std::mem::take(&mut block))?;
                }
            }
        }
        for filter in &filters {
            for part in filter.fingerprints.chunks(500_000) {
                block.extend(part.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
                write(&std::mem::take(&mut block))?;
            }
        }
        write(&block)?;
        write(&self.labels)?;
        let digest = hash.finalize();
        out.seek(SeekFrom::Start(DIGEST_AT as u64))?;
        out.write_all(&digest)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(hex::encode(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digests;

    fn sample(count: usize) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("block.hashlist");
        let mut builder = Builder::new(List::Block);
        for n in 0..count {
            let digest = digests::of(&n.to_le_bytes());
            let hex = [&digest.md5, &digest.sha1, &digest.sha256, &digest.sha512][n % 4];
            builder.add(&hex::decode(hex).unwrap(), if n % 3 == 0 { "" } else { "Evil.Name" }).unwrap();
        }
        builder.add(&hex::decode(digests::of(&2_usize.to_le_bytes()).sha256).unwrap(), "later").unwrap();
        assert_eq!(builder.write(&path, SystemTime::UNIX_EPOCH).unwrap().0, count);
        (dir, path)
    }

    #[test]
    fn everything_listed_is_found_and_nothing_else() {
        let (_dir, path) = sample(4_000);
        let file = ListFile::open(&path).unwrap();
        assert_eq!((file.len(), file.list, file.created), (4_000, List::Block, SystemTime::UNIX_EPOCH));
        for n in 0..8_000_usize {
            let digest = digests::of(&n.to_le_bytes());
            for (kind, hex) in [&digest.md5, &digest.sha1, &digest.sha256, &digest.sha512].into_iter().enumerate() {
                let found = file.find(&hex::decode(hex).unwrap());
                assert_eq!(found.is_some(), n < 4_000 && kind == n % 4, "{n} {kind}");
                assert!(found.is_none_or(|label| label == if n % 3 == 0 { "" } else { "Evil.Name" }));
            }
        }
        assert_eq!(file.find(b"x"), None);
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_refused() {
        let (_dir, path) = sample(50);
        let good = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            ListFile::open(&path).err().unwrap()
        };
        for at in (0..good.len()).step_by(37) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            refused(&bad);
        }
        for length in [0, 7, 100, HEADER, good.len() - 1] {
            refused(&good[..length]);
        }
        refused(&[&good[..], b"x"].concat());
        // With a right digest over wrong contents.
        let resealed = |change: fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let mut hash = Sha256::new();
            hash.update(&bytes[..DIGEST_AT]);
            hash.update(&bytes[HEADER..]);
            bytes[DIGEST_AT..HEADER].copy_from_slice(&hash.finalize());
            bytes
        };
        assert!(refused(&resealed(|b| b[8] = 9)).contains("version 9"));
        assert!(refused(&resealed(|b| b[HEADER] = 0xff)).contains("order"));
        assert!(refused(&resealed(|b| b[40 + 7] = 0x7f)).contains("sizes"));
        assert!(refused(&resealed(|b| b[40 + 44] ^= 1)).contains("sizes"));
        std::fs::write(&path, resealed(|_| ())).unwrap();
        assert!(ListFile::open(&path).is_ok());
    }
}
