//! bzip2.

use std::io::{self, Write};

use bzip2::bufread::BzDecoder;

use super::{Member, Stream};
use crate::archive::sink::pump;

pub(super) const BZIP2: Stream = Stream {
    mime: "application/x-bzip2",
    padding: None,
    suffixes: &[(".tar.bz2", ".tar"), (".tbz2", ".tar"), (".tbz", ".tar"), (".bz2", "")],
    begins,
    member,
};

/// Signature, block size, and the first block's (or the end's) own signature.
fn begins(content: &[u8]) -> bool {
    let block = content.get(4..).unwrap_or_default();
    content.starts_with(b"BZh")
        && content.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
        && (block.starts_with(b"1AY&SY") || block.starts_with(b"\x17rE8P\x90"))
}

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    let mut decoder = BzDecoder::new(content);
    pump(&mut decoder, to)?;
    Ok(Member::decoded(content.len() - decoder.into_inner().len()))
}
