//! Object bodies as files: `incoming/` while they arrive, `bodies/xx/` once complete.
//!
//! What always holds: a file name is a UUID of ours, never a key; a body without a row is removed at the next start;
//! a draft that is not kept removes its own file.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::Stream;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3Result, StdError, s3_error};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use uuid::Uuid;

use super::error::Failure;
use crate::aws::db::{Db, DbError};

/// Bytes read or written per system call.
const CHUNK: usize = 512 * 1024;

/// The folders of the bodies.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    incoming: PathBuf,
    finished: PathBuf,
}

/// A body that has arrived but is not part of an object yet. Dropped without [`Draft::keep`], it is gone.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Name for the `body` column.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// MD5 of the bytes.
    pub(crate) md5: [u8; 16],
    /// The digests that were asked for, base64.
    pub(crate) sums: Checksum,
    path: PathBuf,
    kept: bool,
}

/// How many bytes a body may have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// What the client declared.
    Exactly(u64),
    /// What a POST policy allows, both ends included.
    Within(u64, u64),
}

impl Length {
    fn check_so_far(self, size: u64) -> S3Result<()> {
        match self {
            Self::Exactly(length) if size > length => Err(s3_error!(IncompleteBody, "The request body is longer than declared")),
            Self::Within(_, max) if size > max => Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")),
            _ => Ok(()),
        }
    }

    fn check_end(self, size: u64) -> S3Result<()> {
        match self {
            Self::Exactly(length) if size < length => Err(s3_error!(IncompleteBody, "The request body is shorter than declared")),
            Self::Within(min, _) if size < min => Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size")),
            _ => Ok(()),
        }
    }
}

impl Bodies {
    /// Creates the folders; removes unfinished transfers and bodies no row names.
    pub(crate) async fn open(dir: &Path, db: &Db) -> Result<Self, DbError> {
        let bodies = Self { incoming: dir.join("incoming"), finished: dir.join("bodies") };
        let named = db
            .read::<HashSet<String>, DbError>(|conn| {
                let mut statement = conn.prepare("SELECT body FROM objects WHERE body IS NOT NULL UNION SELECT body FROM parts")?;
                let names = statement.query_map([], |row| row.get(0))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await?;
        let folders = bodies.clone();
        let swept = tokio::task::spawn_blocking(move || folders.sweep(&named)).await;
        match swept {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "removed unfinished or unreferenced bodies"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot sweep the body folders"),
            Err(error) => tracing::warn!(%error, "the sweep stopped"),
        }
        Ok(bodies)
    }

    fn sweep(&self, named: &HashSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        std::fs::create_dir_all(&self.incoming)?;
        for entry in std::fs::read_dir(&self.incoming)? {
            removed += remove(&entry?.path())?;
        }
        for shard in 0..=u8::MAX {
            let folder = self.finished.join(format!("{shard:02x}"));
            std::fs::create_dir_all(&folder)?;
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
                    removed += remove(&entry.path())?;
                }
            }
        }
        Ok(removed)
    }

    /// Writes a stream to a file, digesting on the way. A body whose bytes end before or after `length` allows is
    /// refused and leaves nothing.
    pub(crate) async fn receive<E: Into<StdError>>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
        length: Length,
        sums: ChecksumHasher,
    ) -> Result<Draft, S3Error> {
        let mut draft = self.draft();
        let mut sums = sums;
        let mut md5 = Md5::new();
        // Not on another thread: should this task be dropped meanwhile, the file would appear after its removal.
        let file = File::from_std(std::fs::File::create(&draft.path).map_err(Failure::from)?);
        let mut file = BufWriter::with_capacity(CHUNK, file);
        let mut stream = stream;
        while let Some(chunk) = stream.next().await {
            let chunk: Bytes = chunk.map_err(|source| {
                let mut error = s3_error!(IncompleteBody, "The request body ended early or is not what was signed");
                error.set_source(source.into());
                error
            })?;
            draft.size += chunk.len() as u64;
            length.check_so_far(draft.size)?;
            md5.update(&chunk);
            sums.update(&chunk);
            file.write_all(&chunk).await.map_err(Failure::from)?;
        }
        length.check_end(draft.size)?;
        file.flush().await.map_err(Failure::from)?;
        draft.md5 = md5.finalize().into();
        draft.sums = sums.finalize();
        Ok(draft)
    }

    /// A second name for a body that exists; bodies never change, so a hard link is a copy.
    pub(crate) fn link(&self, name: &str) -> io::Result<Draft> {
        let draft = self.draft();
        let source = self.path(name);
        if std::fs::hard_link(&source, &draft.path).is_err() {
            std::fs::copy(&source, &draft.path)?;
        }
        Ok(draft)
    }

    /// The bodies one after the other as one new body.
    pub(crate) fn concatenate(&self, names: &[String]) -> io::Result<Draft> {
        let mut draft = self.draft();
        let mut target = std::fs::File::create(&draft.path)?;
        for name in names {
            draft.size += io::copy(&mut std::fs::File::open(self.path(name))?, &mut target)?;
        }
        Ok(draft)
    }

    /// Moves the draft to its place. Still removed unless kept.
    pub(crate) fn finish(&self, draft: &mut Draft) -> io::Result<()> {
        let target = self.path(&draft.name);
        std::fs::rename(&draft.path, &target)?;
        draft.path = target;
        Ok(())
    }

    /// Streams `length` bytes from `start`; the file stays readable when the object is deleted meanwhile.
    pub(crate) async fn stream(&self, name: &str, start: u64, length: u64) -> io::Result<StreamingBlob> {
        let mut file = File::open(self.path(name)).await?;
        if start > 0 {
            file.seek(io::SeekFrom::Start(start)).await?;
        }
        Ok(StreamingBlob::wrap(chunks(file.take(length))))
    }

    /// Removes bodies whose rows are gone; what fails here goes at the next start.
    pub(crate) fn remove(&self, names: &[String]) {
        for name in names {
            if let Err(error) = std::fs::remove_file(self.path(name)) {
                tracing::debug!(%error, name, "a body was not removed");
            }
        }
    }

    fn draft(&self) -> Draft {
        let name = Uuid::new_v4().simple().to_string();
        let path = self.incoming.join(&name);
        Draft { name, size: 0, md5: [0; 16], sums: Checksum::default(), path, kept: false }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.finished.join(name.get(..2).unwrap_or("00")).join(name)
    }
}

impl Draft {
    /// The file belongs to a row now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a file; answers how many that were, because it may be gone already.
fn remove(path: &Path) -> io::Result<usize> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn chunks(file: tokio::io::Take<File>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    futures::stream::try_unfold(file, |mut file| async move {
        let mut buffer = BytesMut::with_capacity(usize::try_from(file.limit()).unwrap_or(CHUNK).clamp(1, CHUNK));
        let read = file.read_buf(&mut buffer).await?;
        Ok((read > 0).then(|| (buffer.freeze(), file)))
    })
}
