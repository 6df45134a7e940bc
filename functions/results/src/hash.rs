//! `GET /hash/{md5|sha1|sha256|sha512}` and `POST /hash` for many at once (contract F6, F7).
//!
//! What always holds: a result that is not the caller's looks the same as none: a hash must not tell what others submitted.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use portcullis_core::auth::{Caller, FileCaller};
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Problem, bad, strict};
use portcullis_core::wire::result::{self, AnalysisResult};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::Results;
use crate::asked::{Window, asked};

/// The newest result for a content; only results under the rule of the `rule` header, if there is one.
/// Unknown: 200 and `Not Found` under the hash exactly as it was asked.
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
    Ok(match results.newest(&asked, rule.as_deref(), &caller, window).await? {
        Some(answer) => Json(answer).into_response(),
        None => Json(result::not_found(&asked)).into_response(),
    })
}

/// Hashes of one request, at most (contract F7).
const MOST: usize = 1000;
/// Hashes looked up side by side.
const AT_ONCE: usize = 16;
/// What an unknown hash is told as (contract F7).
const UNKNOWN: u8 = 5;

/// The newest results of many contents, in the order asked; with the header `include_scan_details: 1` what each engine said.
pub(crate) async fn by_hashes(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let detailed = match body::header(&headers, "include_scan_details").as_deref() {
        None | Some("" | "0") => false,
        Some("1") => true,
        Some(_) => return Err(bad("`include_scan_details` is neither 0 nor 1.")),
    };
    let hashes = hashes_of(&body::bytes(body).await?).map_err(bad)?;
    let window = Window { first: 0, size: 0 };
    let answers = stream::iter(hashes).map(|hash| {
        let (results, caller) = (&results, &caller);
        async move {
            let found = results.newest(&hash, None, caller, window).await?;
            let found = found.map(serde_json::to_value).transpose().map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
            let scan = found.as_ref().map(|found| &found["scan_results"]);
            let code = scan.map_or(json!(UNKNOWN), |scan| scan["scan_all_result_i"].clone());
            let mut answer = json!({ "hash": hash, "scan_result": code, "data_id": found.as_ref().map(|found| &found["data_id"]) });
            if let Some(scan) = scan.filter(|_| detailed) {
                answer["scan_details"] = scan["scan_details"].clone();
            }
            Ok::<_, ApiError>(answer)
        }
    });
    Ok(Json(answers.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into()))
}

/// The hashes of a body; the texts are the contract's as far as it has some.
fn hashes_of(bytes: &[u8]) -> Result<Vec<String>, Problem> {
    if serde_json::from_slice::<IgnoredAny>(bytes).is_err() {
        return Err("Could not parse body content.".into());
    }
    let mut sent = strict(bytes)?;
    let Some(fields) = sent.as_object_mut() else { return Err("Could not parse body content.".into()) };
    let hashes = match fields.remove("hash") {
        None | Some(Value::Null) => Vec::new(),
        Some(hashes) => serde_json::from_value::<Vec<String>>(hashes).map_err(|_| "`hash` is no list of texts.")?,
    };
    match hashes.len() {
        0 => Err("hashes in body content is null or empty".into()),
        1..=MOST => Ok(hashes),
        _ => Err(format!("Exceeded maximum allowed. Allow maximum {MOST} hashes")),
    }
}

impl Results {
    /// The newest result of a content that the caller may read.
    async fn newest(&self, hash: &str, rule: Option<&str>, caller: &Caller, window: Window) -> Result<Option<AnalysisResult>, ApiError> {
        let hex = hash.bytes().all(|b| b.is_ascii_hexdigit());
        let newest = if hex { self.hashes.newest(hash, rule).await? } else { None };
        let Some(id) = newest else { return Ok(None) };
        match self.result(&id, caller, window).await {
            Err(error) if error.code() == ErrorCode::Forbidden => Ok(None),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_hashes_are_answered_with_the_contracts_texts() {
        let many = json!({ "hash": vec!["00"; MOST + 1] }).to_string();
        for (body, problem) in [
            ("", "Could not parse body content."),
            ("[]", "Could not parse body content."),
            ("{}", "hashes in body content is null or empty"),
            (r#"{"hash":null}"#, "hashes in body content is null or empty"),
            (r#"{"hash":[]}"#, "hashes in body content is null or empty"),
            (r#"{"hash":[1]}"#, "`hash` is no list of texts."),
            (&many, "Exceeded maximum allowed. Allow maximum 1000 hashes"),
        ] {
            assert_eq!(hashes_of(body.as_bytes()), Err(problem.to_owned()), "{body:.40}");
        }
        assert_eq!(hashes_of(br#"{"hash":["a","b"]}"#), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }
}
