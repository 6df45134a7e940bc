//! Rules, limits and the start page.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use portcullis_core::auth::Caller;
use portcullis_core::http::body;
use portcullis_core::http::error::ApiError;
use portcullis_core::rules;
use serde_json::{Value, json};

use crate::Results;

/// `GET /file/rules` (contract F9).
pub(crate) async fn rules(State(results): State<Results>, caller: Caller, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let all = rules::in_force(&results.settings).await?;
    let agent = body::header(&headers, "user_agent").filter(|agent| !agent.is_empty());
    let shown: Vec<Value> = rules::visible(&all, agent.as_deref(), &caller)
        .iter()
        .map(|rule| json!({ "max_file_size": rule.max_file_size, "name": rule.name }))
        .collect();
    Ok(Json(json!(shown)))
}

/// `GET /limits` (ours): what each rule permits, so that nobody has to find out by being refused.
pub(crate) async fn limits(State(results): State<Results>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let all = rules::in_force(&results.settings).await?;
    let shown: Vec<Value> = rules::visible(&all, None, &caller)
        .iter()
        .map(|rule| {
            json!({
                "rule": rule.name, "max_file_size": rule.max_file_size, "anonymous": rule.anonymous,
                "timeout_seconds": rule.timeout_seconds, "extraction": rule.extraction,
            })
        })
        .collect();
    Ok(Json(json!({ "rules": shown })))
}

/// `GET /`: a page for people and a target for load balancers; the console takes its place.
pub(crate) async fn home() -> Html<&'static str> {
    Html(
        "<!doctype html><html lang=\"en\"><title>Portcullis</title><h1>Portcullis</h1><p>A file gate. The API speaks MetaDefender Core: <code>POST /file</code>, then <code>GET /file/{data_id}</code>.</p></html>",
    )
}
