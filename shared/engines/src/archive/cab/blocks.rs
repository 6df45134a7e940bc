//! The data blocks of a folder, decoded one after the other.

use std::io;

use flate2::{Decompress, FlushDecompress};
use lzxd::{Lzxd, WindowSize};

use super::{short, word};
use crate::archive::sink::Stop;

/// Most bytes of a data block when decoded.
const BLOCK: usize = 32 * 1024;

fn decoder(method: usize) -> Result<Decoder, Stop> {
    let window = |bits: usize| {
        Some(match bits {
            15 => WindowSize::KB32,
            16 => WindowSize::KB64,
            17 => WindowSize::KB128,
            18 => WindowSize::KB256,
            19 => WindowSize::KB512,
            20 => WindowSize::MB1,
            21 => WindowSize::MB2,
            _ => return None,
        })
    };
    Ok(match method & 0xf {
        0 => Decoder::Stored,
        1 => Decoder::Mszip(Vec::new()),
        3 => Decoder::Lzx(Box::new(Lzxd::new(window(method >> 8 & 0x1f).ok_or_else(|| Stop::corrupt("the window of LZX has no valid size"))?))),
        _ => return Err(Stop::corrupt("the cabinet is compressed with Quantum, which can not be read")),
    })
}

enum Decoder {
    Stored,
    /// What was decoded last: the next block refers to it.
    Mszip(Vec<u8>),
    Lzx(Box<Lzxd>),
}

/// The data blocks of a folder.
pub(super) struct Blocks<'a> {
    content: &'a [u8],
    at: usize,
    left: usize,
    reserved: usize,
    decoder: Decoder,
    decoded: Vec<u8>,
    taken: usize,
}

impl<'a> Blocks<'a> {
    /// `count` blocks from `at` on, in each of which so many bytes are reserved.
    pub(super) fn new(content: &'a [u8], at: usize, count: usize, reserved: usize, method: usize) -> Result<Self, Stop> {
        Ok(Self { content, at, left: count, reserved, decoder: decoder(method)?, decoded: Vec::new(), taken: 0 })
    }

    /// Where the blocks that were decoded end.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    pub(super) fn has_more(&self) -> bool {
        self.left > 0 || self.taken < self.decoded.len()
    }

    /// Writes `size` bytes; of `usize::MAX` as many as there are.
    pub(super) fn copy(&mut self, size: usize, to: &mut dyn io::Write) -> io::Result<()> {
        let mut left = size;
        while left > 0 && (size < usize::MAX || self.has_more()) {
            let piece = self.take(left)?;
            left -= piece.len();
            to.write_all(piece)?;
        }
        Ok(())
    }

    /// Up to `most` bytes, at least one.
    fn take(&mut self, most: usize) -> io::Result<&[u8]> {
        while self.taken == self.decoded.len() {
            self.decoded = self.next()?;
            self.taken = 0;
        }
        let from = self.taken;
        self.taken = self.decoded.len().min(from.saturating_add(most));
        Ok(self.decoded.get(from..self.taken).unwrap_or_default())
    }

    fn next(&mut self) -> io::Result<Vec<u8>> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the data of the cabinet are cut off"))?;
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let block = self.content.get(self.at..).ok_or_else(cut)?;
        let (stated, size, plain) = (word(block, 0).ok_or_else(cut)?, short(block, 4).ok_or_else(cut)?, short(block, 6).ok_or_else(cut)?);
        let start = 8 + self.reserved;
        let data = block.get(start..start + size).ok_or_else(cut)?;
        if plain > BLOCK {
            return Err(io::Error::other("a data block is too long"));
        }
        // The sum covers the sizes, what is reserved, and the data. 0: none was made.
        if stated != 0 && u32::try_from(stated) != Ok(checksum(block.get(4..start).unwrap_or_default(), checksum(data, 0))) {
            return Err(io::Error::other("a checksum is wrong"));
        }
        self.at += start + size;
        let decoded = match &mut self.decoder {
            Decoder::Stored => data.to_vec(),
            Decoder::Mszip(history) => {
                let decoded = mszip(data, plain, history)?;
                history.clone_from(&decoded);
                decoded
            }
            Decoder::Lzx(decoder) => decoder.decompress_next(data, plain).map_err(|error| io::Error::other(error.to_string()))?.to_vec(),
        };
        if decoded.len() == plain { Ok(decoded) } else { Err(io::Error::other("a data block has another size than its header says")) }
    }
}

/// One block of MSZIP: a deflate stream that may refer to the block before ([MS-MCI] §2.1).
fn mszip(data: &[u8], plain: usize, history: &[u8]) -> io::Result<Vec<u8>> {
    let data = data.strip_prefix(b"CK").ok_or_else(|| io::Error::other("a data block has no signature"))?;
    let mut inflate = Decompress::new(false);
    if let Ok(length) = u16::try_from(history.len())
        && length > 0
    {
        // A stored block in front makes the history known to any decoder.
        let mut stored = vec![0];
        stored.extend(length.to_le_bytes());
        stored.extend((!length).to_le_bytes());
        stored.extend(history);
        let mut known = Vec::with_capacity(history.len());
        inflate.decompress_vec(&stored, &mut known, FlushDecompress::Sync)?;
    }
    let mut decoded = Vec::with_capacity(plain);
    inflate.decompress_vec(data, &mut decoded, FlushDecompress::Finish)?;
    Ok(decoded)
}

/// [MS-CAB] §3.1: words are XORed; the last bytes are taken in reverse.
fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(seed, |sum, word| sum ^ u32::from_le_bytes(*word));
    sum ^ rest.iter().fold(0, |last, byte| last << 8 | u32::from(*byte))
}
