//! Sparse files: pieces of data and the holes between them (GNU tar manual, "Sparse Formats").
//!
//! They are put together, because that is what users get: a content cut into pieces is not the content.

use std::io::{self, Write};

use super::header::{BLOCK, number};
use super::pax::{Pax, decimal};
use crate::archive::Stop;
use crate::archive::sink::CHUNK;

/// Most pieces of one file.
const MAX_PIECES: usize = 1_000_000;

/// Where the pieces belong.
pub(super) struct Map {
    /// Offset in the file, and length.
    pieces: Vec<(u64, u64)>,
    /// Size of the file.
    pub(super) size: u64,
}

impl Map {
    fn new(pieces: Vec<(u64, u64)>, size: u64) -> Result<Self, Stop> {
        let mut at = 0_u64;
        for (offset, length) in &pieces {
            let end = offset.checked_add(*length).filter(|end| *end <= size);
            at = end.filter(|_| *offset >= at).ok_or_else(|| Stop::corrupt("the pieces of a sparse file overlap"))?;
        }
        Ok(Self { pieces, size })
    }

    /// Writes the file.
    pub(super) fn write(&self, mut data: &[u8], to: &mut dyn Write) -> io::Result<()> {
        let mut at = 0;
        for (offset, length) in &self.pieces {
            zeros(offset - at, to)?;
            let length_here = usize::try_from(*length).unwrap_or(usize::MAX);
            let (piece, rest) = data.split_at_checked(length_here).ok_or_else(|| io::Error::other("the pieces of a sparse file are cut off"))?;
            piece.chunks(CHUNK).try_for_each(|chunk| to.write_all(chunk))?;
            data = rest;
            at = offset + length;
        }
        zeros(self.size - at, to)?;
        // Padding apart, nothing may be left: whoever counts otherwise would see it.
        if data.iter().any(|byte| *byte != 0) { Err(io::Error::other("a sparse file has data that belong nowhere")) } else { Ok(()) }
    }
}

fn zeros(mut count: u64, to: &mut dyn Write) -> io::Result<()> {
    let block = [0; 8 * 1024];
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(usize::MAX).min(block.len());
        to.write_all(block.get(..now).unwrap_or_default())?;
        count -= now as u64;
    }
    Ok(())
}

fn damaged() -> Stop {
    Stop::corrupt("the map of a sparse file is damaged")
}

/// The map of an entry of type `S`, in its header and the blocks behind it; and where its data begin.
pub(super) fn old(content: &[u8], at: usize) -> Result<(Option<Map>, usize), Stop> {
    let header = content.get(at..at + BLOCK).ok_or_else(damaged)?;
    let mut pieces = Vec::new();
    let mut read = |fields: &[u8], count: usize| -> Result<(), Stop> {
        for field in fields.chunks_exact(24).take(count) {
            let (offset, length) = field.split_at(12);
            if field.iter().all(|byte| *byte == 0) {
                break;
            }
            pieces.push((number(offset).ok_or_else(damaged)?, number(length).ok_or_else(damaged)?));
        }
        if pieces.len() > MAX_PIECES { Err(damaged()) } else { Ok(()) }
    };
    read(header.get(386..482).unwrap_or_default(), 4)?;
    let mut more = header.get(482).is_some_and(|flag| *flag != 0);
    let size = number(header.get(483..495).unwrap_or_default()).ok_or_else(damaged)?;
    let mut data = at + BLOCK;
    while more {
        let block = content.get(data..data + BLOCK).ok_or_else(damaged)?;
        read(block.get(..504).unwrap_or_default(), 21)?;
        more = block.get(504).is_some_and(|flag| *flag != 0);
        data += BLOCK;
    }
    Ok((Some(Map::new(pieces, size)?), data))
}

/// The map that extended headers give (0.0, 0.1), or point to (1.0, in front of the data), and the data.
pub(super) fn from_pax<'a>(pax: &Pax, data: &'a [u8]) -> Result<Option<(Map, &'a [u8])>, Stop> {
    if pax.get("GNU.sparse.major") == Some(b"1") {
        let size = pax.number("GNU.sparse.realsize")?.ok_or_else(damaged)?;
        let mut at = 0;
        let mut next = || -> Option<u64> {
            let line = data.get(at..)?.split(|byte| *byte == b'\n').next()?;
            at += line.len() + 1;
            decimal(line)
        };
        let count = next().and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= MAX_PIECES).ok_or_else(damaged)?;
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((next().ok_or_else(damaged)?, next().ok_or_else(damaged)?));
        }
        let rest = data.get(at.next_multiple_of(BLOCK)..).ok_or_else(damaged)?;
        return Ok(Some((Map::new(pieces, size)?, rest)));
    }
    let Some(size) = pax.number("GNU.sparse.size")? else {
        let is_other = pax.get("GNU.sparse.major").is_some() || pax.get("GNU.sparse.map").is_some();
        return if is_other { Err(damaged()) } else { Ok(None) };
    };
    let numbers: Vec<u64> = if let Some(map) = pax.get("GNU.sparse.map") {
        map.split(|byte| *byte == b',').map(decimal).collect::<Option<_>>().ok_or_else(damaged)?
    } else {
        let (offsets, lengths) = (pax.all("GNU.sparse.offset"), pax.all("GNU.sparse.numbytes"));
        offsets.zip(lengths).flat_map(|(offset, length)| [decimal(offset), decimal(length)]).collect::<Option<_>>().ok_or_else(damaged)?
    };
    let pieces = numbers.as_chunks::<2>().0.iter().map(|[offset, length]| (*offset, *length)).collect();
    Ok(Some((Map::new(pieces, size)?, data)))
}
