//! Compressed streams: one content, in one or many members one behind the other.
//!
//! What always holds: every member is decoded, up to the last byte that a member begins at; what decoders skip
//! (skippable frames) and what is behind the last member are looked at as contents of their own. A tar in a
//! stream is one more level, as it is for those who unpack it by hand.

mod bzip2;
mod gzip;
mod lz4;
mod lzma;
mod szdd;
mod xz;
mod zstd;

pub(super) use lz4::is_legacy as is_legacy_lz4;

use std::io::{self, Write};
use std::ops::Range;

use portcullis_core::domain::report::FileType;

use super::{Entry, Extractor, Format, Sink, Stop, rest};
use crate::names;

/// Most memory of a decoder, in KiB. `xz -9` and `7z -mx=9` need 65 and 68 MiB, `zstd --long` 128 MiB.
pub(super) const DECODER_KIB: u32 = 132 * 1024;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[
    Format { name: "gzip", reads: "all members", extractor: &gzip::GZIP },
    Format { name: "bzip2", reads: "all members", extractor: &bzip2::BZIP2 },
    Format { name: "xz", reads: "all streams; dictionaries up to 128 MiB", extractor: &xz::XZ },
    Format { name: "LZMA (`.lzma`)", reads: "all properties; dictionaries up to 128 MiB", extractor: &lzma::LZMA },
    Format { name: "Zstandard", reads: "all frames; windows up to 128 MiB; no dictionaries", extractor: &zstd::ZSTD },
    Format { name: "LZ4", reads: "all frames but legacy ones; no dictionaries", extractor: &lz4::LZ4 },
    Format { name: "MS-DOS compress (SZDD)", reads: "all", extractor: &szdd::SZDD },
];

/// Formats that some program decodes one behind the other.
const MIXED: [&Stream; 4] = [&gzip::GZIP, &xz::XZ, &zstd::ZSTD, &lz4::LZ4];

/// A member that was decoded.
struct Member {
    /// Bytes it took.
    used: usize,
    /// Whether they were skipped, as the format wants it.
    skipped: bool,
}

impl Member {
    fn decoded(used: usize) -> Self {
        Self { used, skipped: false }
    }
}

/// One format of compressed streams.
struct Stream {
    mime: &'static str,
    /// Extensions, and what remains when a name loses them.
    suffixes: &'static [(&'static str, &'static str)],
    /// Bytes that members may be padded to with zeros; without, some programs end there and others read on.
    padding: Option<usize>,
    /// Whether a member begins here.
    begins: fn(&[u8]) -> bool,
    /// Decodes the member that begins here.
    member: fn(&[u8], &mut dyn Write) -> io::Result<Member>,
}

impl Extractor for Stream {
    fn recognises(&self, content: &[u8], file_type: &FileType) -> bool {
        (self.begins)(content) || file_type.mime == self.mime
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == self.mime
    }

    fn extract(&self, content: &[u8], _: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        sink.count()?;
        let entry = Entry::new(self.name_inside(&sink.name()), 0);
        let mut at = 0;
        let mut skipped: Vec<Range<usize>> = Vec::new();
        let mut is_doubtful = false;
        let whole = sink.take(entry, &mut |to| {
            loop {
                let member = (self.member)(content.get(at..).unwrap_or_default(), to)?;
                // Members without content cost time all the same: an empty write asks the ledger.
                let _ = to.write(&[])?;
                if member.used == 0 {
                    return Err(io::Error::other("a member of the stream has no end"));
                }
                if member.skipped {
                    skipped.push(at..at + member.used);
                }
                at += member.used;
                let behind = content.get(at..).unwrap_or_default();
                let padding = behind.iter().take_while(|byte| **byte == 0).count();
                if !(self.begins)(behind.get(padding..).unwrap_or_default()) {
                    return Ok(());
                }
                is_doubtful |= padding > 0 && self.padding.is_none_or(|unit| padding % unit != 0);
                at += padding;
            }
        })?;
        for range in skipped {
            rest::take(content, range, "[skipped frame]", sink)?;
        }
        if !whole {
            return Ok(());
        }
        rest::behind(content, at, sink)?;
        // `zstd` decodes all of these one behind the other, into one content.
        let behind = content.get(at..).unwrap_or_default();
        if is_doubtful || (at > 0 && MIXED.iter().any(|stream| (stream.begins)(behind))) {
            return Err(Stop::corrupt("programs differ about where the stream ends"));
        }
        Ok(())
    }
}

impl Stream {
    /// `a.tar.gz` holds `a.tar`, and so does `a.tgz`.
    fn name_inside(&self, container: &str) -> String {
        let name = names::file_name(container);
        let lower = name.to_ascii_lowercase();
        let stem = self.suffixes.iter().find_map(|(suffix, instead)| {
            let stem = name.get(..lower.strip_suffix(suffix)?.len()).filter(|stem| !stem.is_empty())?;
            Some(format!("{stem}{instead}"))
        });
        stem.unwrap_or_else(|| "[content]".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_inside_loses_the_extension_of_the_stream() {
        let cases = [
            (&gzip::GZIP, "x/a.tar.GZ", "a.tar"),
            (&gzip::GZIP, "a.tgz", "a.tar"),
            (&gzip::GZIP, "a", "[content]"),
            (&gzip::GZIP, ".gz", "[content]"),
            (&xz::XZ, "ä.txz", "ä.tar"),
            (&bzip2::BZIP2, "a.bz2", "a"),
        ];
        for (stream, name, inside) in cases {
            assert_eq!(stream.name_inside(name), inside, "{name}");
        }
    }
}
