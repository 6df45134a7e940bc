//! `GET` and `PUT /admin/config/webhook` (contract C8, §6.5).

use std::ops::RangeInclusive;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::webhook::WebhookSettings;
use serde_json::{Map, Value};

use crate::Admin;

/// The settings in force.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::ScanRead)?;
    Ok(Json(WebhookSettings::in_force(&admin.settings).await?.to_wire()))
}

/// Puts settings in force; what is not sent stays as it is. Answers all of them. Deliveries follow within seconds.
pub(crate) async fn write(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let sent = body::json(body).await?;
    let (in_force, revision) = admin.settings.versioned::<WebhookSettings>(WebhookSettings::NAME).await?;
    let in_force = in_force.unwrap_or_default();
    let settings = changed(&in_force, &sent).map_err(|problem| ApiError::with_text(ErrorCode::BadRequest, problem))?;
    let change = Change::of(by, "config.webhook.write", WebhookSettings::NAME, &in_force.to_wire(), &settings.to_wire());
    admin.change(change, WebhookSettings::NAME, &settings, revision).await?;
    Ok(Json(settings.to_wire()))
}

/// The settings with what was sent; a problem names its field.
fn changed(in_force: &WebhookSettings, sent: &Value) -> Result<WebhookSettings, String> {
    const FIELDS: [&str; 4] = ["maxretrytime", "delayduration", "deplayprogression", "delayprogression"];
    let fields = sent.as_object().ok_or("The body is no JSON object.")?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("There is no field `{unknown}`."));
    }
    let [retries, delay, misspelt, progression] = FIELDS;
    let (first, second) = (number(fields, misspelt, WebhookSettings::MILLISECONDS)?, number(fields, progression, WebhookSettings::MILLISECONDS)?);
    if first.zip(second).is_some_and(|(first, second)| first != second) {
        return Err(format!("`{misspelt}` and `{progression}` are the same setting and have two values."));
    }
    let WebhookSettings { maxretrytime, delayduration, delayprogression } = in_force.clone();
    Ok(WebhookSettings {
        maxretrytime: number(fields, retries, WebhookSettings::RETRIES)?.unwrap_or(maxretrytime),
        delayduration: number(fields, delay, WebhookSettings::MILLISECONDS)?.unwrap_or(delayduration),
        delayprogression: first.or(second).unwrap_or(delayprogression),
    })
}

fn number(fields: &Map<String, Value>, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, String> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let number = value.as_u64().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| format!("`{name}` is not a whole number from {} to {}.", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn either_spelling_is_taken_and_what_is_not_sent_stays() {
        let settings = changed(&WebhookSettings::default(), &json!({ "deplayprogression": 5 })).unwrap();
        assert_eq!(settings, WebhookSettings { delayprogression: 5, ..WebhookSettings::default() });
        let settings = changed(&settings, &json!({ "delayprogression": 6, "deplayprogression": 6, "maxretrytime": 0 })).unwrap();
        assert_eq!(settings, WebhookSettings { maxretrytime: 0, delayduration: 1000, delayprogression: 6 });
    }

    #[test]
    fn what_is_unknown_of_another_type_or_out_of_range_is_named() {
        for (body, names) in [
            (json!([]), "object"),
            (json!({ "maxretrytime": "3" }), "`maxretrytime`"),
            (json!({ "maxretrytime": 101 }), "`maxretrytime`"),
            (json!({ "delayduration": -1 }), "`delayduration`"),
            (json!({ "delayduration": 0.5 }), "`delayduration`"),
            (json!({ "delayduration": 3_600_001 }), "`delayduration`"),
            (json!({ "deplayprogression": null }), "`deplayprogression`"),
            (json!({ "delayprogression": 1, "deplayprogression": 2 }), "`delayprogression`"),
            (json!({ "delay": 1 }), "`delay`"),
        ] {
            let problem = changed(&WebhookSettings::default(), &body).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
