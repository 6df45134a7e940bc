//! Versions of objects as rows.
//!
//! What always holds: a key has at most one latest version; the version that becomes visible and its event are one
//! transaction, because [`insert`] writes both.

use rusqlite::{Connection, OptionalExtension, Row, params};
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Error, S3Result, s3_error};
use uuid::Uuid;

use super::error::Failure;
use super::lock;
use super::meta::{Meta, Tags};
use super::notify::{self, Context, Created};
use crate::aws::db::now_ms;

/// The version id of objects written while versioning is off or suspended.
pub(crate) const NULL_VERSION: &str = "null";

/// A bucket's row.
#[derive(Debug, Clone)]
pub(crate) struct BucketRow {
    /// Empty, `Enabled` or `Suspended`.
    pub(crate) versioning: String,
    /// JSON of the notification configuration.
    pub(crate) notification: Option<String>,
    /// JSON of the lifecycle configuration.
    pub(crate) lifecycle: Option<String>,
    /// Epoch milliseconds.
    pub(crate) created_ms: i64,
}

/// A version's row.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) seq: i64,
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) is_latest: bool,
    pub(crate) delete_marker: bool,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) body: Option<String>,
    pub(crate) modified_ms: i64,
    pub(crate) meta: Meta,
    pub(crate) tags: Tags,
}

/// Columns in the order [`Version::read`] expects.
pub(crate) const COLUMNS: &str = "seq, key, version_id, is_latest, delete_marker, size, etag, body, modified_ms, meta, tags";

impl Version {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let json = |at: usize, error: serde_json::Error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error));
        Ok(Self {
            seq: row.get(0)?,
            key: row.get(1)?,
            id: row.get(2)?,
            is_latest: row.get(3)?,
            delete_marker: row.get(4)?,
            size: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
            etag: row.get(6)?,
            body: row.get(7)?,
            modified_ms: row.get(8)?,
            meta: serde_json::from_str(&row.get::<_, String>(9)?).map_err(|e| json(9, e))?,
            tags: serde_json::from_str(&row.get::<_, String>(10)?).map_err(|e| json(10, e))?,
        })
    }

    /// The id as shown: only buckets that were ever versioned show one.
    pub(crate) fn shown_id(&self, bucket: &BucketRow) -> Option<String> {
        (!bucket.versioning.is_empty()).then(|| self.id.clone())
    }
}

/// The bucket, or `NoSuchBucket`.
pub(crate) fn bucket(conn: &Connection, name: &str) -> Result<BucketRow, Failure> {
    let row = conn
        .prepare_cached("SELECT versioning, notification, lifecycle, created_ms FROM buckets WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(BucketRow { versioning: row.get(0)?, notification: row.get(1)?, lifecycle: row.get(2)?, created_ms: row.get(3)? })
        })
        .optional()?;
    row.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist").into())
}

/// The version asked for, or the latest; delete markers included.
pub(crate) fn find(conn: &Connection, bucket: &str, key: &str, version_id: Option<&str>) -> Result<Option<Version>, Failure> {
    let condition = if version_id.is_some() { "version_id = ?3" } else { "is_latest = 1 AND ?3 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND {condition}");
    Ok(conn.prepare_cached(&sql)?.query_row(params![bucket, key, version_id], Version::read).optional()?)
}

/// The readable version: `NoSuchKey`, `NoSuchVersion` and delete markers are errors, as in GetObject.
pub(crate) fn readable(conn: &Connection, bucket: &str, key: &str, version_id: Option<&str>) -> Result<(BucketRow, Version), Failure> {
    let row = self::bucket(conn, bucket)?;
    match find(conn, bucket, key, version_id)? {
        Some(version) if !version.delete_marker => Ok((row, version)),
        Some(marker) => Err(marker_error(&marker, version_id.is_some()).into()),
        None if version_id.is_some() => Err(s3_error!(NoSuchVersion, "The specified version does not exist.").into()),
        None => Err(s3_error!(NoSuchKey, "The specified key does not exist.").into()),
    }
}

fn marker_error(marker: &Version, named: bool) -> S3Error {
    let mut error = if named {
        s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")
    } else {
        s3_error!(NoSuchKey, "The specified key does not exist.")
    };
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-delete-marker", http::HeaderValue::from_static("true"));
    if let Ok(id) = http::HeaderValue::try_from(&marker.id) {
        headers.insert("x-amz-version-id", id);
    }
    error.set_headers(headers);
    error
}

/// Conditions of a write on the version it replaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteIf {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_match: Option<ETagCondition>,
}

impl WriteIf {
    fn check(&self, current: Option<&Version>) -> S3Result<()> {
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        if let Some(condition) = &self.matches {
            let current = current.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?;
            if !fits(condition, &current.etag) {
                return Err(failed());
            }
        }
        match (&self.none_match, current) {
            (Some(condition), Some(current)) if fits(condition, &current.etag) => Err(failed()),
            _ => Ok(()),
        }
    }
}

/// Whether the condition names this ETag; strong comparison.
pub(crate) fn fits(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(ETag::Strong(wanted)) => wanted == etag,
        ETagCondition::ETag(ETag::Weak(_)) => false,
    }
}

/// An object about to become visible.
#[derive(Debug, Clone)]
pub(crate) struct NewObject {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) body: String,
    pub(crate) meta: Meta,
    pub(crate) tags: Tags,
    pub(crate) how: Created,
    pub(crate) conditions: WriteIf,
}

/// What changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Version id to show, when the bucket is versioned.
    pub(crate) version_id: Option<String>,
    /// The change made or removed a delete marker.
    pub(crate) delete_marker: bool,
    /// Epoch milliseconds of the new version.
    pub(crate) modified_ms: i64,
    /// Bodies without a row now.
    pub(crate) orphans: Vec<String>,
    /// Queues that got an event.
    pub(crate) queues: Vec<String>,
}

/// Makes the object visible and sends its events, in the caller's transaction.
pub(crate) fn insert(conn: &Connection, context: &Context, object: &NewObject) -> Result<Change, Failure> {
    let bucket = bucket(conn, &object.bucket)?;
    let current = find(conn, &object.bucket, &object.key, None)?;
    object.conditions.check(current.as_ref().filter(|version| !version.delete_marker))?;
    let version_id = new_version_id(&bucket);
    let mut change = Change { modified_ms: now_ms(), ..Change::default() };
    if version_id == NULL_VERSION {
        change.orphans.extend(remove_version(conn, &object.bucket, &object.key, NULL_VERSION)?);
    }
    let retain_until_ms = lock::of_new(conn, &object.bucket, change.modified_ms)?;
    let row = Version {
        seq: 0,
        key: object.key.clone(),
        id: version_id,
        is_latest: true,
        delete_marker: false,
        size: object.size,
        etag: object.etag.clone(),
        body: Some(object.body.clone()),
        modified_ms: change.modified_ms,
        meta: Meta { retain_until_ms, ..object.meta.clone() },
        tags: object.tags.clone(),
    };
    let seq = insert_latest(conn, &object.bucket, &row)?;
    change.version_id = row.shown_id(&bucket);
    change.queues = notify::send(conn, context, &bucket, object, &change, seq)?;
    Ok(change)
}

/// Deletes as DeleteObject does: a version, or the latest by a delete marker where versioning is on.
pub(crate) fn delete(
    conn: &Connection,
    bucket_name: &str,
    key: &str,
    version_id: Option<&str>,
    if_match: Option<&ETagCondition>,
    bypass_lock: bool,
) -> Result<Change, Failure> {
    let bucket = bucket(conn, bucket_name)?;
    let found = find(conn, bucket_name, key, version_id)?;
    if let (Some(condition), Some(version)) = (if_match, &found)
        && !fits(condition, &version.etag)
    {
        return Err(s3_error!(PreconditionFailed, "The ETag does not match").into());
    }
    let mut change = Change { modified_ms: now_ms(), ..Change::default() };
    if let Some(id) = version_id {
        lock::check(found.as_ref(), bypass_lock)?;
        change.orphans.extend(remove_version(conn, bucket_name, key, id)?);
        promote(conn, bucket_name, key)?;
        change.version_id = Some(id.to_owned());
        change.delete_marker = found.is_some_and(|version| version.delete_marker);
        return Ok(change);
    }
    if bucket.versioning.is_empty() {
        change.orphans.extend(remove_version(conn, bucket_name, key, NULL_VERSION)?);
        return Ok(change);
    }
    let version_id = new_version_id(&bucket);
    if version_id == NULL_VERSION {
        change.orphans.extend(remove_version(conn, bucket_name, key, NULL_VERSION)?);
    }
    let marker = Version {
        seq: 0,
        key: key.to_owned(),
        id: version_id,
        is_latest: true,
        delete_marker: true,
        size: 0,
        etag: String::new(),
        body: None,
        modified_ms: change.modified_ms,
        meta: Meta::default(),
        tags: Tags::new(),
    };
    insert_latest(conn, bucket_name, &marker)?;
    change.version_id = marker.shown_id(&bucket);
    change.delete_marker = true;
    Ok(change)
}

/// Replaces the tags of a version; answers its id to show.
pub(crate) fn set_tags(conn: &Connection, bucket: &str, key: &str, version_id: Option<&str>, tags: &Tags) -> Result<Option<String>, Failure> {
    let (row, version) = readable(conn, bucket, key, version_id)?;
    let text = serde_json::to_string(tags)?;
    conn.execute("UPDATE objects SET tags = ?2 WHERE seq = ?1", params![version.seq, text])?;
    Ok(version.shown_id(&row))
}

fn new_version_id(bucket: &BucketRow) -> String {
    if bucket.versioning == "Enabled" { Uuid::new_v4().simple().to_string() } else { NULL_VERSION.to_owned() }
}

fn insert_latest(conn: &Connection, bucket: &str, row: &Version) -> Result<i64, Failure> {
    conn.prepare_cached("UPDATE objects SET is_latest = 0 WHERE bucket = ?1 AND key = ?2 AND is_latest = 1")?.execute(params![bucket, row.key])?;
    conn.prepare_cached(
        "INSERT INTO objects(bucket, key, version_id, is_latest, delete_marker, size, etag, body, modified_ms, meta, tags)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        bucket,
        row.key,
        row.id,
        row.delete_marker,
        i64::try_from(row.size).unwrap_or(i64::MAX),
        row.etag,
        row.body,
        row.modified_ms,
        serde_json::to_string(&row.meta)?,
        serde_json::to_string(&row.tags)?,
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Removes the row; answers the body that lost it.
fn remove_version(conn: &Connection, bucket: &str, key: &str, version_id: &str) -> Result<Option<String>, Failure> {
    let body: Option<Option<String>> = conn
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2 AND version_id = ?3 RETURNING body")?
        .query_row(params![bucket, key, version_id], |row| row.get(0))
        .optional()?;
    Ok(body.flatten())
}

/// Makes the newest remaining version the latest, when there is none.
fn promote(conn: &Connection, bucket: &str, key: &str) -> Result<(), Failure> {
    conn.prepare_cached(
        "UPDATE objects SET is_latest = 1
         WHERE seq = (SELECT max(seq) FROM objects WHERE bucket = ?1 AND key = ?2)
           AND NOT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1 AND key = ?2 AND is_latest = 1)",
    )?
    .execute(params![bucket, key])?;
    Ok(())
}
