//! Answers of the listing operations: keys, versions, parts and uploads, in pages.

#[allow(clippy::wildcard_imports, reason = "two types per operation, and the types of their entries")]
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::Buckets;
use super::listing::{Page, Query};
use super::objects::{Precision, etag, timestamp};
use super::rows::Version;
use crate::aws::ACCOUNT_ID;

/// Largest page of a listing.
const MAX_KEYS: i32 = 1000;

impl Buckets {
    pub(super) async fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let marker = input.marker.clone().unwrap_or_default();
        let max_keys = input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let query = query(&input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), marker, max_keys);
        let (_, page) = self.page(query).await?;
        let next_marker = page.next.as_ref().filter(|_| input.delimiter.is_some()).map(|(key, _)| key.clone());
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            marker: input.marker,
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_marker,
            common_prefixes: common_prefixes(&page),
            contents: Some(page.entries.into_iter().map(object).collect()),
            ..Default::default()
        })
    }

    pub(super) async fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let wrong = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
        let after = match &input.continuation_token {
            Some(token) => {
                let bytes = hex::decode(token).map_err(|_| wrong())?;
                String::from_utf8(bytes).map_err(|_| wrong())?
            }
            None => input.start_after.clone().unwrap_or_default(),
        };
        let max_keys = input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let query = query(&input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), after, max_keys);
        let (_, page) = self.page(query).await?;
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            max_keys: Some(max_keys),
            key_count: i32::try_from(page.entries.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(|(key, _)| hex::encode(key)),
            common_prefixes: common_prefixes(&page),
            contents: Some(page.entries.into_iter().map(object).collect()),
            ..Default::default()
        })
    }

    pub(super) async fn list_versions(&self, input: ListObjectVersionsInput) -> S3Result<ListObjectVersionsOutput> {
        let marker = input.key_marker.clone().unwrap_or_default();
        let max_keys = input.max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let query = Query {
            versions: true,
            after_version: input.version_id_marker.clone().filter(|marker| !marker.is_empty()),
            ..query(&input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), marker, max_keys)
        };
        let (_, page) = self.page(query).await?;
        let common_prefixes = common_prefixes(&page);
        let (next_key_marker, next_version_id_marker) = page.next.map_or((None, None), |(k, v)| (Some(k), v));
        let (markers, versions): (Vec<_>, Vec<_>) = page.entries.into_iter().partition(|row| row.delete_marker);
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            key_marker: input.key_marker,
            version_id_marker: input.version_id_marker,
            max_keys: Some(max_keys),
            is_truncated: Some(next_key_marker.is_some()),
            next_key_marker,
            next_version_id_marker,
            common_prefixes,
            versions: Some(versions.into_iter().map(object_version).collect()),
            delete_markers: Some(markers.into_iter().map(delete_marker).collect()),
            ..Default::default()
        })
    }

    pub(super) async fn list_upload_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let (_, stored) = self.parts(&input.bucket, &input.key, &input.upload_id).await?;
        let max = input.max_parts.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let after = input.part_number_marker.unwrap_or_default();
        let mut rest = stored.into_iter().filter(|part| part.number > after).peekable();
        let mut parts = Vec::new();
        while let Some(row) = rest.next_if(|_| i32::try_from(parts.len()).is_ok_and(|len| len < max)) {
            parts.push(Part {
                part_number: Some(row.number),
                size: i64::try_from(row.size).ok(),
                e_tag: Some(etag(&row.etag)),
                last_modified: Some(timestamp(row.modified_ms, Precision::Milliseconds)),
                ..Default::default()
            });
        }
        let truncated = rest.peek().is_some();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max),
            part_number_marker: input.part_number_marker,
            is_truncated: Some(truncated),
            next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| truncated),
            parts: Some(parts),
            ..Default::default()
        })
    }

    pub(super) async fn list_uploads(&self, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
        let max = input.max_uploads.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let limit = usize::try_from(max).unwrap_or_default();
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.key_marker.clone().unwrap_or_default();
        let mut uploads = self.uploads(&input.bucket, &prefix, &after, limit + 1).await?;
        let truncated = uploads.len() > limit;
        uploads.truncate(limit);
        let shape = |upload: super::multipart::Upload| MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(upload.id),
            initiated: Some(timestamp(upload.created_ms, Precision::Milliseconds)),
            ..Default::default()
        };
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            max_uploads: Some(max),
            is_truncated: Some(truncated),
            next_key_marker: uploads.last().map(|upload| upload.key.clone()).filter(|_| truncated),
            uploads: Some(uploads.into_iter().map(shape).collect()),
            ..Default::default()
        })
    }
}

fn query(bucket: &str, prefix: Option<&String>, delimiter: Option<&String>, after: String, max_keys: i32) -> Query {
    Query {
        bucket: bucket.to_owned(),
        prefix: prefix.cloned().unwrap_or_default(),
        delimiter: delimiter.cloned(),
        after_key: after,
        limit: usize::try_from(max_keys).unwrap_or_default(),
        ..Query::default()
    }
}

fn common_prefixes(page: &Page) -> Option<Vec<CommonPrefix>> {
    let shape = |prefix: &String| CommonPrefix { prefix: Some(prefix.clone()) };
    (!page.prefixes.is_empty()).then(|| page.prefixes.iter().map(shape).collect())
}

pub(super) fn owner() -> Owner {
    Owner { id: Some(ACCOUNT_ID.to_owned()), display_name: None }
}

fn object(row: Version) -> Object {
    Object {
        key: Some(row.key),
        size: i64::try_from(row.size).ok(),
        e_tag: Some(etag(&row.etag)),
        last_modified: Some(timestamp(row.modified_ms, Precision::Milliseconds)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    }
}

fn object_version(row: Version) -> ObjectVersion {
    ObjectVersion {
        key: Some(row.key),
        version_id: Some(row.id),
        is_latest: Some(row.is_latest),
        size: i64::try_from(row.size).ok(),
        e_tag: Some(etag(&row.etag)),
        last_modified: Some(timestamp(row.modified_ms, Precision::Milliseconds)),
        ..Default::default()
    }
}

fn delete_marker(row: Version) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(row.key),
        version_id: Some(row.id),
        is_latest: Some(row.is_latest),
        last_modified: Some(timestamp(row.modified_ms, Precision::Milliseconds)),
        owner: Some(owner()),
    }
}
