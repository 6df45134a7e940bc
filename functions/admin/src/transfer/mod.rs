//! `GET /admin/export` and `POST /admin/import` (contract I1, §9 U31): everything that is configured, as one JSON document.
//!
//! What always holds: an import is read to its end before anything of it counts, and is then one transaction with its entry in
//! the audit log: all of it is in force, or nothing. Nobody imports what he could not change himself. Secrets leave only sealed.

mod accounts;
mod sealed;
mod sections;

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::has_all;
use portcullis_core::auth::custom::Roles;
use portcullis_core::auth::directory::Directories;
use portcullis_core::auth::roles::{Right, Rights};
use portcullis_core::auth::{Actor, Caller, password};
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::http::body::header;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use portcullis_core::overrides::{EngineStates, Pinned};
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{Refused, Replaced};
use serde_json::{Map, Value, json};

use self::accounts::{Accounts, Changed, Secrets, no_memory, password_of};
use self::sealed::Sealed;
use self::sections::{Changes, State, reading};
use crate::Admin;
use crate::config::{TRIES, not_modified, object};

/// Names what the document is.
const FORMAT: &str = "portcullis/1";
/// What it may have beside `config`; only looked at as far as told here.
const FIELDS: [&str; 5] = ["format", "created", "version", "config", "secrets"];
/// The header with the password of the secrets.
const HEADER: &str = "export-password";

/// `GET /admin/export`: for those who may read all of it. With the header [`HEADER`] it has the secrets as well, sealed, for
/// those who have every right.
pub(crate) async fn export(Shared(admin): Shared<Admin>, caller: Caller, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    for right in reading() {
        caller.require(right)?;
    }
    let password = password_of(header(&headers, HEADER))?;
    let state = State::read(&admin.settings, &admin.definitions_bucket).await?;
    let accounts = Accounts::read(&admin.auth).await?;
    let mut config = state.shown()?;
    accounts.show(&mut config);
    let mut exported = json!({ "format": FORMAT, "created": iso(now_ms()), "version": env!("CARGO_PKG_VERSION"), "config": config });
    if let Some(password) = password {
        has_all(&caller, Rights::ALL)?;
        let by = caller.require(Right::UsersWrite)?;
        let plain = serde_json::to_vec(&accounts.secrets()).map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
        let sealed = password::apart(move || sealed::seal(&password, &plain)).await?;
        exported["secrets"] = json!(sealed.ok_or_else(no_memory)?);
        admin.auth.audit().note(&Change::event(by, "config.export", "secrets")).await?;
    }
    Ok(Json(exported))
}

/// `POST /admin/import`: 200 when it is in force, 304 when it was already.
pub(crate) async fn import(Shared(admin): Shared<Admin>, caller: Caller, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let sent = object(body).await?;
    let config = config_of(&sent).map_err(bad)?;
    let secrets = secrets_of(sent.get("secrets"), password_of(header(&headers, HEADER))?).await?;
    let mut ids = BTreeMap::new();
    for _ in 0..TRIES {
        let accounts = Accounts::read(&admin.auth).await?;
        let state = State::read(&admin.settings, &admin.definitions_bucket).await?;
        let mut changes = state.compared(&config).map_err(bad)?;
        for right in &changes.rights {
            caller.require(*right)?;
        }
        let mut people = accounts.compared(&config, secrets.as_ref(), &caller)?;
        if changes.sections.is_empty() && people.is_empty() {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        admin.number(&mut people.users, &mut ids).await?;
        let (made, gone) = admin.repinned(&mut changes).await?;
        let result = admin.put(by.clone(), &changes, &people).await;
        // Of the copies those are removed that nothing rests on now.
        for copy in if matches!(result, Ok(None)) { &gone } else { &made } {
            admin.forget(copy).await;
        }
        match result {
            Ok(None) => return Ok(Json(json!({ "result": "Successfully imported" })).into_response()),
            Ok(Some(Refused::Key)) => return Err(ApiError::with_text(ErrorCode::Conflict, "`secrets`: a key in it is another user's.")),
            Ok(Some(_)) => {}
            Err(error) => return Err(not_modified(error)),
        }
    }
    Err(ApiError::with_text(ErrorCode::Conflict, "Others change settings at the same time: try again."))
}

/// The secrets of a file, opened. Left out, credentials stay as they are; but that they are not wanted has to be said.
async fn secrets_of(sealed: Option<&Value>, password: Option<String>) -> Result<Option<Secrets>, ApiError> {
    let Some(sealed) = sealed else { return Ok(None) };
    let sealed: Sealed = serde_json::from_value(sealed.clone()).map_err(|e| bad(format!("`secrets`: {e}.")))?;
    let Some(password) = password else {
        return Err(bad(format!("`secrets` needs its password in the header `{HEADER}`; without `secrets`, credentials stay as they are.")));
    };
    let opened = password::apart(move || sealed::open(&password, &sealed)).await?;
    let plain = opened.ok_or_else(|| bad(format!("`secrets` does not open with this `{HEADER}`.")))?;
    Secrets::parse(&plain).map(Some).map_err(bad)
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
        return Err("`config` has no section: `rules`, `settings`, `engines`, `yara_sources`, `roles`, `directories` or `users`.".into());
    }
    Ok(config.clone())
}

impl Admin {
    /// Gives ids to users who are new: to each the same, however often it is tried.
    async fn number(&self, users: &mut [Replaced], ids: &mut BTreeMap<String, u64>) -> Result<(), ApiError> {
        for replaced in users.iter_mut().filter(|replaced| replaced.before.is_none()) {
            let username = replaced.after.username();
            let id = match ids.get(&username) {
                Some(id) => *id,
                None => self.auth.identity().next_user_id().await?,
            };
            ids.insert(username, id);
            replaced.after.id = id;
        }
        Ok(())
    }

    /// All of it in one transaction with its entry in the audit log; what was in the way, if anything was.
    async fn put(&self, by: Actor, changes: &Changes, people: &Changed) -> Result<Option<Refused>, StoreError> {
        let mut sections: Vec<&str> = changes.sections.iter().map(String::as_str).collect();
        let mut told: Map<String, Value> = changes.documents.iter().map(|(name, value, _)| ((*name).to_owned(), value.clone())).collect();
        let mut writes =
            changes.documents.iter().map(|(name, value, revision)| self.settings.write_at(name, value, *revision)).collect::<Result<Vec<_>, _>>()?;
        let world = &people.world;
        if people.roles {
            writes.push(self.settings.write_at(Roles::NAME, &world.roles, world.roles_revision)?);
        }
        if people.directories {
            writes.push(self.settings.write_at(Directories::NAME, &world.directories, world.directories_revision)?);
        }
        if !people.is_empty() {
            sections.push("accounts");
            told.insert("accounts".into(), people.told());
        }
        let guard = (!people.is_empty()).then_some(world.guard);
        let change = Change::of(by, "config.import", "config", &Value::Null, &json!({ "sections": sections, "documents": told }));
        let result = self.auth.identity().change_many(self.auth.audit(), &change, writes, &people.users, guard).await;
        for name in changes.documents.iter().map(|(name, ..)| *name).chain([Roles::NAME, Directories::NAME]) {
            self.settings.forget(name);
            self.auth.settings().forget(name);
        }
        result
    }

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
            (json!({ "config": {} }), "`config` has no section"),
            (json!({ "config": { "rules": [] }, "format": "portcullis/2" }), "`format`"),
            (json!({ "config": { "rules": [] }, "users": [] }), "`users`"),
            (json!({ "config": { "rules": [] }, "created": 7 }), "`created`"),
        ] {
            let problem = read(body).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
