//! What was done of an analysis that continues in another invocation: objects in the report bucket, gone after the verdict.
//!
//! What always holds: a key belongs to one claim, so a worker that lost its claim overwrites nothing.

use bytes::Bytes;

use super::{StoreError, objects::Objects};
use crate::domain::id::DataId;

/// Key prefix; the bucket's lifecycle removes what is left below it.
pub const PREFIX: &str = "partial/";

/// The store.
#[derive(Clone, Debug)]
pub struct Partials {
    objects: Objects,
    bucket: String,
}

impl Partials {
    /// Over the report bucket.
    pub fn new(objects: Objects, bucket: impl Into<String>) -> Self {
        Self { objects, bucket: bucket.into() }
    }

    /// Keeps what the holder of a claim did; gives its key.
    pub async fn save(&self, id: &DataId, token: &str, body: Vec<u8>) -> Result<String, StoreError> {
        let key = format!("{PREFIX}{id}/{token}.json");
        self.objects.put_document(&self.bucket, &key, body).await?;
        Ok(key)
    }

    /// Reads it.
    pub async fn read(&self, key: &str) -> Result<Bytes, StoreError> {
        self.objects.document(&self.bucket, key).await
    }

    /// Removes it.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.objects.remove_document(&self.bucket, key).await
    }
}
