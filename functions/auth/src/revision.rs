//! The revision a client bases a change on, ids in paths, and what conflicts are answered.

use axum::extract::{Path, rejection::PathRejection};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};

/// 409 with a text.
pub(crate) fn conflict(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::with_text(ErrorCode::Conflict, text)
}

/// Others change so much that no moment was found.
pub(crate) fn too_busy() -> ApiError {
    conflict("Users, roles or directories are being changed by others at this moment: try again.")
}

/// The id in the path; 404 for what is none.
pub(crate) fn id_of(path: Result<Path<String>, PathRejection>) -> Result<u64, ApiError> {
    let plain = |text: &String| !text.starts_with('+') && !text.starts_with('0');
    path.ok().map(|Path(text)| text).filter(plain).and_then(|text| text.parse().ok()).ok_or_else(|| ErrorCode::NotFound.into())
}

/// The revision that a change is based on, if the client says so: the field `version`, or the header `If-Match`.
pub(crate) fn expected(headers: &HeaderMap, fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    let field = fields.number("version", 0..=u64::MAX).map_err(bad)?;
    let Some(header) = headers.get(IF_MATCH) else { return Ok(field) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(field);
    }
    let number = text.trim_start_matches("W/").trim_matches('"').parse::<u64>().map_err(|_| bad("`If-Match` is not the `ETag` of an answer."))?;
    if field.is_some_and(|field| field != number) {
        return Err(bad("`version` and `If-Match` are two different revisions."));
    }
    Ok(Some(number))
}

/// 409 when the client's revision is not the one in force.
pub(crate) fn is_current(expected: Option<u64>, revision: u64) -> Result<(), ApiError> {
    match expected {
        Some(expected) if expected != revision => {
            Err(conflict(format!("This was changed by somebody else: its version is `{revision}` and no longer `{expected}`. Read it again.")))
        }
        _ => Ok(()),
    }
}

/// The header that tells a revision.
pub(crate) fn etag(revision: u64) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{revision}\""))]
}
