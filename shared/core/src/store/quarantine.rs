//! What is held in quarantine: one item an object, `QUARANTINE#<data_id>` / `ITEM`, and the same in the order of time.
//!
//! The order is a part of its own of the index `history` (`history_shard` = `quarantine`): what is blocked is little. What
//! always holds: an item is there only when its object is (it is put after the copy is proven and removed after the object);
//! nothing here says that a file is clean, a release neither.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::attributes::{Item as Row, json, key, n, number, parsed, s, text};
use crate::domain::id::DataId;
use crate::domain::submission::{ObjectRef, Owner, Source};
use crate::domain::verdict::Code;

/// The part of the index.
const PART: &str = "quarantine";
/// The last time that the order of texts still has right, ms.
const LAST_MS: i64 = 9_999_999_999_999;

/// An object in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The submission.
    pub data_id: DataId,
    /// Name for people, 200 characters at most.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Why it was blocked.
    pub code: Code,
    /// Threat or reason, in words; may be empty.
    pub reason: String,
    /// Rule it was judged under.
    pub rule: String,
    /// Who submitted it; nobody = without a key.
    pub owner: Option<Owner>,
    /// How it came in.
    pub source: Source,
    /// Where it was.
    pub origin: ObjectRef,
    /// Whether it was taken away from there.
    pub moved: bool,
    /// Where it is.
    pub object: ObjectRef,
    /// Since when, ms since the epoch: the time of the verdict.
    pub held_at: i64,
    /// It can not be deleted before, ms since the epoch; 0 = it can.
    pub locked_until: i64,
    /// The last release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Its deletion has begun.
    #[serde(default)]
    pub deleting: bool,
}

/// That somebody let it out. Its verdict stays what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Who, `<directory>/<user>`.
    pub by: String,
    /// When, ms since the epoch.
    pub at: i64,
    /// Why.
    pub reason: String,
    /// Key of the copy in the upload bucket.
    pub key: String,
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub items: Vec<Held>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Quarantine {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Quarantine {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Puts an item, unless it is there: then what was done with it since stays.
    pub async fn put(&self, held: &Held) -> Result<(), StoreError> {
        let mut item = key(pk(&held.data_id), "ITEM");
        item.insert("history_shard".into(), s(PART));
        item.insert("history_at".into(), s(format!("{}-{}", time(held.held_at), held.data_id.group())));
        item.insert("history_entry".into(), json(held)?);
        item.insert("rev".into(), n(1));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        match request.send().await.map_err(|e| StoreError::from_sdk("list what is in quarantine", e)) {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An item and its revision; `None`: it is not in quarantine.
    pub async fn get(&self, id: &DataId) -> Result<Option<(Held, i64)>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(pk(id), "ITEM"))).consistent_read(true);
        let item = request.send().await.map_err(|e| StoreError::from_sdk("look into quarantine", e))?.item;
        let Some(item) = item else { return Ok(None) };
        let revision = number(&item, "rev").unwrap_or_default();
        Ok(parsed(&item, "history_entry")?.map(|held| (held, revision)))
    }

    /// Up to `size` items before `before` (a `next` given out), newest first.
    pub async fn page(&self, before: Option<&str>, size: usize) -> Result<Page, StoreError> {
        let upper = before.map_or_else(|| format!("{}~", time(LAST_MS)), str::to_owned);
        // One more than asked for tells whether there are more; what the cursor names comes once more.
        let rows = self.rows("0", &upper, false, size + 2).await?;
        let mut rows: Vec<_> = rows.into_iter().filter(|(at, _)| before != Some(at.as_str())).collect();
        let more = rows.len() > size;
        rows.truncate(size);
        let next = if more { rows.last().map(|(at, _)| at.clone()) } else { None };
        Ok(Page { items: rows.into_iter().map(|(_, held)| held).collect(), next })
    }

    /// Up to `limit` items held since before `cutoff` (ms), oldest first.
    pub async fn oldest(&self, cutoff: i64, limit: usize) -> Result<Vec<Held>, StoreError> {
        Ok(self.rows("0", &time(cutoff), true, limit).await?.into_iter().map(|(_, held)| held).collect())
    }

    async fn rows(&self, least: &str, greatest: &str, forward: bool, limit: usize) -> Result<Vec<(String, Held)>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("history")
                .key_condition_expression("history_shard = :part AND history_at BETWEEN :least AND :greatest")
                .expression_attribute_values(":part", s(PART))
                .expression_attribute_values(":least", s(least))
                .expression_attribute_values(":greatest", s(greatest))
                .scan_index_forward(forward)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("list what is in quarantine", e))?;
            for item in output.items.unwrap_or_default() {
                found.extend(row(&item));
            }
            start = output.last_evaluated_key;
            if start.is_none() || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// The write of an item that was read at this revision, for a transaction.
    pub fn change(&self, held: &Held, revision: i64) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(&held.data_id), "ITEM")))
            .update_expression("SET history_entry = :entry ADD rev :one")
            .condition_expression("rev = :rev")
            .expression_attribute_values(":entry", json(held)?)
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":rev", n(revision))
            .build();
        Ok(TransactWriteItem::builder().update(update.map_err(|e| StoreError::corrupt("change what is in quarantine", e))?).build())
    }

    /// Removes an item whose object is gone.
    pub async fn remove(&self, id: &DataId) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(key(pk(id), "ITEM")));
        request.send().await.map(drop).map_err(|e| StoreError::from_sdk("remove from quarantine", e))
    }
}

fn row(item: &Row) -> Option<(String, Held)> {
    let at = text(item, "history_at")?;
    // One that can not be read must not hide the others.
    let held = parsed(item, "history_entry").unwrap_or_else(|error| {
        tracing::error!(at, error = %crate::error::chain(&error), "an item of the quarantine is unreadable");
        None
    });
    held.map(|held| (at, held))
}

fn pk(id: &DataId) -> String {
    format!("QUARANTINE#{id}")
}

/// In order as text as in time.
fn time(ms: i64) -> String {
    format!("{:013}", ms.clamp(0, LAST_MS))
}
