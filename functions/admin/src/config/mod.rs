//! `GET` and `PUT /admin/config/…` (contract §1.7): one pair of handlers for every document of the table.
//!
//! What always holds: what is stored was validated field by field; a change and its entry in the audit log are one write; two
//! changes at the same time are both kept, or the later one is told. An answer's `ETag` is the revision; `If-Match` makes a
//! change depend on it. Running functions follow within 5 s (settings are cached for so long).

pub(crate) mod documents;
pub(crate) mod shape;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{bad, strict};
use portcullis_core::store::StoreError;
use serde_json::{Map, Value};

use self::documents::{DOCUMENTS, Document};
use crate::Admin;

/// Times a change is tried that meets others.
pub(crate) const TRIES: u32 = 5;

/// Adds the routes of all documents.
pub(crate) fn mount(router: Router<Admin>) -> Router<Admin> {
    DOCUMENTS.iter().fold(router, |router, document| {
        let read = move |State(admin): State<Admin>, caller: Caller| async move { read(&admin, &caller, document).await };
        let write = move |State(admin): State<Admin>, caller: Caller, headers: HeaderMap, body: Body| async move {
            write(&admin, &caller, document, &headers, body).await
        };
        router.route(document.path, get(read).put(write))
    })
}

async fn read(admin: &Admin, caller: &Caller, document: &Document) -> Result<Response, ApiError> {
    caller.require(document.read)?;
    let (stored, revision) = admin.settings.versioned::<Value>(document.setting).await?;
    Ok(answer(document.shown(&document.in_force(stored)), revision))
}

async fn write(admin: &Admin, caller: &Caller, document: &Document, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(document.write)?;
    let sent = object(body).await?;
    for _ in 0..TRIES {
        let (stored, revision) = admin.settings.versioned::<Value>(document.setting).await.map_err(not_modified)?;
        if_match(headers, revision)?;
        let before = document.in_force(stored);
        let after = document.changed(&before, &sent).map_err(bad)?;
        let change = Change::of(by.clone(), document.action, document.path, &document.shown(&before), &document.shown(&after));
        match admin.settings.change(admin.auth.audit(), change, document.setting, &after, Some(revision)).await {
            Ok(revision) => return Ok(answer(document.shown(&after), revision)),
            // Somebody was faster, perhaps with another part of the document: what was sent is put onto theirs.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(not_modified(error)),
        }
    }
    Err(ApiError::with_text(ErrorCode::Conflict, "Others change these settings at the same time: try again."))
}

/// A body that is one JSON object.
pub(crate) async fn object(body: Body) -> Result<Map<String, Value>, ApiError> {
    match strict(&body::bytes(body).await?).map_err(bad)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(bad("The body is no JSON object.")),
    }
}

/// The contract's word for a change that the store refused (§1.7).
pub(crate) fn not_modified(error: StoreError) -> ApiError {
    ApiError::caused(ErrorCode::NotModified, error)
}

fn answer(shown: Value, revision: u64) -> Response {
    let mut response = Json(shown).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether the revision is the one that the client knows, if it says which.
fn if_match(headers: &HeaderMap, revision: u64) -> Result<(), ApiError> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().map(str::trim).unwrap_or_default();
    if wanted == "*" || wanted.trim_start_matches("W/").trim_matches('"') == revision.to_string() {
        return Ok(());
    }
    Err(ErrorCode::ChangedMeanwhile.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_for_the_revision_that_was_read_and_no_other() {
        let check = |value: &str, revision| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, value.parse().unwrap());
            if_match(&headers, revision).is_ok()
        };
        assert!(if_match(&HeaderMap::new(), 7).is_ok());
        assert!(check("\"7\"", 7) && check("W/\"7\"", 7) && check("*", 7));
        assert!(!check("\"6\"", 7) && !check("", 7) && !check("\"77\"", 7));
    }
}
