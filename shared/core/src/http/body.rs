//! Reading bodies and parameters. The request's `Content-Type` can not be trusted (contract §0.2): JSON is
//! parsed as JSON whatever the type says.

use axum::body::Body;
use axum::http::{HeaderMap, Uri};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::{ApiError, ErrorCode};
use super::fields;

/// Extension of requests: their host hands bodies over as they come, so a body's length need not be announced.
#[derive(Clone, Copy, Debug)]
pub struct AnyLength;

/// Why a body ends early: the server stops. The client may come again at once.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server stops")]
pub struct CutOff;

/// Largest JSON body, in bytes.
const JSON_LIMIT: usize = 1024 * 1024;

/// Reads a body of at most 1 MiB.
pub async fn bytes(body: Body) -> Result<bytes::Bytes, ApiError> {
    let collected = http_body_util::Limited::new(body, JSON_LIMIT).collect().await;
    let collected = collected.map_err(|_| ApiError::with_text(ErrorCode::BadRequest, "The body could not be read or is larger than 1 MiB."))?;
    Ok(collected.to_bytes())
}

/// Reads a JSON object of at most 1 MiB in which no name stands twice. The error names the problem, not the content.
pub async fn json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let sent = fields::strict(&bytes(body).await?).map_err(fields::bad)?;
    // A list would do as a structure.
    if !sent.is_object() {
        return Err(fields::bad("The body is no JSON object."));
    }
    shape(sent).map_err(fields::bad)
}

/// A JSON value as the structure it should be.
///
/// # Errors
/// One sentence that names the field.
pub fn shape<T: DeserializeOwned>(sent: serde_json::Value) -> Result<T, String> {
    serde_path_to_error::deserialize(sent).map_err(|e| {
        let (path, problem) = (e.path().to_string(), e.inner());
        if path == "." { format!("The JSON body has the wrong shape: {problem}.") } else { format!("`{path}`: {problem}.") }
    })
}

/// A query parameter, percent-decoded, `+` as a blank.
pub fn query(uri: &Uri, name: &str) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| crate::domain::name::decode_header(value.replace('+', " ").as_bytes()))
    })
}

/// A header, decoded leniently (contract §0.2). `None` when absent; blank counts as present and empty.
pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| crate::domain::name::decode_header(value.as_bytes()))
}
