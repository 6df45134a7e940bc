//! The object onto disk: ranges side by side, each pinned to version and ETag.

use std::path::Path;

use futures::stream::{self, TryStreamExt};
use portcullis_core::domain::submission::ObjectRef;
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::Objects;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// Bytes of one range. AWS's advice for fast reads is 8–16 MB a request.
const RANGE: u64 = 16 * 1024 * 1024;
/// Ranges read side by side.
const PARALLEL: usize = 4;

/// Fetches exactly this object into a new nameless-to-the-outside file that goes away with its handle.
///
/// # Errors
/// `Conflict` or `Missing`: it is no longer there as it was; `Retry` for everything that may pass.
pub(crate) async fn to_disk(objects: &Objects, object: &ObjectRef, folder: &Path) -> Result<NamedTempFile, StoreError> {
    let disk = |source: std::io::Error| StoreError::Retry { what: "write the file to disk", source: source.into() };
    tokio::fs::create_dir_all(folder).await.map_err(disk)?;
    let file = NamedTempFile::with_prefix_in("object-", folder).map_err(disk)?;
    let path = file.path();
    let starts = (0..object.size).step_by(usize::try_from(RANGE).unwrap_or(usize::MAX));
    stream::iter(starts.map(Ok::<u64, StoreError>))
        .try_for_each_concurrent(PARALLEL, |from| async move {
            let to = (from + RANGE).min(object.size) - 1;
            let mut body = objects.read(object, from, to).await?;
            let mut part = File::options().write(true).open(path).await.map_err(disk)?;
            part.seek(std::io::SeekFrom::Start(from)).await.map_err(disk)?;
            let mut left = to + 1 - from;
            while let Some(bytes) = body.next().await {
                let bytes = bytes.map_err(|e| StoreError::Retry { what: "read an object", source: e.into() })?;
                left = left.checked_sub(bytes.len() as u64).ok_or(StoreError::Conflict { what: "read an object" })?;
                part.write_all(&bytes).await.map_err(disk)?;
            }
            part.flush().await.map_err(disk)?;
            // A range that ends early would leave a hole of zeros: other bytes than those that were submitted.
            if left == 0 { Ok(()) } else { Err(StoreError::Retry { what: "read an object", source: "the range ended early".into() }) }
        })
        .await?;
    Ok(file)
}

/// SHA-256 of a fetched file.
pub(crate) async fn sha256(path: &Path) -> Result<String, StoreError> {
    let path = path.to_owned();
    let disk = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Retry { what: "read the file from disk", source };
    let hashed = tokio::task::spawn_blocking(move || portcullis_engines::reuse::sha256(&path)).await;
    hashed.map_err(|error| disk(error.into()))?.map_err(|error| disk(error.into()))
}
