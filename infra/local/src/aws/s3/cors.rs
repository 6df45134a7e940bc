//! Forms from pages of other origins (CORS): what a bucket's configuration permits is told to the browser, which decides.
//!
//! Configurations are of `POST` only, what browsers' forms need; they are given at every start and not stored.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use s3s::Body;

/// Origins that may send forms, by bucket; `*` is any.
#[derive(Debug, Default)]
pub(super) struct Cors(RwLock<HashMap<String, Vec<String>>>);

impl Cors {
    pub(super) fn set(&self, bucket: &str, origins: Vec<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(bucket.to_owned(), origins);
    }

    /// What `Access-Control-Allow-Origin` says to this origin; `None`: nothing.
    pub(super) fn permits(&self, bucket: &str, origin: &HeaderValue) -> Option<HeaderValue> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let origins = known.get(bucket)?;
        if origins.iter().any(|one| one == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        origins.iter().any(|one| one.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// The answer to a browser that asks before it sends; `None`: it is no such question.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asked = request.headers();
        let (origin, method) = (asked.get(header::ORIGIN)?, asked.get(header::ACCESS_CONTROL_REQUEST_METHOD)?);
        if request.method() != Method::OPTIONS {
            return None;
        }
        let bucket = request.uri().path().trim_matches('/').split('/').next().unwrap_or_default();
        let permitted = self.permits(bucket, origin).filter(|_| method == "POST" && !asked.contains_key(header::ACCESS_CONTROL_REQUEST_HEADERS));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = if permitted.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
        if permitted.is_some() {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        }
        allow(response.headers_mut(), permitted);
        Some(response)
    }
}

/// Tells the browser that the page may see the answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
    }
}
