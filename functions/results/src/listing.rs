//! Rules and limits.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use portcullis_core::auth::Caller;
use portcullis_core::http::body;
use portcullis_core::http::error::ApiError;
use portcullis_core::rules;
use serde_json::{Value, json};

use crate::Results;

/// What an API body can have: Lambda takes 6 MB with everything around the file, which comes in base64.
const MAX_BODY_BYTES: u64 = 4_500_000;

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
    Ok(Json(json!({ "max_body_size": MAX_BODY_BYTES, "rules": shown })))
}
