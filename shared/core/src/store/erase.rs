//! Removes an ended submission with everything that belongs to it: its time of being kept is over.
//!
//! Nobody reads it from the first step on, and the record goes last: one that was cut off is found again and goes on where it
//! was. What always holds: what runs stays, and so does what a batch holds that takes files; nothing of another submission
//! goes with it, and never an object of a watched bucket: that is somebody else's. What is in quarantine has a list of its own.

use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::attributes::{Item, key, n, number, parsed, s, text};
use super::scans::{item_key, record};
use super::{StoreError, batches::Batches, children, objects::Objects, objects::UPLOAD_PREFIX, partial};
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::report::{Digests, FileReport};
use crate::domain::submission::{Record, Source, State};
use crate::error::chain;
use crate::rescan::Job;

const WHAT: &str = "remove a submission";
/// Contents that are forgotten side by side.
const PARALLEL: usize = 8;

/// Removes submissions.
#[derive(Clone, Debug)]
pub struct Eraser {
    client: aws_sdk_dynamodb::Client,
    table: String,
    batches: Batches,
    objects: Objects,
    upload_bucket: String,
    report_bucket: String,
}

impl Eraser {
    /// Over the table and the two buckets that submissions leave something in.
    pub fn new(client: aws_sdk_dynamodb::Client, table: &str, objects: Objects, upload_bucket: String, report_bucket: String) -> Self {
        Self { batches: Batches::new(client.clone(), table), client, table: table.to_owned(), objects, upload_bucket, report_bucket }
    }

    /// Removes a submission that has ended. `false`: it is not there, runs, or is held by a batch that takes files at `now`
    /// (ms); then it is left as it is. Again after a fault: goes on.
    pub async fn erase(&self, id: &DataId, now: i64) -> Result<bool, StoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(item_key(id))).consistent_read(true);
        let Some(item) = get.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?.item else { return Ok(false) };
        let record = record(&item)?;
        if record.state != State::Done || self.is_held(&record, now).await? {
            return Ok(false);
        }
        self.hide(id).await?;
        let inline: Option<Vec<FileReport>> = parsed(&item, "children")?;
        let root = record.outcome.iter().map(|outcome| outcome.report.digests.clone());
        self.forget_all(root.chain(blocked(inline.unwrap_or_default())), id).await?;
        self.remove_webhook(id).await?;
        if let Some(revision) = record.outcome.as_ref().and_then(|outcome| outcome.revision.as_ref()) {
            let rescan = Job::scan_id(&revision.job, id);
            self.remove_webhook(&rescan).await?;
            send(self.delete(item_key(&rescan))).await?;
        }
        self.remove_reports(id).await?;
        if record.submission.source != Source::Event {
            self.objects.remove_versions(&self.upload_bucket, &format!("{UPLOAD_PREFIX}{id}")).await?;
        }
        if let Some(seat) = &record.submission.wishes.batch {
            self.batches.erase(seat).await?;
        }
        send(self.delete(item_key(id))).await?;
        Ok(true)
    }

    /// A batch that takes files is not over, and what it says of its files must be found.
    async fn is_held(&self, record: &Record, now: i64) -> Result<bool, StoreError> {
        let Some(seat) = &record.submission.wishes.batch else { return Ok(false) };
        Ok(self.batches.state(&seat.id).await?.is_some_and(|state| state.is_open() && state.batch.expires_at > now))
    }

    /// From now on it reads as not there: a result whose parts are gone would be an error for who asks.
    async fn hide(&self, id: &DataId) -> Result<(), StoreError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(item_key(id)));
        let update = update.update_expression("SET expires_at = :now").condition_expression("#state = :done");
        let update = update.expression_attribute_names("#state", "state").expression_attribute_values(":done", s("done"));
        let update = update.expression_attribute_values(":now", n(now_ms() / 1000));
        update.send().await.map(drop).map_err(|e| StoreError::from_sdk(WHAT, e))
    }

    /// Reports of all its verdicts, one object after the other: with each go the contents that it makes known.
    async fn remove_reports(&self, id: &DataId) -> Result<(), StoreError> {
        for prefix in [format!("reports/{}/", id.group()), format!("{}{id}/", partial::PREFIX)] {
            for key in self.objects.list(&self.report_bucket, &prefix).await?.into_iter().map(|object| object.key) {
                if children::is_chunk(&key) {
                    match children::read(&self.objects, &self.report_bucket, &key).await {
                        Ok(reports) => self.forget_all(blocked(reports), id).await?,
                        Err(error) if error.is_retryable() => return Err(error),
                        // What leads from its contents to nowhere ends by itself.
                        Err(error) => tracing::error!(data_id = %id, key, error = %chain(&error), "a report that goes is unreadable"),
                    }
                }
                self.objects.delete(&self.report_bucket, &[key]).await?;
            }
        }
        Ok(())
    }

    async fn forget_all(&self, contents: impl IntoIterator<Item = Digests>, id: &DataId) -> Result<(), StoreError> {
        // A file that was never read has no digests.
        let known = contents.into_iter().filter(|digests| !digests.sha256.is_empty());
        let all: Vec<_> = known.map(|digests| self.forget(digests, id)).collect();
        stream::iter(all).buffer_unordered(PARALLEL).try_collect().await
    }

    /// Removes what leads from a content to this submission, and what leads to the content, if nothing else is there.
    async fn forget(&self, digests: Digests, id: &DataId) -> Result<(), StoreError> {
        // Read first: a result of the same content that is written meanwhile gives them another end, and keeps them.
        let aliases = [&digests.md5, &digests.sha1, &digests.sha512].map(|digest| key(format!("HASH#{digest}"), "ALIAS"));
        let aliases = futures::future::try_join_all(aliases.map(|alias| self.end_of(alias))).await?;
        let mut others = false;
        let query = self.client.query().table_name(&self.table).consistent_read(true).key_condition_expression("pk = :pk");
        let mut found = query.expression_attribute_values(":pk", s(format!("HASH#{}", digests.sha256))).into_paginator().items().send();
        while let Some(item) = found.next().await {
            let item = item.map_err(|e| StoreError::from_sdk(WHAT, e))?;
            let (Some(pk), Some(sk), Some(of)) = (text(&item, "pk"), text(&item, "sk"), text(&item, "data_id")) else { continue };
            if DataId::parse(&of).is_none_or(|of| of.group() != id.group()) {
                others = true;
                continue;
            }
            let delete = self.delete(key(pk, sk)).condition_expression("data_id = :id").expression_attribute_values(":id", s(of));
            others |= !unless_changed(delete).await?;
        }
        if others {
            return Ok(());
        }
        for (alias, end) in aliases.into_iter().flatten() {
            let delete = self.delete(alias).condition_expression("sha256 = :sha AND expires_at = :end");
            unless_changed(delete.expression_attribute_values(":sha", s(&digests.sha256)).expression_attribute_values(":end", n(end))).await?;
        }
        Ok(())
    }

    /// The end of an entry, in seconds since the epoch, with its key.
    async fn end_of(&self, key: Item) -> Result<Option<(Item, i64)>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.clone())).consistent_read(true);
        let item = get.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?.item;
        Ok(item.and_then(|item| number(&item, "expires_at")).map(|end| (key, end)))
    }

    async fn remove_webhook(&self, id: &DataId) -> Result<(), StoreError> {
        send(self.delete(key(format!("WEBHOOK#{id}"), "DELIVERY"))).await
    }

    fn delete(&self, key: Item) -> DeleteItemFluentBuilder {
        self.client.delete_item().table_name(&self.table).set_key(Some(key))
    }
}

async fn send(delete: DeleteItemFluentBuilder) -> Result<(), StoreError> {
    delete.send().await.map_err(|e| StoreError::from_sdk(WHAT, e)).map(drop)
}

/// Whether it was removed: not when it says something else by now, or is not there.
async fn unless_changed(delete: DeleteItemFluentBuilder) -> Result<bool, StoreError> {
    match send(delete).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Digests of those under which their verdict is found by hash.
fn blocked(reports: Vec<FileReport>) -> impl Iterator<Item = Digests> {
    reports.into_iter().filter(|report| report.verdict.code.is_blocked()).map(|report| report.digests)
}

impl Objects {
    /// Removes everything under exactly this key, for good: all versions, and what hides them.
    pub async fn remove_versions(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        const WHAT: &str = "remove an object";
        let mut pages = self.client().list_object_versions().bucket(bucket).prefix(key);
        loop {
            let page = pages.clone().send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            for (_, version) in versions.chain(markers).filter(|(found, _)| *found == Some(key)) {
                let request = self.client().delete_object().bucket(bucket).key(key).set_version_id(version.map(str::to_owned));
                match request.send().await.map_err(|e| StoreError::from_sdk(WHAT, e)) {
                    Ok(_) | Err(StoreError::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
                return Ok(());
            }
            pages = pages.set_key_marker(page.next_key_marker).set_version_id_marker(page.next_version_id_marker);
        }
    }
}
