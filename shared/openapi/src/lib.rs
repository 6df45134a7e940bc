//! The OpenAPI document of the API, made of `document/*.yaml` at build time, and the page that shows it.
//!
//! What always holds, by tests: every route of the table is in the document and nothing else, every error code stands there with
//! its exact text, and the end-to-end suite holds every answer it sees against it.

mod page;

use std::sync::LazyLock;

use serde_json::Value;

pub use page::{page, policy};

/// The document, compact.
pub const JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(JSON).unwrap_or_default());
    &DOCUMENT
}

/// What a reference leads to; anything else is itself.
pub fn resolve(value: &Value) -> &Value {
    match value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document().pointer(pointer).unwrap_or(value),
        None => value,
    }
}
