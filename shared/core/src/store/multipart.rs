//! Objects written in pieces, with bounded memory: S3 multipart uploads.
//!
//! What always holds: the object is there only after [`Draft::complete`]; a draft that is dropped leaves pieces that
//! the bucket's lifecycle removes, and [`Draft::abort`] removes them at once.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::StoreError;
use super::objects::Objects;
use crate::domain::submission::ObjectRef;

/// Bytes of one piece. S3 wants at least 5 MiB in every piece but the last, and takes 10 000: enough for 80 GiB.
pub const PIECE: usize = 8 * 1024 * 1024;
/// Pieces of one object at most.
pub const MAX_PIECES: u64 = 10_000;

/// An object that is being written.
#[derive(Clone, Debug)]
pub struct Draft {
    objects: Objects,
    bucket: String,
    key: String,
    upload_id: String,
}

/// A piece that is stored.
#[derive(Clone, Debug)]
pub struct Piece {
    number: i32,
    etag: String,
}

impl Objects {
    /// Begins an object.
    pub async fn draft(&self, bucket: &str, key: &str) -> Result<Draft, StoreError> {
        let request = self.client().create_multipart_upload().bucket(bucket).key(key).content_type("application/octet-stream");
        let output = request.send().await.map_err(|e| StoreError::from_sdk("begin an object", e))?;
        let upload_id = output.upload_id.ok_or_else(|| StoreError::corrupt("begin an object", "the answer has no upload id"))?;
        Ok(Draft { objects: self.clone(), bucket: bucket.to_owned(), key: key.to_owned(), upload_id })
    }
}

impl Draft {
    /// Stores piece `number` (from 1). Each but the last has [`PIECE`] bytes.
    pub async fn put(&self, number: u32, bytes: Bytes) -> Result<Piece, StoreError> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let request = self.objects.client().upload_part().bucket(&self.bucket).key(&self.key).upload_id(&self.upload_id);
        let output = request.part_number(number).body(bytes.into()).send().await.map_err(|e| StoreError::from_sdk("store a piece", e))?;
        let etag = output.e_tag.ok_or_else(|| StoreError::corrupt("store a piece", "the answer has no ETag"))?;
        Ok(Piece { number, etag })
    }

    /// Makes the pieces, in order of their numbers, one object.
    pub async fn complete(&self, mut pieces: Vec<Piece>) -> Result<(), StoreError> {
        pieces.sort_by_key(|piece| piece.number);
        let parts = pieces.into_iter().map(|piece| CompletedPart::builder().part_number(piece.number).e_tag(piece.etag).build());
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self.objects.client().complete_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.upload_id);
        request.multipart_upload(whole).send().await.map_err(|e| StoreError::from_sdk("finish an object", e))?;
        Ok(())
    }

    /// The same, and what is there then.
    pub async fn finish(self, pieces: Vec<Piece>) -> Result<Option<ObjectRef>, StoreError> {
        self.complete(pieces).await?;
        self.objects.head(&self.bucket, &self.key).await
    }

    /// Gives the object up.
    pub async fn abort(self) {
        let request = self.objects.client().abort_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.upload_id);
        if let Err(error) = request.send().await {
            // The bucket's lifecycle does it within days.
            tracing::warn!(key = self.key, error = %crate::error::chain(&error), "pieces of an unfinished object stay");
        }
    }
}
