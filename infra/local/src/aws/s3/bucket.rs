//! Buckets and their settings.

use rusqlite::{Connection, OptionalExtension, params};
use s3s::dto::{
    BucketLifecycleConfiguration, Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration,
    S3KeyFilter,
};
use s3s::{S3Error, s3_error};

use super::error::Failure;
use super::rows::BucketRow;
use super::{Aftermath, Buckets, lock, notify, rows};
use crate::aws::db::now_ms;

/// A bucket as a template wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSpec {
    /// Name by the S3 rules: 3 to 63 lower-case letters, digits, dots and hyphens.
    pub name: String,
    /// Whether every write makes a new version.
    pub versioned: bool,
    /// Which events go to which queues; replaces what was there.
    pub notifications: Vec<QueueRule>,
    /// Origins whose pages may send forms here; `*` is any.
    pub form_origins: Vec<String>,
    /// Days for which no new version can be deleted (Object Lock, governance); none = no Object Lock.
    pub lock_days: Option<u32>,
}

/// One queue notification of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueRule {
    /// ARN of the queue, which must exist.
    pub queue_arn: String,
    /// Event names such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Keys must start with this.
    pub prefix: Option<String>,
    /// Keys must end with this.
    pub suffix: Option<String>,
}

impl Buckets {
    /// Creates the bucket or gives the existing one these settings. Objects stay. A notification configuration that
    /// differs from the one before is announced to its queues by `s3:TestEvent`, an equal one is not.
    pub async fn ensure(&self, spec: BucketSpec) -> Result<(), S3Error> {
        if !s3s::path::check_bucket_name(&spec.name) {
            return Err(s3_error!(InvalidBucketName, "The bucket name `{}` is not valid", spec.name));
        }
        let wanted = configuration_of(&spec);
        self.inner.cors.set(&spec.name, spec.form_origins.clone());
        let versioning = if spec.versioned { "Enabled" } else { "Suspended" };
        self.change(move |tx, _| {
            if exists(tx, &spec.name)? {
                let row = rows::bucket(tx, &spec.name)?;
                // A bucket that was never versioned stays so instead of becoming `Suspended`.
                if spec.versioned || !row.versioning.is_empty() {
                    set_versioning(tx, &spec.name, versioning)?;
                }
            } else {
                create(tx, &spec.name)?;
                if spec.versioned {
                    set_versioning(tx, &spec.name, versioning)?;
                }
            }
            lock::set_default(tx, &spec.name, spec.lock_days)?;
            let queues = set_notification(tx, &spec.name, wanted)?;
            Ok(((), Aftermath { queues, ..Aftermath::default() }))
        })
        .await?;
        Ok(())
    }

    /// Names of all buckets, sorted.
    pub async fn list(&self) -> Result<Vec<String>, S3Error> {
        Ok(self.rows().await?.into_iter().map(|(name, _)| name).collect())
    }

    pub(super) async fn rows(&self) -> Result<Vec<(String, BucketRow)>, Failure> {
        self.inner
            .db
            .read(|conn| {
                let mut statement = conn.prepare_cached("SELECT name FROM buckets ORDER BY name")?;
                let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                names.into_iter().map(|name| rows::bucket(conn, &name).map(|row| (name, row))).collect()
            })
            .await
    }

    pub(super) async fn row(&self, name: &str) -> Result<BucketRow, Failure> {
        let name = name.to_owned();
        self.inner.db.read(move |conn| rows::bucket(conn, &name)).await
    }
}

/// Whether there is such a bucket.
pub(super) fn exists(conn: &Connection, name: &str) -> Result<bool, Failure> {
    let found = conn.query_row("SELECT 1 FROM buckets WHERE name = ?1", [name], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

pub(super) fn create(conn: &Connection, name: &str) -> Result<(), Failure> {
    conn.execute("INSERT INTO buckets(name, created_ms) VALUES (?1, ?2)", params![name, now_ms()])?;
    Ok(())
}

/// Removes an empty bucket, with the uploads that were never completed; answers the bodies of their parts.
pub(super) fn delete(conn: &Connection, name: &str) -> Result<Vec<String>, Failure> {
    rows::bucket(conn, name)?;
    let used = conn.query_row("SELECT 1 FROM objects WHERE bucket = ?1 LIMIT 1", [name], |_| Ok(())).optional()?;
    if used.is_some() {
        return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty").into());
    }
    let mut statement = conn.prepare("SELECT body FROM parts WHERE upload_id IN (SELECT upload_id FROM uploads WHERE bucket = ?1)")?;
    let orphans = statement.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    conn.execute("DELETE FROM uploads WHERE bucket = ?1", [name])?;
    conn.execute("DELETE FROM buckets WHERE name = ?1", [name])?;
    Ok(orphans)
}

pub(super) fn set_versioning(conn: &Connection, name: &str, status: &str) -> Result<(), Failure> {
    conn.execute("UPDATE buckets SET versioning = ?2 WHERE name = ?1", params![name, status])?;
    Ok(())
}

pub(super) fn set_lifecycle(conn: &Connection, name: &str, lifecycle: Option<&BucketLifecycleConfiguration>) -> Result<(), Failure> {
    let text = lifecycle.map(serde_json::to_string).transpose()?;
    conn.execute("UPDATE buckets SET lifecycle = ?2 WHERE name = ?1", params![name, text])?;
    Ok(())
}

/// Stores a configuration; when it differs from the one before, tells its queues and answers their names.
pub(super) fn set_notification(conn: &Connection, name: &str, wanted: NotificationConfiguration) -> Result<Vec<String>, Failure> {
    let previous = notify::configuration(&rows::bucket(conn, name)?)?;
    let wanted = notify::prepared(wanted, &previous)?;
    if wanted == previous {
        return Ok(Vec::new());
    }
    let told = notify::send_test_events(conn, name, &wanted)?;
    let text = serde_json::to_string(&wanted)?;
    conn.execute("UPDATE buckets SET notification = ?2 WHERE name = ?1", params![name, text])?;
    Ok(told)
}

fn configuration_of(spec: &BucketSpec) -> NotificationConfiguration {
    let rule = |rule: &QueueRule| {
        let filter = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| FilterRule { name: Some(FilterRuleName::from(name.to_owned())), value: Some(value.clone()) })
        };
        let filters: Vec<FilterRule> = [filter("prefix", &rule.prefix), filter("suffix", &rule.suffix)].into_iter().flatten().collect();
        QueueConfiguration {
            events: rule.events.iter().cloned().map(Event::from).collect(),
            filter: (!filters.is_empty()).then_some(NotificationConfigurationFilter { key: Some(S3KeyFilter { filter_rules: Some(filters) }) }),
            id: None,
            queue_arn: rule.queue_arn.clone(),
        }
    };
    NotificationConfiguration {
        queue_configurations: Some(spec.notifications.iter().map(rule).collect::<Vec<_>>()).filter(|l| !l.is_empty()),
        ..NotificationConfiguration::default()
    }
}
