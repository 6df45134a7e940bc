//! A file of the quarantine in a ZIP of its own, encrypted (AES-256, WinZip's AE-2), stored and not compressed.
//!
//! What always holds: memory holds some pieces, never the file; what was judged is what is packed (reads are pinned).

use std::io::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use portcullis_core::domain::submission::ObjectRef;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use portcullis_core::store::multipart::{Draft, PIECE, Piece};
use portcullis_core::store::objects::Objects;
use portcullis_core::store::quarantine::Held;
use zip::write::FullFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

/// Largest file that is packed, in bytes: what an API function reads, encrypts and writes within its 29 s.
pub(super) const LARGEST: u64 = 256 * 1024 * 1024;

/// What the ZIP writer has written and nobody has taken yet.
#[derive(Clone, Debug, Default)]
struct Outlet(Arc<Mutex<Vec<u8>>>);

impl Outlet {
    /// Takes a piece if there is a whole one; all there is, at the end.
    fn take(&self, at_end: bool) -> Option<Bytes> {
        let mut held = self.0.lock().ok()?;
        if held.len() >= PIECE {
            let rest = held.split_off(PIECE);
            return Some(std::mem::replace(&mut *held, rest).into());
        }
        (at_end && !held.is_empty()).then(|| std::mem::take(&mut *held).into())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().map_err(|_| std::io::Error::other("the outlet is broken"))?.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Packs the file into the report bucket, under a key that can not be guessed.
pub(super) async fn pack(objects: &Objects, held: &Held, bucket: &str, password: &str) -> Result<ObjectRef, ApiError> {
    let key = format!("quarantine/{}/{}.zip", held.data_id, portcullis_core::domain::id::DataId::random());
    let draft = objects.draft(bucket, &key).await?;
    match write(objects, held, &draft, password).await {
        Ok(pieces) => draft.finish(pieces).await?.ok_or_else(|| ErrorCode::Internal.into()),
        Err(error) => {
            draft.abort().await;
            Err(error)
        }
    }
}

async fn write(objects: &Objects, held: &Held, draft: &Draft, password: &str) -> Result<Vec<Piece>, ApiError> {
    let (outlet, mut pieces) = (Outlet::default(), Vec::new());
    let mut zip = ZipWriter::new_stream(outlet.clone());
    let options: FullFileOptions<'_, '_> =
        FullFileOptions::default().compression_method(CompressionMethod::Stored).with_aes_encryption(AesMode::Aes256, password);
    zip.start_file(entry_name(held), options).map_err(broken)?;
    let mut body = match held.size {
        0 => None,
        size => Some(objects.read(&held.object, 0, size - 1).await?),
    };
    while let Some(open) = body.as_mut() {
        let Some(bytes) = open.try_next().await.map_err(|e| StoreError::Retry { what: "read from quarantine", source: e.into() })? else { break };
        zip.write_all(&bytes).map_err(broken)?;
        while let Some(piece) = outlet.take(false) {
            pieces.push(put(draft, &pieces, piece).await?);
        }
    }
    zip.finish().map_err(broken)?;
    while let Some(piece) = outlet.take(true) {
        pieces.push(put(draft, &pieces, piece).await?);
    }
    Ok(pieces)
}

async fn put(draft: &Draft, before: &[Piece], piece: Bytes) -> Result<Piece, StoreError> {
    draft.put(u32::try_from(before.len() + 1).unwrap_or(u32::MAX), piece).await
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::caused(ErrorCode::Internal, error)
}

/// The name without anything that is a path somewhere.
fn entry_name(held: &Held) -> String {
    let name = held.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_control() || "<>:\"|?*".contains(c) { '_' } else { c }).collect();
    if name.trim_matches(['.', ' ']).is_empty() { held.data_id.to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pieces_are_whole_until_the_end() {
        let mut outlet = Outlet::default();
        outlet.write_all(&vec![7; PIECE + 3]).unwrap();
        assert_eq!(outlet.take(false).unwrap().len(), PIECE);
        assert!(outlet.take(false).is_none());
        assert_eq!(outlet.take(true).unwrap().len(), 3);
        assert!(outlet.take(true).is_none());
    }

    /// What is written to a stream opens with the password, and only with it.
    #[test]
    fn a_streamed_zip_opens_with_its_password() {
        let outlet = Outlet::default();
        let mut zip = ZipWriter::new_stream(outlet.clone());
        let options: FullFileOptions<'_, '_> =
            FullFileOptions::default().compression_method(CompressionMethod::Stored).with_aes_encryption(AesMode::Aes256, "infected");
        zip.start_file("a.bin", options).unwrap();
        let content = vec![42_u8; 100_000];
        zip.write_all(&content).unwrap();
        zip.finish().unwrap();
        let bytes = outlet.take(true).unwrap();
        assert!(!bytes.windows(64).any(|window| window == &content[..64]), "nothing of it is readable");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut read = Vec::new();
        archive.by_index_decrypt(0, b"infected").unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        assert!(archive.by_index_decrypt(0, b"wrong").is_err());
    }
}
