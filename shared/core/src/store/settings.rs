//! Configuration that can change without a deploy: one JSON document per name under `CONFIG`.
//!
//! Reads are cached for [`CACHE`]; a document that can not be parsed is an error, never a default.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use super::attributes::{json, key, text};

/// How long a read document is believed.
pub const CACHE: Duration = Duration::from_secs(5);

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

    async fn read(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key("CONFIG", name)));
        let output = request.send().await.map_err(|e| StoreError::from_sdk("read a setting", e))?;
        let body = output.item.and_then(|item| text(&item, "body"));
        if let Ok(mut cache) = self.cache.lock() {
            cache.insert(name, (Instant::now(), body.clone()));
        }
        Ok(body)
    }

    /// Writes a document.
    pub async fn put<T: Serialize>(&self, name: &'static str, value: &T) -> Result<(), StoreError> {
        let mut item = key("CONFIG", name);
        item.insert("body".into(), json(value)?);
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(|e| StoreError::from_sdk("write a setting", e))?;
        if let Ok(mut cache) = self.cache.lock() {
            cache.remove(name);
        }
        Ok(())
    }
}
