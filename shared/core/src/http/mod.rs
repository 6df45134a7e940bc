//! What the HTTP functions share: the route table, the error type, and the layers around every router.

pub mod body;
pub mod error;
pub mod fields;
pub mod origin;
pub mod path;
pub mod routes;

use std::any::Any;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use tower_http::catch_panic::CatchPanicLayer;

use error::{ApiError, ErrorCode};
use routes::{Function, LEGACY_PREFIX};

/// Wraps the handlers of one function: 501 for its routes of later work, the legacy prefix, JSON
/// answers for unknown paths and verbs, panics as 500, one log line per request.
pub fn service(function: Function, handlers: Router) -> Router {
    let mut routes = handlers;
    for route in routes::of(function).filter(|route| !route.ready) {
        if let Some(filter) = Method::from_bytes(route.method.as_bytes()).ok().and_then(|m| MethodFilter::try_from(m).ok()) {
            routes = routes.route(route.path, on(filter, not_implemented));
        }
    }
    let routes = routes.method_not_allowed_fallback(unknown);
    Router::new()
        .nest(LEGACY_PREFIX, routes.clone())
        .merge(routes)
        .fallback(unknown)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log))
}

async fn not_implemented() -> ApiError {
    ErrorCode::NotImplemented.into()
}

/// 405 with `Allow` when another verb of this path exists (in any function), else 404.
async fn unknown(uri: Uri) -> Response {
    let verbs = routes::verbs_of(uri.path());
    if verbs.is_empty() {
        return ApiError::from(ErrorCode::NotFound).into_response();
    }
    let mut response = ApiError::from(ErrorCode::MethodNotAllowed).into_response();
    if let Ok(value) = HeaderValue::from_str(&verbs.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

#[allow(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("of unknown type"), "handler panicked");
    ApiError::from(ErrorCode::Internal).into_response()
}

/// One line per request: what, outcome, time. Never headers, query or body (they hold keys and content).
async fn log(request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    // Verdicts change with time and belong to one caller.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if response.status() >= StatusCode::INTERNAL_SERVER_ERROR && response.status() != StatusCode::NOT_IMPLEMENTED {
        tracing::warn!(%method, path, status = response.status().as_u16(), millis, "request");
    } else {
        tracing::debug!(%method, path, status = response.status().as_u16(), millis, "request");
    }
    response
}
