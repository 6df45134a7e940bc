//! Objects in S3: uploads going in, pinned reads coming out, verdict tags, reports.
//!
//! What always holds: a read names the version and the ETag it wants; another object under the same
//! key is an error ([`StoreError::Conflict`]), never other bytes.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier, Tag, Tagging};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::StoreError;
use crate::domain::submission::ObjectRef;

/// What a key keeps as it is in `x-amz-copy-source`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// Key prefix of uploads; the rest of the key is the data id.
pub const UPLOAD_PREFIX: &str = "in/";
/// Tags on one object at most (S3).
const MAX_TAGS: usize = 10;

/// S3.
#[derive(Clone, Debug)]
pub struct Objects {
    client: aws_sdk_s3::Client,
}

impl Objects {
    /// Over a client.
    pub const fn new(client: aws_sdk_s3::Client) -> Self {
        Self { client }
    }

    pub(super) const fn client(&self) -> &aws_sdk_s3::Client {
        &self.client
    }

    /// Removes these keys, 1000 at most. A key that is not there counts as removed.
    pub async fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), StoreError> {
        let named = |key: &String| ObjectIdentifier::builder().key(key).build().map_err(|e| StoreError::corrupt("remove objects", e));
        let objects = keys.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() {
            return Ok(());
        }
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(|e| StoreError::corrupt("remove objects", e))?;
        let request = self.client.delete_objects().bucket(bucket).delete(delete);
        let failed = request.send().await.map_err(|e| StoreError::from_sdk("remove objects", e))?.errors.unwrap_or_default();
        match failed.into_iter().next() {
            None => Ok(()),
            Some(error) => Err(StoreError::Retry { what: "remove objects", source: error.message.unwrap_or_default().into() }),
        }
    }

    /// Stores a body of exactly `size` bytes as it streams in. A body that ends early stores nothing.
    pub async fn put(&self, bucket: &str, key: &str, size: u64, body: ByteStream) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .content_type("application/octet-stream")
            .body(body)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("store an object", e))?;
        Ok(())
    }

    /// What is under a key now; `None` when nothing is.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectRef>, StoreError> {
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(output) => Ok(Some(ObjectRef {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                version: output.version_id,
                etag: output.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
                size: output.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
            })),
            Err(SdkError::ServiceError(service)) if service.err().is_not_found() => Ok(None),
            Err(error) => Err(StoreError::from_sdk("look at an object", error)),
        }
    }

    /// Opens bytes `from..=to` of exactly this object.
    pub async fn read(&self, object: &ObjectRef, from: u64, to: u64) -> Result<ByteStream, StoreError> {
        let result = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version.clone())
            .if_match(format!("\"{}\"", object.etag))
            .range(format!("bytes={from}-{to}"))
            .send()
            .await;
        match result {
            Ok(output) => Ok(output.body),
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 412 => Err(StoreError::Conflict { what: "read an object" }),
            Err(error) => Err(StoreError::from_sdk("read an object", error)),
        }
    }

    /// Sets tags on exactly this version, and leaves other tags alone. `Permanent` when the object has no room for them.
    pub async fn tag(&self, object: &ObjectRef, tags: &[(&str, String)]) -> Result<(), StoreError> {
        let present = self
            .client
            .get_object_tagging()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version.clone())
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read an object's tags", e))?
            .tag_set;
        let mut all: Vec<Tag> = present.into_iter().filter(|tag| !tags.iter().any(|(name, _)| *name == tag.key())).collect();
        for (name, value) in tags {
            all.push(Tag::builder().key(*name).value(value).build().map_err(|e| StoreError::corrupt("tag an object", e))?);
        }
        if all.len() > MAX_TAGS {
            return Err(StoreError::Permanent { what: "tag an object", source: "the object has too many tags of its own".into() });
        }
        let tagging = Tagging::builder().set_tag_set(Some(all)).build().map_err(|e| StoreError::corrupt("tag an object", e))?;
        self.client
            .put_object_tagging()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version.clone())
            .tagging(tagging)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("tag an object", e))?;
        Ok(())
    }

    /// Stores a small document.
    pub async fn put_document(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type("application/json")
            .body(body.into())
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("store a document", e))?;
        Ok(())
    }

    /// Copies exactly this object within its bucket, without its bytes passing through here. At most 5 GiB (S3).
    pub async fn copy(&self, object: &ObjectRef, to: &str) -> Result<(), StoreError> {
        let source = format!("{}/{}", object.bucket, utf8_percent_encode(&object.key, KEY));
        let request =
            self.client.copy_object().bucket(&object.bucket).key(to).copy_source(source).copy_source_if_match(format!("\"{}\"", object.etag));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 412 => Err(StoreError::Conflict { what: "copy an object" }),
            Err(error) => Err(StoreError::from_sdk("copy an object", error)),
        }
    }

    /// Reads a small document.
    pub async fn document(&self, bucket: &str, key: &str) -> Result<Bytes, StoreError> {
        let output = self.client.get_object().bucket(bucket).key(key).send().await.map_err(|e| StoreError::from_sdk("read a document", e))?;
        let body = output.body.collect().await.map_err(|e| StoreError::Retry { what: "read a document", source: e.into() })?;
        Ok(body.into_bytes())
    }

    /// Removes a small document; one that is not there is removed.
    pub async fn remove_document(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.client.delete_object().bucket(bucket).key(key).send().await.map_err(|e| StoreError::from_sdk("remove a document", e))?;
        Ok(())
    }

    /// Keys, ETags and sizes under a prefix, all pages.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectRef>, StoreError> {
        let mut found = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.map_err(|e| StoreError::from_sdk("list objects", e))?.contents.unwrap_or_default() {
                found.push(ObjectRef {
                    bucket: bucket.to_owned(),
                    key: object.key.unwrap_or_default(),
                    version: None,
                    etag: object.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
                    size: object.size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
                });
            }
        }
        Ok(found)
    }
}
