//! gzip (RFC 1952).

use std::io::{self, Write};

use flate2::bufread::GzDecoder;

use super::{Member, Stream};
use crate::archive::sink::pump;

pub(super) const GZIP: Stream = Stream {
    mime: "application/gzip",
    padding: None,
    suffixes: &[(".tar.gz", ".tar"), (".tgz", ".tar"), (".svgz", ".svg"), (".gz", "")],
    begins: |content| content.starts_with(b"\x1f\x8b\x08"),
    member,
};

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    let mut decoder = GzDecoder::new(content);
    pump(&mut decoder, to)?;
    Ok(Member::decoded(content.len() - decoder.into_inner().len()))
}
