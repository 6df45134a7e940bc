//! xz.

use std::io::{self, Write};

use lzma_rust2::{Action, Status, XzStream};

use super::{DECODER_KIB, Member, Stream};
use crate::archive::sink::CHUNK;

pub(super) const XZ: Stream = Stream {
    mime: "application/x-xz",
    padding: Some(4),
    suffixes: &[(".tar.xz", ".tar"), (".txz", ".tar"), (".xz", "")],
    begins: |content| content.starts_with(b"\xfd7zXZ\0"),
    member,
};

fn member(content: &[u8], to: &mut dyn Write) -> io::Result<Member> {
    let mut decoder = XzStream::new_mem_limit(false, DECODER_KIB);
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let result = decoder.process(content.get(at..).unwrap_or_default(), &mut buffer, Action::Finish)?;
        at += result.bytes_consumed;
        to.write_all(buffer.get(..result.bytes_produced).unwrap_or_default())?;
        if result.status == Status::StreamEnd {
            return Ok(Member::decoded(at));
        }
        if result.bytes_consumed == 0 && result.bytes_produced == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
