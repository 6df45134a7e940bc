//! Deliveries of webhooks: one item per file or batch that has a callback.
//!
//! What always holds: an attempt begins by a conditional write that names round and number, so a message that is
//! delivered twice neither posts twice nor starts the schedule again; a worker that dies in an attempt is replaced when
//! its lease is over. The access pattern stands in [`super`].

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::attributes::{Item, is_expired, json, key, n, number, parsed, s, text};
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::submission::Owner;
use crate::webhook::{Subject, Webhook};

/// How long an attempt may take before another worker may repeat it, in ms: its time limit of 10 s, twice.
const LEASE_MS: i64 = 20_000;
/// A delivery that should have gone on this long ago was lost and may be sent again, in ms.
const STUCK_MS: i64 = 600_000;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// There will be an attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// The last retry failed.
    Failed,
    /// The address is not allowed; it is not tried again.
    Refused,
}

impl Progress {
    /// Its word, stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// What does not change of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// File or batch.
    pub subject: Subject,
    /// Where the result is posted.
    pub url: String,
    /// Who submitted; `None`: without a key.
    pub owner: Option<Owner>,
}

/// A delivery as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What does not change.
    pub facts: Facts,
    /// 1, and one more with every resend.
    pub round: u32,
    /// Attempts of this round that began.
    pub attempts: u32,
    /// When the last attempt was made, ms since the epoch.
    pub requested_at: Option<i64>,
    /// Status of the last answer; 0 = there was none.
    pub status_code: u16,
    /// Where it stands.
    pub progress: Progress,
    /// When the next attempt is due, ms since the epoch.
    pub next_at: Option<i64>,
}

/// The answer to a beginning.
#[derive(Debug)]
pub enum Begun {
    /// The attempt is this worker's to make.
    Now(Box<Delivery>),
    /// Another worker is making it.
    Elsewhere,
    /// It was made; the next one is due, and whoever made it may not have asked for it.
    Made(Box<Delivery>),
    /// There is nothing to do: delivered, given up, of an older round, or not there any more.
    Over,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Status of the answer, 0 = none.
    pub status_code: u16,
    /// Where the delivery stands now.
    pub progress: Progress,
    /// When the next attempt is due.
    pub next_at: Option<i64>,
}

/// The deliveries.
#[derive(Clone, Debug)]
pub struct Deliveries {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Deliveries {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes a new delivery; one that is there stays as it is. `expires_at`: end of retention, ms.
    pub async fn open(&self, id: &DataId, facts: &Facts, expires_at: i64) -> Result<(), StoreError> {
        let mut item = key(pk(id), "DELIVERY");
        item.insert("facts".into(), json(facts)?);
        item.insert("round_no".into(), n(1));
        item.insert("tries".into(), n(0));
        item.insert("lease_until".into(), n(0));
        item.insert("http_status".into(), n(0));
        item.insert("delivery_state".into(), s(Progress::Pending.word()));
        item.insert("next_at".into(), n(now_ms()));
        item.insert("expires_at".into(), n(expires_at / 1000));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        match put.send().await.map_err(|e| StoreError::from_sdk("open a delivery", e)) {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads a delivery.
    pub async fn get(&self, id: &DataId) -> Result<Option<Delivery>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(pk(id), "DELIVERY"))).consistent_read(true);
        let output = request.send().await.map_err(|e| StoreError::from_sdk("read a delivery", e))?;
        output.item.filter(|item| !is_expired(item, now_ms())).map(|item| delivery(&item)).transpose()
    }

    /// Begins an attempt, if it is its turn.
    pub async fn begin(&self, webhook: &Webhook) -> Result<Begun, StoreError> {
        let now = now_ms();
        let result = self
            .update(&webhook.id)
            .update_expression("SET tries = :try, lease_until = :until, requested_at = :now")
            .condition_expression(
                "round_no = :round AND delivery_state = :pending AND ((tries = :before AND lease_until = :zero) OR (tries = :try AND lease_until > :zero AND lease_until < :now))",
            )
            .expression_attribute_values(":try", n(webhook.attempt))
            .expression_attribute_values(":before", n(i64::from(webhook.attempt) - 1))
            .expression_attribute_values(":round", n(webhook.round))
            .expression_attribute_values(":pending", s(Progress::Pending.word()))
            .expression_attribute_values(":until", n(now + LEASE_MS))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":zero", n(0))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(output) => return Ok(Begun::Now(Box::new(delivery(&output.attributes.unwrap_or_default())?))),
            Err(error) => error,
        };
        let Some(item) = condition_failure(&error) else { return Err(StoreError::from_sdk("begin an attempt", error)) };
        if item.is_empty() {
            return Ok(Begun::Over);
        }
        let (leased, is) = (number(&item, "lease_until").unwrap_or_default() > 0, delivery(&item)?);
        if is.round != webhook.round || is.progress != Progress::Pending || is.attempts > webhook.attempt {
            return Ok(Begun::Over);
        }
        if leased {
            return Ok(Begun::Elsewhere);
        }
        Ok(if is.attempts == webhook.attempt { Begun::Made(Box::new(is)) } else { Begun::Over })
    }

    /// Writes how an attempt ended.
    ///
    /// # Errors
    /// `Conflict` when a newer attempt or round began meanwhile.
    pub async fn end(&self, webhook: &Webhook, ended: Ended) -> Result<(), StoreError> {
        self.update(&webhook.id)
            .update_expression("SET http_status = :status, delivery_state = :to, next_at = :next, lease_until = :zero")
            .condition_expression("round_no = :round AND tries = :try")
            .expression_attribute_values(":status", n(ended.status_code))
            .expression_attribute_values(":to", s(ended.progress.word()))
            .expression_attribute_values(":next", n(ended.next_at.unwrap_or_default()))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":round", n(webhook.round))
            .expression_attribute_values(":try", n(webhook.attempt))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("end an attempt", e))?;
        Ok(())
    }

    /// Begins a new round and answers it: its first attempt is due now. The last status stays to be seen until then.
    ///
    /// # Errors
    /// `Conflict` while a round is going on, or when there was no delivery yet.
    pub async fn renew(&self, id: &DataId) -> Result<Delivery, StoreError> {
        let now = now_ms();
        let output = self
            .update(id)
            .update_expression("SET round_no = round_no + :one, tries = :zero, lease_until = :zero, delivery_state = :pending, next_at = :now")
            .condition_expression("attribute_exists(pk) AND (delivery_state <> :pending OR (next_at < :stuck AND lease_until < :now))")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":pending", s(Progress::Pending.word()))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":stuck", n(now - STUCK_MS))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("renew a delivery", e))?;
        delivery(&output.attributes.unwrap_or_default())
    }

    fn update(&self, id: &DataId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).set_key(Some(key(pk(id), "DELIVERY")))
    }
}

fn pk(id: &DataId) -> String {
    format!("WEBHOOK#{id}")
}

fn delivery(item: &Item) -> Result<Delivery, StoreError> {
    let missing = |what: &'static str| StoreError::corrupt("read a delivery", format!("no attribute `{what}`"));
    let count = |name| number(item, name).and_then(|value| u32::try_from(value).ok());
    let progress = match text(item, "delivery_state").as_deref() {
        Some("pending") => Progress::Pending,
        Some("delivered") => Progress::Delivered,
        Some("failed") => Progress::Failed,
        Some("refused") => Progress::Refused,
        _ => return Err(missing("delivery_state")),
    };
    Ok(Delivery {
        facts: parsed(item, "facts")?.ok_or_else(|| missing("facts"))?,
        round: count("round_no").ok_or_else(|| missing("round_no"))?,
        attempts: count("tries").ok_or_else(|| missing("tries"))?,
        requested_at: number(item, "requested_at"),
        status_code: number(item, "http_status").and_then(|status| u16::try_from(status).ok()).unwrap_or_default(),
        progress,
        next_at: number(item, "next_at").filter(|at| *at > 0 && progress == Progress::Pending),
    })
}

/// The item as it was when a condition did not hold (empty when there is none); `None` for any other error.
fn condition_failure<R>(error: &SdkError<UpdateItemError, R>) -> Option<Item> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failure)) => Some(failure.item().cloned().unwrap_or_default()),
        _ => None,
    }
}
