//! Object Lock: for how long a version can not be deleted.
//!
//! Governance mode only, with the bucket's default retention for every new version. What always holds: a version that is
//! retained is deleted only by a call that says it bypasses governance.

use rusqlite::{Connection, OptionalExtension, params};
#[allow(clippy::wildcard_imports)] // two types for every operation
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::error::Failure;
use super::objects::{Precision, timestamp};
use super::rows::{self, Version};
use super::{Aftermath, Buckets};
use crate::aws::db::now_ms;

const DAY_MS: i64 = 86_400_000;

/// Sets the default retention of a bucket; a bucket once locked stays so, as on AWS.
pub(super) fn set_default(conn: &Connection, bucket: &str, days: Option<u32>) -> Result<(), Failure> {
    if let Some(days) = days {
        conn.execute("INSERT OR REPLACE INTO bucket_locks(bucket, days) VALUES (?1, ?2)", params![bucket, days])?;
    }
    Ok(())
}

/// Until when a version made now is retained; 0 = not at all.
pub(super) fn of_new(conn: &Connection, bucket: &str, now: i64) -> Result<i64, Failure> {
    let days: Option<i64> = conn.query_row("SELECT days FROM bucket_locks WHERE bucket = ?1", [bucket], |row| row.get(0)).optional()?;
    Ok(days.map_or(0, |days| now + days * DAY_MS))
}

/// Refuses the deletion of a version that is retained.
pub(super) fn check(version: Option<&Version>, bypass: bool) -> S3Result<()> {
    match version {
        Some(version) if version.meta.retain_until_ms > now_ms() && !bypass => {
            Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."))
        }
        _ => Ok(()),
    }
}

/// The headers of a version that has a retention.
pub(super) fn shown(version: &Version) -> (Option<ObjectLockMode>, Option<Timestamp>) {
    let until = version.meta.retain_until_ms;
    if until == 0 {
        (None, None)
    } else {
        (Some(ObjectLockMode::from_static(ObjectLockMode::GOVERNANCE)), Some(timestamp(until, Precision::Milliseconds)))
    }
}

impl Buckets {
    /// PutObjectRetention: longer without more ado, shorter only with the bypass.
    pub(super) async fn set_retention(&self, input: PutObjectRetentionInput) -> S3Result<PutObjectRetentionOutput> {
        let wanted = input.retention.and_then(|retention| retention.retain_until_date);
        let wanted = wanted.ok_or_else(|| s3_error!(MalformedXML, "A retention has a mode and a date"))?;
        let at = time::OffsetDateTime::from(wanted);
        let until = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let bypass = input.bypass_governance_retention.unwrap_or_default();
        if until <= now_ms() {
            return Err(s3_error!(InvalidArgument, "The retain until date must be in the future!"));
        }
        self.change(move |tx, _| {
            if of_new(tx, &input.bucket, 1)? == 0 {
                return Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration").into());
            }
            let (_, version) = rows::readable(tx, &input.bucket, &input.key, input.version_id.as_deref())?;
            if until < version.meta.retain_until_ms {
                check(Some(&version), bypass)?;
            }
            let meta = super::meta::Meta { retain_until_ms: until, ..version.meta };
            tx.execute("UPDATE objects SET meta = ?2 WHERE seq = ?1", params![version.seq, serde_json::to_string(&meta)?])?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(PutObjectRetentionOutput::default())
    }
}
