//! `GET /openapi.json` and `GET /docs` (ours): the API described, for machines and for people.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{Html, IntoResponse, Response};

/// It changes with a deployment only.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The document.
pub(crate) async fn document() -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, CACHE)], portcullis_openapi::JSON).into_response()
}

/// The page. It needs no script, and its policy permits none.
pub(crate) async fn page() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(portcullis_openapi::page);
    static POLICY: LazyLock<String> = LazyLock::new(portcullis_openapi::policy);
    let headers = [(CONTENT_SECURITY_POLICY, POLICY.as_str()), (REFERRER_POLICY, "no-referrer"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, Html(PAGE.as_str())).into_response()
}
