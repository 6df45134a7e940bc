//! Where a part waits until the envelope was read to its end: in memory while the request holds little, else in a file.

use std::io::Error;

use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Memory that the parts of one request share, in bytes.
pub(super) const MEMORY: usize = 4 * 1024 * 1024;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of one part. Its file is removed with it.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    /// The file has everything, once there is one.
    disk: Option<TempPath>,
    open: Option<File>,
    size: u64,
}

impl Spool {
    /// Takes a piece. `memory` is what the request may still hold.
    pub(super) async fn write(&mut self, piece: &[u8], memory: &mut usize) -> Result<(), Error> {
        self.size += piece.len() as u64;
        if self.disk.is_none() && piece.len() <= *memory {
            *memory -= piece.len();
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        if self.disk.is_none() {
            let (file, path) = NamedTempFile::new()?.into_parts();
            let mut file = File::from_std(file);
            file.write_all(&self.memory).await?;
            *memory += self.memory.len();
            self.memory = Vec::new();
            (self.disk, self.open) = (Some(path), Some(file));
        }
        match &mut self.open {
            Some(file) => file.write_all(piece).await,
            None => Err(Error::other("the part was ended")),
        }
    }

    /// No more pieces. A thousand parts must not be a thousand open files.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        match self.open.take() {
            Some(mut file) => file.flush().await,
            None => Ok(()),
        }
    }

    /// Bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, to be stored. The file is removed when the stream is dropped or once it is open.
    pub(crate) async fn into_stream(self) -> Result<ByteStream, Source> {
        match &self.disk {
            None => Ok(Bytes::from(self.memory).into()),
            // Removing an open file keeps its bytes until it is closed.
            Some(path) => Ok(ByteStream::read_from().file(File::open(path).await?).build().await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_into_memory_comes_back_from_a_file_and_gives_its_memory_back() {
        let mut memory = 10;
        let (mut small, mut large) = (Spool::default(), Spool::default());
        small.write(b"small", &mut memory).await.unwrap();
        for piece in [&b"12345"[..], b"6789", b"0"] {
            large.write(piece, &mut memory).await.unwrap();
        }
        large.end().await.unwrap();
        assert_eq!((memory, large.size(), large.memory.len()), (5, 10, 0));
        let path = large.disk.as_ref().unwrap().to_path_buf();
        assert_eq!(large.into_stream().await.unwrap().collect().await.unwrap().to_vec(), b"1234567890");
        assert!(!path.exists());
        assert_eq!(small.into_stream().await.unwrap().collect().await.unwrap().to_vec(), b"small");
    }
}
