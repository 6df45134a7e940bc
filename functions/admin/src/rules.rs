//! `GET` and `PUT /admin/config/rules` (ours): the rules as one document with a version.
//!
//! What always holds: all rules of a body are put in force, or none; a body that is based on an older version than the
//! one in force changes nothing.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::domain::rule::Rule;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use serde_json::{Value, json};

use crate::Admin;

/// The rules in force; version 0: nobody configured any, and these are the defaults.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::RuleRead)?;
    let (rules, version) = rules::versioned(&admin.settings).await?;
    Ok(shown(&rules, version))
}

/// Replaces all rules; answers them with their new version. In force everywhere within seconds.
pub(crate) async fn write(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::RuleWrite)?;
    let (rules, version) = parse(&body::json(body).await?).map_err(|problem| ApiError::with_text(ErrorCode::BadRequest, problem))?;
    let before = rules::versioned(&admin.settings).await.map(|(before, _)| before).unwrap_or_default();
    let change = Change::of(by, "config.rules.write", rules::SETTING, &before, &rules);
    match admin.settings.change(admin.auth.audit(), change, rules::SETTING, &rules, Some(version)).await {
        Ok(version) => Ok(shown(&rules, version)),
        Err(StoreError::Conflict { .. }) => {
            let text = format!("The rules were changed after version `{version}`: read them again.");
            Err(ApiError::with_text(ErrorCode::Conflict, text))
        }
        Err(error) => Err(error.into()),
    }
}

fn shown(rules: &[Rule], version: u64) -> Json<Value> {
    Json(json!({ "version": version, "rules": rules }))
}

fn parse(sent: &Value) -> Result<(Vec<Rule>, u64), String> {
    let fields = sent.as_object().ok_or("The body is no JSON object.")?;
    if let Some(unknown) = fields.keys().find(|name| !["version", "rules"].contains(&name.as_str())) {
        return Err(format!("There is no field `{unknown}`."));
    }
    let version = fields.get("version").and_then(Value::as_u64).ok_or("`version` is not the whole number that was read with the rules.")?;
    let rules = fields.get("rules").and_then(Value::as_array).ok_or("`rules` is no array.")?;
    Ok((rules::parse(rules)?, version))
}
