//! `GET /hash/{md5|sha1|sha256|sha512}` (contract F6).

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use portcullis_core::auth::FileCaller;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::wire::result;

use crate::Results;
use crate::asked::{Window, asked};

/// The newest result for a content; only results under the rule of the `rule` header, if there is one.
/// Unknown: 200 and `Not Found` under the hash exactly as it was asked.
///
/// A result that is not the caller's looks the same as none: a hash must not tell what others submitted.
pub(crate) async fn by_hash(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = asked(path)?;
    let window = Window::read(&uri)?;
    let rule = body::header(&headers, "rule").filter(|rule| !rule.is_empty());
    let hex = asked.bytes().all(|b| b.is_ascii_hexdigit());
    let newest = if hex { results.hashes.newest(&asked, rule.as_deref()).await? } else { None };
    let not_found = || Json(result::not_found(&asked)).into_response();
    match newest {
        None => Ok(not_found()),
        Some(id) => match results.answer(&id, &asked, &caller, window).await {
            Err(error) if error.code() == ErrorCode::Forbidden => Ok(not_found()),
            answer => answer,
        },
    }
}
