//! What became of the files of a rescan.
//!
//! What always holds: a file is counted once, together with the mark that says so, however often its message comes.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::attributes::{Item, json, key, n, number, parsed, s};
use super::transact::transact;
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::verdict::Code;
use crate::rescan::Change;

/// How long it is remembered, ms.
const KEPT_MS: i64 = 30 * 86_400_000;
const COUNTS: &str = "COUNTS";

/// A file whose verdict changed, or would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The submission.
    pub data_id: DataId,
    /// The verdict of before.
    pub before: Code,
    /// The verdict of now.
    pub after: Code,
    /// Whether it is in force.
    pub change: Change,
}

/// What became of all files of a job so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Change::ALL.len()]);

impl Counts {
    /// Files of which this became.
    pub fn of(&self, change: Change) -> u64 {
        self.0.get(change as usize).copied().unwrap_or_default()
    }

    /// All files.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// The counts.
#[derive(Clone, Debug)]
pub struct Rescans {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Rescans {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Counts a file; not a second time. `news`: what is to be listed.
    pub async fn count(&self, job: &str, file: &DataId, change: Change, news: Option<&News>) -> Result<(), StoreError> {
        let expires = n((now_ms() + KEPT_MS) / 1000);
        let new = |sk: String, news: Option<&News>| {
            let mut item = key(pk(job), sk);
            item.insert("expires_at".into(), expires.clone());
            if let Some(news) = news {
                item.insert("news".into(), json(news)?);
            }
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            // The mark alone says whether a file was counted.
            let put = if news.is_none() { put.condition_expression("attribute_not_exists(pk)") } else { put };
            Ok::<_, StoreError>(TransactWriteItem::builder().put(put.build().map_err(corrupt)?).build())
        };
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(job), COUNTS)))
            .update_expression("SET expires_at = :expires ADD #change :one")
            .expression_attribute_names("#change", change.word())
            .expression_attribute_values(":expires", expires.clone())
            .expression_attribute_values(":one", n(1));
        let mut writes = vec![new(mark(file), None)?, TransactWriteItem::builder().update(update.build().map_err(corrupt)?).build()];
        if news.is_some() {
            writes.push(new(format!("NEWS#{}", file.group()), news)?);
        }
        match transact(&self.client, "count a rescan", writes).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a file was counted.
    pub async fn is_counted(&self, job: &str, file: &DataId) -> Result<bool, StoreError> {
        Ok(self.item(job, mark(file)).await?.is_some())
    }

    /// What became of all files so far.
    pub async fn counts(&self, job: &str) -> Result<Counts, StoreError> {
        let item = self.item(job, COUNTS.into()).await?.unwrap_or_default();
        Ok(Counts(Change::ALL.map(|change| number(&item, change.word()).and_then(|count| u64::try_from(count).ok()).unwrap_or_default())))
    }

    /// Files with news, at most `limit` of them, in no particular order.
    pub async fn news(&self, job: &str, limit: usize) -> Result<Vec<News>, StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :news)")
            .expression_attribute_values(":pk", s(pk(job)))
            .expression_attribute_values(":news", s("NEWS#"))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read a rescan", e))?;
        output.items.unwrap_or_default().iter().filter_map(|item| parsed(item, "news").transpose()).collect()
    }

    async fn item(&self, job: &str, sk: String) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(pk(job), sk))).consistent_read(true);
        Ok(request.send().await.map_err(|e| StoreError::from_sdk("read a rescan", e))?.item)
    }
}

fn pk(job: &str) -> String {
    format!("RESCAN#{job}")
}

fn mark(file: &DataId) -> String {
    format!("FILE#{}", file.group())
}

fn corrupt(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::corrupt("count a rescan", error)
}
