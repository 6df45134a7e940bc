//! Attribute values of DynamoDB items, read and written without ceremony.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn n(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// Longest text of a caller that goes into a key, in bytes: longer than any name, and a sort key has 1 024 at most.
pub(crate) const LONGEST_TEXT: usize = 900;

/// The two key attributes.
pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<AttributeValue, StoreError> {
    serde_json::to_string(value).map(AttributeValue::S).map_err(|e| StoreError::corrupt("encode an attribute", e))
}

pub(crate) fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|v| v.as_s().ok()).cloned()
}

pub(crate) fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name).and_then(|v| v.as_n().ok()).and_then(|v| v.parse().ok())
}

pub(crate) fn parsed<T: DeserializeOwned>(item: &Item, name: &'static str) -> Result<Option<T>, StoreError> {
    let Some(value) = item.get(name).and_then(|v| v.as_s().ok()) else { return Ok(None) };
    serde_json::from_str(value).map(Some).map_err(|e| StoreError::corrupt(name, e))
}

/// TTL is filtered on read: DynamoDB deletes up to days late.
pub(crate) fn is_expired(item: &Item, now_ms: i64) -> bool {
    number(item, "expires_at").is_some_and(|seconds| seconds <= now_ms / 1000)
}
