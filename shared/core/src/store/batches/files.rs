//! The files of a batch: added, taken back, ended, listed.

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValue, TransactWriteItem, Update};

use super::{Batches, META, SEATS, SHARDS, code_attribute, count, pk};
use crate::domain::batch::{Batch, BatchEntry, BatchFile, BatchState, FileEnd};
use crate::domain::id::DataId;
use crate::domain::submission::{BatchSeat, Revision, Submission};
use crate::store::attributes::{Item, json, key, n, parsed, s, text};
use crate::store::transact::transact;
use crate::store::{StoreError, scans};

const WHAT: &str = "change a batch's files";
/// Sort key of a file, before its position.
const FILE: &str = "FILE#";
/// Entries read at a time where all of them, or those after gaps, are wanted.
const STEP: usize = 500;

impl Batches {
    /// Adds a submission: gives it a seat and writes its record (`wishes.batch` names the seat), or nothing. The parameters are those of [`scans::Scans::create`].
    ///
    /// # Errors
    /// `Conflict` when the batch takes no more files.
    pub async fn add(&self, batch: &Batch, submission: &Submission, passwords: &[String], check_at: i64, expires_at: i64) -> Result<(), StoreError> {
        let index = self.next_position(batch).await?;
        let seat = BatchSeat { id: batch.id.clone(), index, expires_at: batch.expires_at };
        let mut row = row_key(&seat);
        row.insert("entry".into(), json(&BatchFile::of(submission))?);
        row.insert("expires_at".into(), n(batch.expires_at / 1000));
        let mut seated = submission.clone();
        seated.wishes.batch = Some(seat);
        let record = scans::new_item(&seated, passwords, check_at, expires_at)?;
        let counted = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(&batch.id), META)))
            .update_expression("ADD file_count :one")
            .condition_expression("attribute_exists(facts) AND attribute_not_exists(is_closed) AND attribute_not_exists(callback_url)")
            .expression_attribute_values(":one", n(1))
            .build()
            .map_err(corrupt)?;
        let new = |item| Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)").build();
        let writes = vec![
            TransactWriteItem::builder().update(counted).build(),
            TransactWriteItem::builder().put(new(row).map_err(corrupt)?).build(),
            TransactWriteItem::builder().put(new(record).map_err(corrupt)?).build(),
        ];
        transact(&self.client, WHAT, writes).await
    }

    /// A position of its own for every caller. One that is not used in the end is a gap and does no harm.
    async fn next_position(&self, batch: &Batch) -> Result<u32, StoreError> {
        let output = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(pk(&batch.id), SEATS)))
            .update_expression("ADD seat_count :one SET expires_at = :expires")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":expires", n(batch.expires_at / 1000))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(WHAT, e))?;
        let given = output.attributes.as_ref().map_or(0, |item| count(item, "seat_count"));
        given.checked_sub(1).ok_or_else(|| StoreError::corrupt(WHAT, "no position was given"))
    }

    /// Takes back a file whose upload failed, with its record, so that the batch does not wait for it.
    ///
    /// # Errors
    /// `Conflict` when its object was seen, or it has ended: then it stays.
    pub async fn withdraw(&self, seat: &BatchSeat, id: &DataId) -> Result<(), StoreError> {
        let record = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(scans::item_key(id)))
            .condition_expression(scans::NOT_SEEN)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":uploading", s("uploading"))
            .build()
            .map_err(corrupt)?;
        let row = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(row_key(seat)))
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(ending)")
            .build()
            .map_err(corrupt)?;
        let counted = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(&seat.id), META)))
            .update_expression("ADD file_count :minus")
            .condition_expression("attribute_exists(facts)")
            .expression_attribute_values(":minus", n(-1))
            .build()
            .map_err(corrupt)?;
        let writes = vec![
            TransactWriteItem::builder().delete(record).build(),
            TransactWriteItem::builder().delete(row).build(),
            TransactWriteItem::builder().update(counted).build(),
        ];
        transact(&self.client, WHAT, writes).await
    }

    /// Notes how a file ended, once: whoever comes again changes nothing. `false` when it had ended before, or is not there.
    pub async fn finish(&self, seat: &BatchSeat, end: &FileEnd) -> Result<bool, StoreError> {
        let row = Update::builder()
            .table_name(&self.table)
            .set_key(Some(row_key(seat)))
            .update_expression("SET ending = :ending")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(ending)")
            .expression_attribute_values(":ending", json(end)?)
            .build()
            .map_err(corrupt)?;
        let counted = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(&seat.id), format!("META#T{}", seat.index % SHARDS))))
            .update_expression(format!("ADD ended_count :one, {} :one, sum_ms :ms SET expires_at = :expires", code_attribute(end.code.value())))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":ms", n(end.total_ms))
            .expression_attribute_values(":expires", n(seat.expires_at / 1000))
            .build()
            .map_err(corrupt)?;
        let writes = vec![TransactWriteItem::builder().update(row).build(), TransactWriteItem::builder().update(counted).build()];
        match transact(&self.client, WHAT, writes).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the entry of a file that is no longer kept; with the last one the batch itself. Its counts stay until then.
    pub async fn erase(&self, seat: &BatchSeat) -> Result<(), StoreError> {
        let delete = |key: Item| async {
            let request = self.client.delete_item().table_name(&self.table).set_key(Some(key));
            request.send().await.map_err(|e| StoreError::from_sdk(WHAT, e)).map(drop)
        };
        delete(row_key(seat)).await?;
        if !self.entries_from(&seat.id, 0, 1).await?.is_empty() {
            return Ok(());
        }
        for shard in 0..SHARDS {
            delete(key(pk(&seat.id), format!("META#T{shard}"))).await?;
        }
        delete(key(pk(&seat.id), SEATS)).await?;
        delete(key(pk(&seat.id), META)).await?;
        let webhook = key(format!("WEBHOOK#{}", seat.id), "DELIVERY");
        delete(webhook).await
    }

    /// Replaces how a file ended by what a rescan found, once. `false` when it was replaced before, has not ended, or is not there.
    pub async fn revise(&self, seat: &BatchSeat, revision: &Revision, end: &FileEnd) -> Result<bool, StoreError> {
        let row = Update::builder()
            .table_name(&self.table)
            .set_key(Some(row_key(seat)))
            .update_expression("SET ending = :ending, revised_by = :job")
            .condition_expression("attribute_exists(ending) AND (attribute_not_exists(revised_by) OR revised_by <> :job)")
            .expression_attribute_values(":ending", json(end)?)
            .expression_attribute_values(":job", s(&revision.job))
            .build()
            .map_err(corrupt)?;
        let (old, new) = (code_attribute(revision.before.value()), code_attribute(end.code.value()));
        let counted = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk(&seat.id), format!("META#T{}", seat.index % SHARDS))))
            .update_expression(format!("ADD {old} :minus, {new} :one"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":minus", n(-1))
            .build()
            .map_err(corrupt)?;
        let writes = vec![TransactWriteItem::builder().update(row).build(), TransactWriteItem::builder().update(counted).build()];
        match transact(&self.client, WHAT, writes).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Entries `first..first + size` in the order of submission. Where no upload failed their positions are their keys, so
    /// that the page costs what is on it; else those before it are counted.
    pub async fn page(&self, state: &BatchState, first: usize, size: usize) -> Result<Vec<BatchEntry>, StoreError> {
        let id = &state.batch.id;
        let Ok(wanted) = u32::try_from(first) else { return Ok(Vec::new()) };
        if size == 0 || wanted >= state.files {
            return Ok(Vec::new());
        }
        let dense = state.seats == state.files;
        let (mut next, mut to_skip) = if dense { (wanted, 0) } else { (0, first) };
        let mut page = Vec::new();
        while page.len() < size {
            let entries = self.entries_from(id, next, (size - page.len()).saturating_add(to_skip).min(STEP)).await?;
            let Some(last) = entries.last() else { break };
            next = last.index + 1;
            let skipped = to_skip.min(entries.len());
            to_skip -= skipped;
            page.extend(entries.into_iter().skip(skipped));
        }
        Ok(page)
    }

    /// Entries from a position on, at most `limit` of them, perhaps fewer; none only after the last.
    pub async fn entries_from(&self, id: &DataId, position: u32, limit: usize) -> Result<Vec<BatchEntry>, StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", s(pk(id)))
            .expression_attribute_values(":from", s(sort_key(position)))
            .expression_attribute_values(":to", s(sort_key(u32::MAX)))
            .limit(i32::try_from(limit.clamp(1, STEP)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("list a batch's files", e))?;
        output.items.unwrap_or_default().iter().map(entry).collect()
    }
}

/// Ten digits: every position, in the order of numbers.
fn sort_key(position: u32) -> String {
    format!("{FILE}{position:010}")
}

fn row_key(seat: &BatchSeat) -> Item {
    key(pk(&seat.id), sort_key(seat.index))
}

fn entry(item: &Item) -> Result<BatchEntry, StoreError> {
    let index = text(item, "sk").as_deref().and_then(|sk| sk.strip_prefix(FILE)?.parse().ok());
    match (index, parsed(item, "entry")?) {
        (Some(index), Some(file)) => Ok(BatchEntry { index, file, end: parsed(item, "ending")? }),
        _ => Err(StoreError::corrupt("list a batch's files", "an entry has no position or no file")),
    }
}

fn corrupt(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::corrupt(WHAT, error)
}
