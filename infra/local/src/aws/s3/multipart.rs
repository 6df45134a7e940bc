//! Multipart uploads: parts are bodies of their own until they become one object.

use md5::{Digest, Md5};
use rusqlite::{Connection, OptionalExtension, params};
use s3s::dto::CompletedPart;
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::bodies::Draft;
use super::error::Failure;
use super::meta::{Meta, Sums, Tags};
use super::notify::Created;
use super::objects::{Arriving, Described, blocking, check_key};
use super::rows::{self, Change, NewObject, WriteIf};
use super::{Aftermath, Buckets};
use crate::aws::db::now_ms;

/// Every part but the last has at least this many bytes (S3 user guide, "Multipart upload limits").
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// An upload that is not complete.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) created_ms: i64,
    meta: Meta,
    tags: Tags,
}

/// A part that has arrived.
#[derive(Debug, Clone)]
pub(super) struct PartRow {
    pub(super) number: i32,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified_ms: i64,
    body: String,
}

impl Buckets {
    /// Begins an upload; answers its id.
    pub(super) async fn begin(&self, bucket: &str, key: &str, meta: Meta, tags: Tags) -> S3Result<String> {
        check_key(key)?;
        let upload_id = Uuid::new_v4().simple().to_string();
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.clone());
        self.change(move |tx, _| {
            rows::bucket(tx, &bucket)?;
            let (meta, tags) = (serde_json::to_string(&meta)?, serde_json::to_string(&tags)?);
            tx.execute(
                "INSERT INTO uploads(upload_id, bucket, key, created_ms, meta, tags) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, bucket, key, now_ms(), meta, tags],
            )?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(upload_id)
    }

    /// Stores a part, in place of an earlier one with its number; answers its ETag.
    pub(super) async fn add_part(&self, bucket: &str, key: &str, upload_id: &str, number: i32, arriving: Arriving) -> S3Result<(String, Sums)> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
        }
        self.upload(bucket, key, upload_id).await?;
        let (draft, sums) = self.arrive(arriving).await?;
        let etag = hex::encode(draft.md5);
        let (bucket, key, id, md5) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned(), etag.clone());
        self.change(move |tx, inner| {
            let mut draft = draft;
            find_upload(tx, &bucket, &key, &id)?;
            inner.bodies.finish(&mut draft)?;
            let replaced: Option<String> = tx
                .query_row("DELETE FROM parts WHERE upload_id = ?1 AND part_number = ?2 RETURNING body", params![id, number], |row| row.get(0))
                .optional()?;
            tx.execute(
                "INSERT INTO parts(upload_id, part_number, size, etag, body, modified_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, number, i64::try_from(draft.size).unwrap_or(i64::MAX), md5, draft.name, now_ms()],
            )?;
            draft.keep();
            Ok(((), Aftermath { orphans: replaced.into_iter().collect(), ..Aftermath::default() }))
        })
        .await?;
        Ok((etag, sums))
    }

    /// Makes the listed parts one object; answers the change and the ETag `md5-N`.
    pub(super) async fn complete(
        &self,
        bucket: &str,
        key: &str,
        upload_id: &str,
        listed: Vec<CompletedPart>,
        conditions: WriteIf,
    ) -> S3Result<(Change, String)> {
        let (upload, stored) = self.parts(bucket, key, upload_id).await?;
        let chosen = chosen(&listed, &stored)?;
        let mut digest = Md5::new();
        for part in &chosen {
            digest.update(hex::decode(&part.etag).unwrap_or_default());
        }
        let etag = format!("{}-{}", hex::encode(digest.finalize()), chosen.len());
        let names: Vec<String> = chosen.iter().map(|part| part.body.clone()).collect();
        let bodies = self.inner.bodies.clone();
        let draft = blocking(move || Ok(bodies.concatenate(&names)?)).await?;
        let described = Described {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            meta: upload.meta,
            tags: upload.tags,
            how: Created::CompleteMultipartUpload,
            conditions,
        };
        let change = self.publish_upload(described, draft, etag.clone(), upload.id).await?;
        Ok((change, etag))
    }

    async fn publish_upload(&self, described: Described, draft: Draft, etag: String, upload_id: String) -> Result<Change, Failure> {
        self.change(move |tx, inner| {
            let mut draft = draft;
            // Completed or aborted meanwhile: the parts are gone and so is this attempt.
            find_upload(tx, &described.bucket, &described.key, &upload_id)?;
            let object = NewObject {
                bucket: described.bucket,
                key: described.key,
                size: draft.size,
                etag,
                body: draft.name.clone(),
                meta: described.meta,
                tags: described.tags,
                how: described.how,
                conditions: described.conditions,
            };
            inner.bodies.finish(&mut draft)?;
            let mut change = rows::insert(tx, &inner.context, &object)?;
            change.orphans.extend(forget(tx, &upload_id)?);
            draft.keep();
            let after = Aftermath { queues: std::mem::take(&mut change.queues), orphans: std::mem::take(&mut change.orphans) };
            Ok((change, after))
        })
        .await
    }

    /// Ends an upload without an object.
    pub(super) async fn abort(&self, bucket: &str, key: &str, upload_id: &str) -> Result<(), Failure> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        self.change(move |tx, _| {
            find_upload(tx, &bucket, &key, &id)?;
            let orphans = forget(tx, &id)?;
            Ok(((), Aftermath { orphans, ..Aftermath::default() }))
        })
        .await
    }

    async fn upload(&self, bucket: &str, key: &str, upload_id: &str) -> Result<Upload, Failure> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        self.inner.db.read(move |conn| find_upload(conn, &bucket, &key, &id)).await
    }

    /// The upload and its parts by number.
    pub(super) async fn parts(&self, bucket: &str, key: &str, upload_id: &str) -> Result<(Upload, Vec<PartRow>), Failure> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), upload_id.to_owned());
        self.inner
            .db
            .read(move |conn| {
                let upload = find_upload(conn, &bucket, &key, &id)?;
                let mut statement = conn.prepare_cached(
                    "SELECT part_number, size, etag, modified_ms, body FROM parts WHERE upload_id = ?1
                     ORDER BY part_number",
                )?;
                let parts = statement.query_map([&id], |row| {
                    Ok(PartRow {
                        number: row.get(0)?,
                        size: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                        etag: row.get(2)?,
                        modified_ms: row.get(3)?,
                        body: row.get(4)?,
                    })
                })?;
                Ok((upload, parts.collect::<Result<_, _>>()?))
            })
            .await
    }

    /// Uploads of a bucket by key, after a key, at most `limit`.
    pub(super) async fn uploads(&self, bucket: &str, prefix: &str, after: &str, limit: usize) -> Result<Vec<Upload>, Failure> {
        let (bucket, prefix, after) = (bucket.to_owned(), prefix.to_owned(), after.to_owned());
        self.inner
            .db
            .read(move |conn| {
                rows::bucket(conn, &bucket)?;
                let mut statement = conn.prepare_cached(
                    "SELECT upload_id, key, created_ms, meta, tags FROM uploads
                     WHERE bucket = ?1 AND substr(key, 1, length(?2)) = ?2 AND key > ?3
                     ORDER BY key, created_ms LIMIT ?4",
                )?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let mut rows = statement.query(params![bucket, prefix, after, limit])?;
                let mut uploads = Vec::new();
                while let Some(row) = rows.next()? {
                    uploads.push(read_upload(row)?);
                }
                Ok(uploads)
            })
            .await
    }
}

/// The parts a client lists, in its order, when numbers ascend, ETags fit and sizes allow it.
fn chosen(listed: &[CompletedPart], stored: &[PartRow]) -> S3Result<Vec<PartRow>> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let mut chosen: Vec<PartRow> = Vec::with_capacity(listed.len());
    for part in listed {
        let number = part.part_number.unwrap_or_default();
        if chosen.last().is_some_and(|before| before.number >= number) {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
        }
        let found = stored.iter().find(|row| row.number == number);
        let fits = |row: &&PartRow| part.e_tag.as_ref().is_some_and(|etag| etag.value() == row.etag);
        let row =
            found.filter(fits).ok_or_else(|| s3_error!(InvalidPart, "One or more of the specified parts could not be found: part `{}`", number))?;
        chosen.push(row.clone());
    }
    let small = chosen.iter().rev().skip(1).any(|part| part.size < MIN_PART_BYTES);
    if small {
        return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
    }
    Ok(chosen)
}

fn find_upload(conn: &Connection, bucket: &str, key: &str, upload_id: &str) -> Result<Upload, Failure> {
    rows::bucket(conn, bucket)?;
    let mut statement =
        conn.prepare_cached("SELECT upload_id, key, created_ms, meta, tags FROM uploads WHERE upload_id = ?1 AND bucket = ?2 AND key = ?3")?;
    let mut rows = statement.query(params![upload_id, bucket, key])?;
    match rows.next()? {
        Some(row) => read_upload(row),
        None => Err(s3_error!(NoSuchUpload, "The specified multipart upload does not exist.").into()),
    }
}

fn read_upload(row: &rusqlite::Row<'_>) -> Result<Upload, Failure> {
    Ok(Upload {
        id: row.get(0)?,
        key: row.get(1)?,
        created_ms: row.get(2)?,
        meta: serde_json::from_str(&row.get::<_, String>(3)?)?,
        tags: serde_json::from_str(&row.get::<_, String>(4)?)?,
    })
}

/// Removes the upload; answers the bodies of its parts.
fn forget(conn: &Connection, upload_id: &str) -> Result<Vec<String>, Failure> {
    let mut statement = conn.prepare_cached("DELETE FROM parts WHERE upload_id = ?1 RETURNING body")?;
    let bodies = statement.query_map([upload_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    conn.execute("DELETE FROM uploads WHERE upload_id = ?1", [upload_id])?;
    Ok(bodies)
}
