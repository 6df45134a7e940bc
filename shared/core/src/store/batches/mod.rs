//! Batches: their state and counts here, their files in [`files`].
//!
//! | item (`pk` = `BATCH#<id>`) | `sk` | written by |
//! |---|---|---|
//! | facts, number of files, closed or not | `META` | every file that is added, close, cancel |
//! | next free position | `META#SEATS` | every file that is added |
//! | counts of outcomes, in [`SHARDS`] parts | `META#T<part>` | every file that ends |
//! | a file | `FILE#<position, 10 digits>` | the file: when it is added, when it ends |
//!
//! A poll is one Query for everything that begins with `META` and one for a page of files, however many there are.
//! Files that end never write `META`, so hundreds of workers do not wait for each other there.
//!
//! What always holds: a file counts as added together with its submission's record, and as ended exactly once,
//! together with its entry; a batch is closed by a write that names the number of files it was found finished with.
//! Ended files only ever become more, so what was finished at that number still is.

mod files;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use super::StoreError;
use super::attributes::{Item, is_expired, json, key, n, number, parsed, s, text};
use super::transact::patiently;
use crate::clock::now_ms;
use crate::domain::batch::{Batch, BatchState, Tally};
use crate::domain::id::DataId;
use crate::domain::verdict::TABLE;

/// Parts of the counts.
pub const SHARDS: u32 = 8;

const META: &str = "META";
const SEATS: &str = "META#SEATS";

/// The batches.
#[derive(Clone, Debug)]
pub struct Batches {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Batches {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes a new batch, open and empty.
    ///
    /// # Errors
    /// `Conflict` when one with this id exists.
    pub async fn create(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut item = key(pk(&batch.id), META);
        item.insert("facts".into(), json(batch)?);
        item.insert("file_count".into(), n(0));
        item.insert("expires_at".into(), n(batch.expires_at / 1000));
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("create a batch", e))?;
        Ok(())
    }

    /// The batch as it stands now; `None` when there is none of this id.
    pub async fn state(&self, id: &DataId) -> Result<Option<BatchState>, StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :meta)")
            .expression_attribute_values(":pk", s(pk(id)))
            .expression_attribute_values(":meta", s(META))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read a batch", e))?;
        state(output.items.unwrap_or_default())
    }

    /// Closes a batch that was found finished as `state` says.
    ///
    /// # Errors
    /// `Conflict` when the number of files changed meanwhile: look again.
    pub async fn close(&self, state: &BatchState) -> Result<(), StoreError> {
        self.change(&state.batch.id, "SET is_closed = :one", "file_count = :files", |u| {
            u.expression_attribute_values(":one", n(1)).expression_attribute_values(":files", n(state.files))
        })
        .await
    }

    /// Closes a batch to new files; those it has go on.
    pub async fn seal(&self, id: &DataId) -> Result<(), StoreError> {
        self.change(id, "SET is_closed = :one", "attribute_exists(facts)", |u| u.expression_attribute_values(":one", n(1))).await
    }

    /// Closes a batch to new files as cancelled.
    pub async fn cancel(&self, id: &DataId) -> Result<(), StoreError> {
        let set = "SET is_closed = :one, is_canceled = :one";
        self.change(id, set, "attribute_exists(facts)", |u| u.expression_attribute_values(":one", n(1))).await
    }

    /// Takes no more files, and has the result posted to `url` once every file has ended. Again: to another URL.
    ///
    /// # Errors
    /// `Conflict` when the batch is closed.
    pub async fn call_back(&self, id: &DataId, url: &str) -> Result<(), StoreError> {
        self.change(id, "SET callback_url = :url", "attribute_exists(facts) AND attribute_not_exists(is_closed)", |u| {
            u.expression_attribute_values(":url", s(url))
        })
        .await
    }

    /// Closes a batch with a callback that was found finished as `state` says, and notes who tells of it: `who`.
    ///
    /// # Errors
    /// `Conflict` when somebody else did, or the number of files changed: look again.
    pub async fn conclude(&self, state: &BatchState, who: &str) -> Result<(), StoreError> {
        let condition = "attribute_not_exists(concluded_by) AND file_count = :files";
        self.change(&state.batch.id, "SET is_closed = :one, concluded_by = :who", condition, |u| {
            u.expression_attribute_values(":one", n(1))
                .expression_attribute_values(":who", s(who))
                .expression_attribute_values(":files", n(state.files))
        })
        .await
    }

    /// Notes that the message for the callback was sent.
    pub async fn told(&self, id: &DataId) -> Result<(), StoreError> {
        self.change(id, "SET was_told = :one", "attribute_exists(facts)", |u| u.expression_attribute_values(":one", n(1))).await
    }

    async fn change(
        &self,
        id: &DataId,
        expression: &str,
        condition: &str,
        values: impl Fn(UpdateItemFluentBuilder) -> UpdateItemFluentBuilder,
    ) -> Result<(), StoreError> {
        patiently(|| async {
            let update = self.client.update_item().table_name(&self.table).set_key(Some(key(pk(id), META)));
            let update = values(update.update_expression(expression).condition_expression(condition));
            update.send().await.map_err(|e| StoreError::from_sdk("change a batch", e)).map(|_| ())
        })
        .await
    }
}

fn pk(id: &DataId) -> String {
    format!("BATCH#{id}")
}

fn count(item: &Item, name: &str) -> u32 {
    number(item, name).and_then(|value| u32::try_from(value).ok()).unwrap_or_default()
}

/// Adds up the items that begin with `META`.
fn state(items: Vec<Item>) -> Result<Option<BatchState>, StoreError> {
    let (mut meta, mut seats, mut tally) = (None, 0, Tally::default());
    for item in items {
        match text(&item, "sk").as_deref() {
            Some(META) => meta = Some(item),
            Some(SEATS) => seats = count(&item, "seat_count"),
            _ => {
                tally.finished += count(&item, "ended_count");
                tally.total_ms += number(&item, "sum_ms").and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
                for code in TABLE.iter().map(|row| row.code.value()) {
                    *tally.codes.entry(code).or_default() += count(&item, &code_attribute(code));
                }
            }
        }
    }
    let Some(meta) = meta.filter(|item| !is_expired(item, now_ms())) else { return Ok(None) };
    Ok(Some(BatchState {
        batch: parsed(&meta, "facts")?.ok_or_else(|| StoreError::corrupt("read a batch", "no attribute `facts`"))?,
        closed: meta.contains_key("is_closed"),
        canceled: meta.contains_key("is_canceled"),
        callback_url: text(&meta, "callback_url"),
        concluded_by: text(&meta, "concluded_by"),
        told: meta.contains_key("was_told"),
        files: count(&meta, "file_count"),
        seats,
        tally,
    }))
}

/// The count of files with this main outcome.
fn code_attribute(code: u8) -> String {
    format!("c_{code}")
}
