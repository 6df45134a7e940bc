//! `GET /admin/export` and `POST /admin/import` (contract I1, §9 U31): everything that is configured, as one JSON document.
//!
//! What always holds: an import is read to its end before anything of it counts, and is then one transaction with its entry in
//! the audit log: all of it is in force, or nothing. Nobody imports what he could not change himself.

mod sections;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use portcullis_core::overrides::{EngineStates, Pinned};
use portcullis_core::store::StoreError;
use serde_json::{Map, Value, json};

use self::sections::{Changes, State, reading};
use crate::Admin;
use crate::config::{TRIES, not_modified, object};

/// Names what the document is.
const FORMAT: &str = "portcullis/1";
/// What it may have beside `config`; only looked at as far as told here.
const FIELDS: [&str; 4] = ["format", "created", "version", "config"];

/// `GET /admin/export`: for those who may read all of it.
pub(crate) async fn export(Shared(admin): Shared<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    for right in reading() {
        caller.require(right)?;
    }
    let state = State::read(&admin.settings, &admin.definitions_bucket).await?;
    Ok(Json(json!({ "format": FORMAT, "created": iso(now_ms()), "version": env!("CARGO_PKG_VERSION"), "config": state.shown()? })))
}

/// `POST /admin/import`: 200 when it is in force, 304 when it was already.
pub(crate) async fn import(Shared(admin): Shared<Admin>, caller: Caller, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let config = config_of(&object(body).await?).map_err(bad)?;
    for _ in 0..TRIES {
        let state = State::read(&admin.settings, &admin.definitions_bucket).await?;
        let mut changes = state.compared(&config).map_err(bad)?;
        for right in &changes.rights {
            caller.require(*right)?;
        }
        if changes.sections.is_empty() {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        let (made, gone) = admin.repinned(&mut changes).await?;
        let sections: Vec<_> = changes.sections.iter().collect();
        let change = Change::of(by.clone(), "config.import", "config", &Value::Null, &json!({ "sections": sections, "documents": told(&changes) }));
        let result = admin.settings.change_all(admin.auth.audit(), &change, &changes.documents).await;
        // Of the copies those are removed that nothing rests on now.
        for copy in if result.is_ok() { &gone } else { &made } {
            admin.forget(copy).await;
        }
        match result {
            Ok(()) => return Ok(Json(json!({ "result": "Successfully imported" })).into_response()),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(not_modified(error)),
        }
    }
    Err(ApiError::with_text(ErrorCode::Conflict, "Others change settings at the same time: try again."))
}

/// The section `config` of a body.
fn config_of(sent: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    if let Some(unknown) = sent.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("There is no field `{}`.", portcullis_core::domain::name::display(unknown)));
    }
    if sent.get("format").is_some_and(|format| format != FORMAT) {
        return Err(format!("`format` is not `{FORMAT}`."));
    }
    if let Some(name) = ["created", "version"].into_iter().find(|name| sent.get(*name).is_some_and(|value| !value.is_string())) {
        return Err(format!("`{name}` is no text."));
    }
    let config = sent.get("config").ok_or("`config` is missing.")?.as_object().ok_or("`config` is no object.")?;
    if config.is_empty() {
        return Err("`config` has none of `rules`, `settings`, `engines`, `yara_sources`.".into());
    }
    Ok(config.clone())
}

/// What changes, for the audit log: there are no secrets in these settings.
fn told(changes: &Changes) -> Value {
    changes.documents.iter().map(|(name, value, _)| ((*name).to_owned(), value.clone())).collect()
}

impl Admin {
    /// Copies databases that are to be pinned, and notes it in the changes. Answers the copies that were made, and those that
    /// nothing rests on once the change is in force.
    async fn repinned(&self, changes: &mut Changes) -> Result<(Vec<Pinned>, Vec<Pinned>), ApiError> {
        let (mut made, mut gone) = (Vec::new(), Vec::new());
        let Some((_, document, _)) = changes.documents.iter_mut().find(|(name, ..)| *name == EngineStates::SETTING) else {
            return Ok((made, gone));
        };
        let mut states: EngineStates = serde_json::from_value(document.clone()).map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
        for (id, pinned) in &changes.pins {
            let Some(engine) = CATALOGUE.iter().find(|engine| engine.id == *id) else { continue };
            let mut state = states.of(engine);
            if *pinned {
                match self.copied(engine).await {
                    Ok(copy) => {
                        made.push(copy.clone());
                        state.database_pinned = Some(copy);
                    }
                    Err(error) => {
                        for copy in &made {
                            self.forget(copy).await;
                        }
                        return Err(error);
                    }
                }
            } else {
                gone.extend(state.database_pinned.take());
            }
            states.set(engine, state);
        }
        *document = json!(states);
        Ok((made, gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_export_is_read() {
        let read = |body: Value| config_of(body.as_object().unwrap());
        assert!(read(json!({ "config": { "rules": [] } })).is_ok(), "clients send the section alone");
        for (body, names) in [
            (json!({}), "`config` is missing"),
            (json!({ "config": [] }), "`config` is no object"),
            (json!({ "config": {} }), "`config` has none of"),
            (json!({ "config": { "rules": [] }, "format": "portcullis/2" }), "`format`"),
            (json!({ "config": { "rules": [] }, "users": [] }), "`users`"),
            (json!({ "config": { "rules": [] }, "created": 7 }), "`created`"),
        ] {
            let problem = read(body).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
