//! `GET` and `PUT /admin/config/scan` (contract C9, §6.6).

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::intake::ScanSettings;
use serde_json::Value;

use crate::Admin;

/// The settings in force.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<ScanSettings>, ApiError> {
    caller.require(Right::ScanRead)?;
    Ok(Json(ScanSettings::in_force(&admin.settings).await?))
}

/// Puts settings in force; answers them. Running functions follow within seconds.
pub(crate) async fn write(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<ScanSettings>, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let settings = parse(&body::json(body).await?).map_err(|problem| ApiError::with_text(ErrorCode::BadRequest, problem))?;
    let (before, revision) = admin.settings.versioned::<ScanSettings>(ScanSettings::NAME).await?;
    let change = Change::of(by, "config.scan.write", ScanSettings::NAME, &before.unwrap_or_default(), &settings);
    admin.change(change, ScanSettings::NAME, &settings, revision).await?;
    Ok(Json(settings))
}

/// Reads a body; a problem names its field.
fn parse(sent: &Value) -> Result<ScanSettings, String> {
    const FIELD: &str = "max_queue_per_agent";
    let fields = sent.as_object().ok_or("The body is no JSON object.")?;
    if let Some(unknown) = fields.keys().find(|name| *name != FIELD) {
        return Err(format!("There is no field `{unknown}`."));
    }
    let number = fields.get(FIELD).and_then(Value::as_u64).filter(|number| ScanSettings::RANGE.contains(number));
    let range = ScanSettings::RANGE;
    let max_queue_per_agent = number.ok_or_else(|| format!("`{FIELD}` is not a whole number from {} to {}.", range.start(), range.end()))?;
    Ok(ScanSettings { max_queue_per_agent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_and_within_its_range_is_taken_and_problems_name_the_field() {
        use serde_json::json;
        assert_eq!(parse(&json!({ "max_queue_per_agent": 700 })), Ok(ScanSettings { max_queue_per_agent: 700 }));
        for (body, names) in [
            (json!([]), "object"),
            (json!({}), "`max_queue_per_agent`"),
            (json!({ "max_queue_per_agent": 0 }), "`max_queue_per_agent`"),
            (json!({ "max_queue_per_agent": -1 }), "`max_queue_per_agent`"),
            (json!({ "max_queue_per_agent": "700" }), "`max_queue_per_agent`"),
            (json!({ "max_queue_per_agent": 1_000_001 }), "`max_queue_per_agent`"),
            (json!({ "max_queue_per_agent": 7, "max_queue": 7 }), "`max_queue`"),
        ] {
            let problem = parse(&body).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
