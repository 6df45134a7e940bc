//! A file on its way: streamed in pieces, hashed as it goes.
//!
//! What always holds: the body that reaches the server whole is exactly the length that was announced, its SHA-256 is
//! known here, and the file did not change while it was read. Anything else breaks the request off.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::Error;
use crate::http::Pulse;
use crate::progress::Progress;

/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

/// What tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// Where content comes from.
#[derive(Debug)]
pub(crate) enum Content {
    /// A file, opened anew for each attempt.
    Path(PathBuf),
    /// Standard input, spooled into a file without a name: servers want the length first (contract §4.1).
    Spooled(File),
}

/// Content that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    stamp: Stamp,
}

/// What became of the stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<Mutex<Outcome>>);

#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Untouched,
    Cut,
    Whole(String),
    Failed(String),
}

impl Content {
    /// All of standard input.
    pub(crate) fn stdin() -> Result<Self, Error> {
        let spool = || {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut io::stdin().lock(), &mut file)?;
            Ok::<_, io::Error>(file)
        };
        spool().map(Self::Spooled).map_err(|error| Error::Said(format!("Standard input could not be read: {error}.")))
    }

    /// Opens it at its beginning.
    pub(crate) fn open(&self) -> Result<Opened, Error> {
        match self {
            Self::Path(path) => open(path).map_err(|error| Error::io(path, &error)),
            Self::Spooled(file) => {
                let again = || {
                    let mut file = file.try_clone()?;
                    file.rewind()?;
                    Ok::<_, io::Error>(Opened { stamp: Stamp::of(&file.metadata()?), file })
                };
                again().map_err(|error| Error::Said(format!("Standard input could not be read again: {error}.")))
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Opened> {
    // Asked before as well: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    Ok(Opened { stamp: Stamp::of(&metadata), file })
}

impl Opened {
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The bytes, once.
    pub(crate) fn stream(self, pulse: Pulse, progress: Progress) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Sent) {
        let sent = Sent::default();
        if self.stamp.size == 0 {
            sent.set(Outcome::Whole(hex::encode(Sha256::digest(b""))));
        }
        let reader = Reader {
            left: self.stamp.size,
            stamp: self.stamp,
            file: tokio::fs::File::from_std(self.file),
            hash: Sha256::new(),
            pulse,
            progress,
            sent: sent.clone(),
        };
        let stream = futures::stream::try_unfold(reader, |mut reader| async move {
            match reader.piece().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, reader))),
                Err(error) => {
                    reader.sent.set(Outcome::Failed(error.to_string()));
                    Err(error)
                }
            }
        });
        (stream, sent)
    }
}

struct Reader {
    file: tokio::fs::File,
    stamp: Stamp,
    left: u64,
    hash: Sha256,
    pulse: Pulse,
    progress: Progress,
    sent: Sent,
}

impl Reader {
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(self.left).unwrap_or(PIECE)));
        if (&mut self.file).take(self.left).read_buf(&mut piece).await? == 0 {
            return Err(io::Error::other("became shorter while it was read"));
        }
        self.sent.set(Outcome::Cut);
        self.left -= piece.len() as u64;
        self.hash.update(&piece);
        self.pulse.beat();
        self.progress.sent(piece.len() as u64);
        if self.left == 0 {
            // Before the last piece goes out: what is longer, or was written to, shall not count as sent.
            if self.file.read_buf(&mut [0_u8; 1].as_mut_slice()).await? != 0 || Stamp::of(&self.file.metadata().await?) != self.stamp {
                return Err(io::Error::other("changed while it was read"));
            }
            self.sent.set(Outcome::Whole(hex::encode(std::mem::take(&mut self.hash).finalize())));
        }
        Ok(Some(piece.freeze()))
    }
}

impl Sent {
    fn set(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }

    /// The SHA-256 of everything, if everything went out.
    pub(crate) fn digest(&self) -> Option<String> {
        if let Outcome::Whole(digest) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) { Some(digest.clone()) } else { None }
    }

    /// Whether nobody asked for the first byte.
    pub(crate) fn untouched(&self) -> bool {
        matches!(&*self.0.lock().unwrap_or_else(PoisonError::into_inner), Outcome::Untouched)
    }

    /// Why reading failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        if let Outcome::Failed(why) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) { Some(why.clone()) } else { None }
    }
}

/// The SHA-256 of a file as it is now.
pub(crate) fn digest(file: &mut impl Read) -> io::Result<String> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use std::io::Write;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    async fn read(opened: Opened) -> (io::Result<Vec<u8>>, Sent) {
        let (stream, sent) = opened.stream(Pulse::new(), Progress::none());
        let pieces: io::Result<Vec<Bytes>> = stream.try_collect().await;
        (pieces.map(|pieces| pieces.concat()), sent)
    }

    #[tokio::test]
    async fn the_bytes_come_whole_and_their_digest_is_known() {
        let content = vec![7; 3 * PIECE + 5];
        let file = file(&content);
        let (read, sent) = read(Content::Path(file.path().into()).open().unwrap()).await;
        assert_eq!(read.unwrap(), content);
        assert_eq!(sent.digest(), Some(hex::encode(Sha256::digest(&content))));
        assert_eq!(digest(&mut file.reopen().unwrap()).unwrap(), sent.digest().unwrap());
    }

    #[tokio::test]
    async fn a_file_that_grows_shrinks_or_is_written_to_is_not_sent_whole() {
        for change in [&(|file: &File| file.set_len(10).unwrap()) as &dyn Fn(&File), &|file| file.set_len(999_999).unwrap(), &|mut file| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            file.write_all(b"x").unwrap();
        }] {
            let file = file(&vec![1; 2 * PIECE]);
            let opened = Content::Path(file.path().into()).open().unwrap();
            change(&File::options().write(true).open(file.path()).unwrap());
            let (read, sent) = read(opened).await;
            assert!(read.unwrap_err().to_string().contains("while it was read"));
            assert!(sent.digest().is_none() && sent.failure().is_some());
        }
    }

    #[test]
    fn folders_and_missing_files_are_refused_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = Content::Path(folder.path().into()).open().unwrap_err().to_string();
        assert!(error.contains("is no regular file") && error.contains(&*folder.path().to_string_lossy()), "{error}");
        assert!(Content::Path(folder.path().join("none")).open().is_err());
    }
}
