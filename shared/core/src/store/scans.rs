//! Submissions: created by upload, claimed and finished by scan, watched by sweep, read by results.
//!
//! The claim, as a timeline: created (no claim) → claimed until T, renewed every few seconds while the
//! worker lives → done. A cancel ends it in any state. A claim whose T has passed belongs to a dead worker and can be taken over. Late
//! writers lose by condition. Every claim counts a try that is taken back when the worker ends in good
//! order, so the number left is the number of workers that died on the file.
//!
//! What always holds: `Done` never changes but by a rescan, whose writes replace a known verdict; the object judged is the one pinned by the first claim.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
};

use super::StoreError;
use super::attributes::{Item, is_expired, json, key, n, number, parsed, s, text};
use super::history::{self, list};
use super::pending;
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::report::FileReport;
use crate::domain::submission::{Fetched, ObjectRef, Outcome, Record, State, Submission};
use crate::domain::verdict::{Code, Verdict};

/// Life of a claim without renewal, in ms. A dead worker's file waits at most this long.
pub const LEASE_MS: i64 = 15_000;
/// Time between renewals of a claim, in ms. Also the longest that a cancelled scan works on: a renewal tells that the claim is lost.
pub const RENEW_MS: u64 = 1_000;
/// Tries after which a file that kills its workers ends as Failed.
pub const MAX_TRIES: u32 = 3;

/// What a claim came to.
#[derive(Debug)]
pub enum Claim {
    /// The caller scans.
    Won(Box<Claimed>),
    /// There is a verdict already.
    Done(Box<Record>),
    /// Another worker scans, at least until then (ms since the epoch).
    Held {
        /// When the claim may have ended.
        until: i64,
    },
    /// The record is pinned to another version of the object: this one is not judged.
    OtherObject,
    /// No such submission.
    Missing,
}

/// A claim that was won.
#[derive(Debug)]
pub struct Claimed {
    /// The submission.
    pub record: Record,
    /// Proof of the claim.
    pub token: String,
    /// Archive passwords of the submission.
    pub passwords: Vec<String>,
    /// Where an earlier worker left what it did, see [`super::partial`].
    pub partial: Option<String>,
}

/// A finished submission's children, as stored with it.
#[derive(Clone, Debug, Default)]
pub struct Inline {
    /// Children in order of extraction, when they are small enough to stay in the item.
    pub children: Option<Vec<FileReport>>,
}

/// What a cancel came to.
#[derive(Debug)]
pub enum Cancelled {
    /// It is cancelled: now, or by an earlier call.
    Yes(Box<Record>),
    /// There was a verdict already; it stays.
    TooLate(Box<Record>),
    /// No such submission.
    Missing,
}

/// The submissions.
#[derive(Clone, Debug)]
pub struct Scans {
    pub(super) client: aws_sdk_dynamodb::Client,
    pub(super) table: String,
}

impl Scans {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes a new submission. `check_at`: when sweep looks at it first, ms; `expires_at`: end of retention, ms.
    ///
    /// # Errors
    /// `Conflict` when one with this id exists.
    pub async fn create(&self, submission: &Submission, passwords: &[String], check_at: i64, expires_at: i64) -> Result<(), StoreError> {
        let item = new_item(submission, passwords, check_at, expires_at)?;
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("create a submission", e))?;
        Ok(())
    }

    /// Removes a submission whose upload failed, so that it does not show as lost. Only before its object is seen.
    pub async fn withdraw(&self, id: &DataId) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(pk(id), "META")))
            .condition_expression(NOT_SEEN)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":uploading", s("uploading"))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("withdraw a submission", e))?;
        Ok(())
    }

    /// Reads the submission that `id` (its own, or a child's) belongs to. One eventually consistent read;
    /// a second, consistent one only when that finds nothing (an id just issued must be found).
    pub async fn get(&self, id: &DataId) -> Result<Option<(Record, Inline)>, StoreError> {
        for consistent in [false, true] {
            let output = self
                .client
                .get_item()
                .table_name(&self.table)
                .set_key(Some(key(pk(id), "META")))
                .consistent_read(consistent)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("read a submission", e))?;
            if let Some(item) = output.item.filter(|item| !is_expired(item, now_ms())) {
                return Ok(Some((record(&item)?, Inline { children: parsed(&item, "children")? })));
            }
        }
        Ok(None)
    }

    /// Claims a submission for scanning `object`.
    pub async fn claim(&self, id: &DataId, object: &ObjectRef) -> Result<Claim, StoreError> {
        let now = now_ms();
        let token = uuid::Uuid::new_v4().simple().to_string();
        let result = self
            .update(id)
            .update_expression("SET #state = :processing, claim_token = :token, claim_until = :until, object_ref = :object, started_at = if_not_exists(started_at, :now) ADD tries :one")
            .condition_expression("attribute_exists(pk) AND #state <> :done AND claim_until < :now AND (attribute_not_exists(object_ref) OR object_ref = :object)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":processing", s("processing"))
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":token", s(&token))
            .expression_attribute_values(":until", n(now + LEASE_MS))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":object", json(object)?)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(output) => {
                let item = output.attributes.unwrap_or_default();
                let passwords = parsed(&item, "passwords")?.unwrap_or_default();
                Ok(Claim::Won(Box::new(Claimed { record: record(&item)?, token, passwords, partial: text(&item, "partial_key") })))
            }
            Err(error) => match condition_failure(&error) {
                Some(item) if item.is_empty() => Ok(Claim::Missing),
                Some(item) => {
                    let old = record(&item)?;
                    if old.object.as_ref().is_some_and(|pinned| pinned != object) {
                        Ok(Claim::OtherObject)
                    } else if old.state == State::Done {
                        Ok(Claim::Done(Box::new(old)))
                    } else {
                        Ok(Claim::Held { until: number(&item, "claim_until").unwrap_or_default() })
                    }
                }
                None => Err(StoreError::from_sdk("claim a submission", error)),
            },
        }
    }

    /// Renews a claim.
    ///
    /// # Errors
    /// `Conflict` when the claim is lost.
    pub async fn renew(&self, id: &DataId, token: &str) -> Result<(), StoreError> {
        self.claimed(id, token, "SET claim_until = :until", |u| u.expression_attribute_values(":until", n(now_ms() + LEASE_MS))).await?;
        Ok(())
    }

    /// Counts a worker that died on the file while the claim goes on. Returns the tries so far, the next one included.
    pub async fn count_death(&self, id: &DataId, token: &str) -> Result<u32, StoreError> {
        let item = self
            .claimed(id, token, "SET claim_until = :until ADD tries :one", |u| {
                u.expression_attribute_values(":one", n(1)).expression_attribute_values(":until", n(now_ms() + LEASE_MS))
            })
            .await?;
        Ok(tries(&item))
    }

    /// Gives a claim back in good order (a store was throttled, the invocation ran out of time): the try does not count.
    pub async fn release(&self, id: &DataId, token: &str) -> Result<(), StoreError> {
        self.claimed(id, token, "SET claim_until = :zero ADD tries :minus REMOVE claim_token", |u| {
            u.expression_attribute_values(":zero", n(0)).expression_attribute_values(":minus", n(-1))
        })
        .await?;
        Ok(())
    }

    /// Gives a claim back in good order with the work half done: what was done is an object of this key. The try does not count.
    ///
    /// # Errors
    /// `Conflict` when the claim is lost.
    pub async fn pause(&self, id: &DataId, token: &str, partial: &str) -> Result<(), StoreError> {
        self.claimed(id, token, "SET claim_until = :zero, partial_key = :partial ADD tries :minus REMOVE claim_token", |u| {
            u.expression_attribute_values(":zero", n(0))
                .expression_attribute_values(":minus", n(-1))
                .expression_attribute_values(":partial", s(partial))
        })
        .await?;
        Ok(())
    }

    /// Writes the verdict of a scan: its message comes again until what follows was done, so the index need not hold it.
    ///
    /// # Errors
    /// `Conflict` when the claim is lost: another worker's verdict counts.
    pub async fn finish(&self, submission: &Submission, token: &str, outcome: &Outcome, children: Option<&[FileReport]>) -> Result<(), StoreError> {
        let written = json(outcome)?;
        let also = if children.is_some() { ", children = :children" } else { "" };
        let mut update = history::ended(self.update(&submission.id), submission, outcome)?
            .update_expression(format!("SET #state = :done, outcome = :outcome{also}{} {UNCLAIM}, pending_shard, check_at", list(submission)))
            .condition_expression("claim_token = :token")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":outcome", written.clone())
            .expression_attribute_values(":token", s(token))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(children) = children {
            update = update.expression_attribute_values(":children", json(&children)?);
        }
        match update.send().await {
            Ok(_) => Ok(()),
            // A write whose answer was lost is sent again, and refused: this verdict counts.
            Err(error) if condition_failure(&error).is_some_and(|item| item.get("outcome") == Some(&written)) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("write a verdict", error)),
        }
    }

    /// Ends a submission that no worker holds (sweep: no object, or past its deadline). It stays in the index until it was
    /// told of, see [`pending`].
    ///
    /// # Errors
    /// `Conflict` when it ended or was claimed meanwhile.
    pub async fn finish_unclaimed(&self, submission: &Submission, outcome: &Outcome) -> Result<(), StoreError> {
        history::ended(self.update(&submission.id), submission, outcome)?
            .update_expression(format!("SET #state = :done, outcome = :outcome, check_at = :check_at{} {UNCLAIM}", list(submission)))
            .condition_expression("attribute_exists(pk) AND #state <> :done AND claim_until < :now")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":outcome", json(outcome)?)
            .expression_attribute_values(":now", n(now_ms()))
            .expression_attribute_values(":check_at", n(pending::telling_ends()))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("end a submission", e))?;
        Ok(())
    }

    /// Ends an unfinished submission as `Canceled`, whatever its state. A worker that holds it loses its claim, and with it
    /// every later write. It stays in the index until it was told of, see [`pending`].
    pub async fn cancel(&self, record: &Record) -> Result<Cancelled, StoreError> {
        let outcome = Outcome::unscanned(record, Verdict::decide(&[Code::Canceled], &[]), now_ms());
        let result = history::ended(self.update(&record.submission.id), &record.submission, &outcome)?
            .update_expression(format!(
                "SET #state = :done, outcome = :outcome, claim_until = :zero, check_at = :check_at{} {UNCLAIM}",
                list(&record.submission)
            ))
            .condition_expression("attribute_exists(pk) AND #state <> :done")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":outcome", json(&outcome)?)
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":check_at", n(pending::telling_ends()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let found = match result {
            Ok(output) => self::record(&output.attributes.unwrap_or_default())?,
            Err(error) => match condition_failure(&error) {
                Some(item) if item.is_empty() => return Ok(Cancelled::Missing),
                Some(item) => self::record(&item)?,
                None => return Err(StoreError::from_sdk("cancel a submission", error)),
            },
        };
        let cancelled = found.outcome.as_ref().is_some_and(|outcome| outcome.report.verdict.code == Code::Canceled);
        Ok(if cancelled { Cancelled::Yes(Box::new(found)) } else { Cancelled::TooLate(Box::new(found)) })
    }

    /// Puts the verdict of a rescan (`outcome.revision` names it) in the place of the one that `record` has. Its place in the
    /// history stays.
    ///
    /// # Errors
    /// `Conflict` when the record has another verdict by now, or is gone.
    pub async fn revise(&self, record: &Record, outcome: &Outcome, children: Option<&[FileReport]>) -> Result<(), StoreError> {
        let job = |outcome: &Outcome| outcome.revision.as_ref().map(|revision| revision.job.clone());
        let before = record.outcome.as_ref().and_then(job);
        let condition = if before.is_some() { "revised_by = :before" } else { "attribute_not_exists(revised_by)" };
        let rest = if children.is_some() { ", children = :children" } else { " REMOVE children" };
        let mut update = self
            .update(&record.submission.id)
            .update_expression(format!("SET outcome = :outcome, revised_by = :job, history_entry = :entry{rest}"))
            .condition_expression(format!("attribute_exists(pk) AND #state = :done AND {condition}"))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", s("done"))
            .expression_attribute_values(":outcome", json(outcome)?)
            .expression_attribute_values(":job", s(job(outcome).unwrap_or_default()))
            .expression_attribute_values(":entry", json(&history::Entry::of(&record.submission, outcome))?);
        if let Some(before) = before {
            update = update.expression_attribute_values(":before", s(before));
        }
        if let Some(children) = children {
            update = update.expression_attribute_values(":children", json(&children)?);
        }
        update.send().await.map_err(|e| StoreError::from_sdk("revise a verdict", e))?;
        Ok(())
    }

    /// Takes, or renews, the right to fetch or put together the object of a submission that has none yet. It ends with the
    /// lease of a claim.
    ///
    /// # Errors
    /// `Conflict` when another holds it, or there is nothing left to do.
    pub async fn prepare(&self, id: &DataId, token: &str) -> Result<(), StoreError> {
        let now = now_ms();
        self.update(id)
            .update_expression("SET prepare_until = :until, prepare_token = :token")
            .condition_expression(
                "attribute_exists(pk) AND #state = :uploading AND attribute_not_exists(object_ref) \
                 AND (attribute_not_exists(prepare_until) OR prepare_until < :now OR prepare_token = :token)",
            )
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":uploading", s("uploading"))
            .expression_attribute_values(":until", n(now + LEASE_MS))
            .expression_attribute_values(":token", s(token))
            .expression_attribute_values(":now", n(now))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("prepare a submission's object", e))?;
        Ok(())
    }

    /// Writes down how far a download came.
    ///
    /// # Errors
    /// `Conflict` when the submission went on or ended.
    pub async fn fetched(&self, id: &DataId, fetched: &Fetched) -> Result<(), StoreError> {
        self.update(id)
            .update_expression("SET fetched = :fetched")
            .condition_expression("attribute_exists(pk) AND #state = :uploading")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":uploading", s("uploading"))
            .expression_attribute_values(":fetched", json(fetched)?)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("write down a download's progress", e))?;
        Ok(())
    }

    /// Ends what [`Scans::prepare`] began: with the object, which is pinned, or without (somebody may try again).
    ///
    /// # Errors
    /// `Conflict` when the submission went on without.
    pub async fn prepared(&self, id: &DataId, token: &str, object: Option<&ObjectRef>) -> Result<(), StoreError> {
        let update = match object {
            Some(object) => self
                .update(id)
                .update_expression("SET object_ref = :object REMOVE prepare_until, prepare_token")
                .expression_attribute_values(":object", json(object)?),
            None => self.update(id).update_expression("REMOVE prepare_until, prepare_token"),
        };
        update
            .condition_expression("#state = :uploading AND attribute_not_exists(object_ref) AND prepare_token = :token")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":uploading", s("uploading"))
            .expression_attribute_values(":token", s(token))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("pin a submission's object", e))?;
        Ok(())
    }

    pub(super) fn update(&self, id: &DataId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).set_key(Some(key(pk(id), "META")))
    }

    /// An update that only the holder of the claim can make.
    async fn claimed(
        &self,
        id: &DataId,
        token: &str,
        expression: &str,
        values: impl FnOnce(UpdateItemFluentBuilder) -> UpdateItemFluentBuilder,
    ) -> Result<Item, StoreError> {
        let output = values(self.update(id).update_expression(expression))
            .condition_expression("claim_token = :token")
            .expression_attribute_values(":token", s(token))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("update a claimed submission", e))?;
        Ok(output.attributes.unwrap_or_default())
    }
}

/// What an end takes away: the claim, the secrets.
const UNCLAIM: &str = "REMOVE claim_token, passwords, partial_key, prepare_until, prepare_token";

/// The item of a new submission.
pub(super) fn new_item(submission: &Submission, passwords: &[String], check_at: i64, expires_at: i64) -> Result<Item, StoreError> {
    let mut item = key(pk(&submission.id), "META");
    item.insert("submission".into(), json(submission)?);
    item.insert("state".into(), s("uploading"));
    item.insert("tries".into(), n(0));
    item.insert("claim_until".into(), n(0));
    item.insert("pending_shard".into(), s(pending::shard(&submission.id)));
    item.insert("check_at".into(), n(check_at));
    item.insert("expires_at".into(), n(expires_at / 1000));
    if !passwords.is_empty() {
        item.insert("passwords".into(), json(&passwords)?);
    }
    Ok(item)
}

/// The key of a submission's item.
pub(super) fn item_key(id: &DataId) -> Item {
    key(pk(id), "META")
}

/// Holds until the object of a submission was seen. Names `#state`, and `:uploading` as its value.
pub(super) const NOT_SEEN: &str = "#state = :uploading AND attribute_not_exists(object_ref)";

fn pk(id: &DataId) -> String {
    format!("SCAN#{}", id.group())
}

fn tries(item: &Item) -> u32 {
    number(item, "tries").and_then(|t| u32::try_from(t).ok()).unwrap_or_default()
}

pub(super) fn record(item: &Item) -> Result<Record, StoreError> {
    let submission = parsed(item, "submission")?.ok_or_else(|| StoreError::corrupt("read a submission", "no attribute `submission`"))?;
    let state = match item.get("state").and_then(|v: &AttributeValue| v.as_s().ok()).map(String::as_str) {
        Some("uploading") => State::Uploading,
        Some("processing") => State::Processing,
        Some("done") => State::Done,
        _ => return Err(StoreError::corrupt("read a submission", "attribute `state` is unknown")),
    };
    Ok(Record {
        submission,
        state,
        attempts: tries(item),
        object: parsed(item, "object_ref")?,
        started_at: number(item, "started_at"),
        fetched: parsed(item, "fetched")?,
        outcome: parsed(item, "outcome")?,
    })
}

/// The item as it was when a condition did not hold (empty when there is none); `None` for any other error.
fn condition_failure<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failure)) => Some(failure.item().cloned().unwrap_or_default()),
        _ => None,
    }
}
