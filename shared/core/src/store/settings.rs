//! Configuration that can change without a deploy: one JSON document per name under `CONFIG`.
//!
//! Reads are cached for [`CACHE`]; a document that can not be parsed is an error, never a default. Every
//! write makes a new revision (1, 2, …; 0 = never written), so that whoever read one can be told that it is stale.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use super::attributes::{Item, json, key, n, number, text};
use crate::audit::{AuditLog, Change};

/// How long a read document is believed.
pub const CACHE: Duration = Duration::from_secs(5);

/// Times a change without an expected revision is made against others, at most.
const ATTEMPTS: u32 = 10;

/// The documents.
#[derive(Debug)]
pub struct Settings {
    client: aws_sdk_dynamodb::Client,
    table: String,
    cache: Mutex<HashMap<&'static str, (Instant, Option<String>)>>,
}

impl Settings {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), cache: Mutex::default() }
    }

    /// Reads a document; `None` when it was never written.
    pub async fn get<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        let cached = self.cache.lock().ok().and_then(|cache| cache.get(name).filter(|(at, _)| at.elapsed() < CACHE).map(|(_, body)| body.clone()));
        let body = if let Some(body) = cached { body } else { self.read(name).await? };
        body.map(|body| serde_json::from_str(&body)).transpose().map_err(|e| StoreError::corrupt("read a setting", e))
    }

    /// Reads a document and its revision, past the cache: what a change is based on.
    pub async fn versioned<T: DeserializeOwned>(&self, name: &'static str) -> Result<(Option<T>, u64), StoreError> {
        let Some(item) = self.item(name, true).await? else { return Ok((None, 0)) };
        let revision = number(&item, "rev").and_then(|revision| u64::try_from(revision).ok()).unwrap_or_default();
        let body = text(&item, "body").map(|body| serde_json::from_str(&body)).transpose();
        Ok((body.map_err(|e| StoreError::corrupt("read a setting", e))?, revision))
    }

    async fn read(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        let body = self.item(name, false).await?.and_then(|item| text(&item, "body"));
        if let Ok(mut cache) = self.cache.lock() {
            cache.insert(name, (Instant::now(), body.clone()));
        }
        Ok(body)
    }

    async fn item(&self, name: &'static str, consistent: bool) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key("CONFIG", name))).consistent_read(consistent);
        Ok(request.send().await.map_err(|e| StoreError::from_sdk("read a setting", e))?.item)
    }

    /// Writes a document, whatever was there.
    pub async fn put<T: Serialize>(&self, name: &'static str, value: &T) -> Result<(), StoreError> {
        self.write(name, value, None).await
    }

    /// Writes a document if `revision` is still the one in force. Returns the new revision.
    ///
    /// # Errors
    /// `Conflict` when it is not.
    pub async fn replace<T: Serialize>(&self, name: &'static str, value: &T, revision: u64) -> Result<u64, StoreError> {
        self.write(name, value, Some(revision)).await?;
        Ok(revision + 1)
    }

    /// Writes a document together with the entry of the audit log, or does neither. Returns the new revision. Without an
    /// expected revision the one in force is replaced, whoever wrote it; use that only where the whole document is sent.
    ///
    /// # Errors
    /// `Conflict` when `expected` is no longer the revision in force.
    pub async fn change<T: Serialize + Sync>(
        &self,
        audit: &AuditLog,
        change: Change,
        name: &'static str,
        value: &T,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        for attempt in 0.. {
            let revision = match expected {
                Some(revision) => revision,
                None => self.versioned::<serde::de::IgnoredAny>(name).await?.1,
            };
            let result = audit.with(&change, "write a setting", vec![self.write_at(name, value, revision)?]).await;
            self.forget(name);
            match result {
                Ok(()) => return Ok(revision + 1),
                Err(StoreError::Conflict { .. }) if expected.is_none() && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { what: "write a setting" })
    }

    /// The write of a document at a revision, for a transaction. Whoever does it calls [`Settings::forget`] after it.
    pub fn write_at<T: Serialize>(&self, name: &'static str, value: &T, revision: u64) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key("CONFIG", name)))
            .update_expression("SET #body = :body ADD rev :one")
            .expression_attribute_names("#body", "body")
            .expression_attribute_values(":body", json(value)?)
            .expression_attribute_values(":one", n(1));
        let update = if revision == 0 {
            update.condition_expression("attribute_not_exists(rev)")
        } else {
            update.condition_expression("rev = :expected").expression_attribute_values(":expected", n(revision))
        };
        let update = update.build().map_err(|e| StoreError::corrupt("write a setting", e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Believes nothing read before of a document.
    pub fn forget(&self, name: &'static str) {
        if let Ok(mut cache) = self.cache.lock() {
            cache.remove(name);
        }
    }

    async fn write<T: Serialize>(&self, name: &'static str, value: &T, expected: Option<u64>) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("CONFIG", name)))
            .update_expression("SET #body = :body ADD rev :one")
            .expression_attribute_names("#body", "body")
            .expression_attribute_values(":body", json(value)?)
            .expression_attribute_values(":one", n(1));
        let request = match expected {
            None => request,
            Some(0) => request.condition_expression("attribute_not_exists(rev)"),
            Some(revision) => request.condition_expression("rev = :expected").expression_attribute_values(":expected", n(revision)),
        };
        let result = request.send().await.map_err(|e| StoreError::from_sdk("write a setting", e));
        // Also when somebody else was first: what is cached is stale then.
        self.forget(name);
        result.map(drop)
    }
}
