//! Engines: listed, switched on and off, pinned and unpinned (contract §1.9; `GET /admin/engine` is ours).
//!
//! Scans follow within 5 s. What always holds: switching engines off never makes a file clean (one that no engine looked at is
//! `Not Scanned`, and a rule that requires an engine that is off ends files as `Failed`); what is pinned was copied before it
//! counts, so that nothing in the bucket can change it.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::engine::{CATALOGUE, EngineIdentity, HASH_REPUTATION, YARA_X};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::yara::InForce;
use portcullis_core::error::chain;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use portcullis_core::http::path::Named;
use portcullis_core::overrides::{EngineState, EngineStates, Pinned};
use portcullis_core::store::StoreError;
use portcullis_core::wire::engines;
use serde_json::{Value, json};

use crate::Admin;
use crate::config::{TRIES, not_modified};

/// Prefix of copies of pinned definitions.
const FOLDER: &str = "pinned/";
/// Keys that are removed in one call.
const KEYS: usize = 1000;

/// What the header `type` of pin and unpin names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Engine,
    Database,
    Both,
}

impl Part {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match body::header(headers, "type").as_deref() {
            None | Some("") => Ok(Self::Both),
            Some("engine") => Ok(Self::Engine),
            Some("database") => Ok(Self::Database),
            Some(other) => Err(bad(format!("The header `type` is `{other}`, neither `engine` nor `database`."))),
        }
    }

    /// The contract's words, for what was done.
    fn told(self, done: &str) -> String {
        match self {
            Self::Engine => format!("Engine is {done}"),
            Self::Database => format!("Database is {done}"),
            Self::Both => format!("Both engine and database are {done}"),
        }
    }
}

/// `GET /admin/engine`: what was decided about each engine.
pub(crate) async fn list(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::EnginesRead)?;
    let (states, _) = admin.settings.versioned::<EngineStates>(EngineStates::SETTING).await?;
    let states = states.unwrap_or_default();
    let published = admin.published().await?;
    let rows = engines::rows(&published, &states).map(|(engine, status)| {
        let state = states.of(engine);
        let mut row = json!({
            "eng_id": engine.id,
            "eng_name": engine.name,
            "engine_type": engine.kind,
            "eng_ver": status.version,
            "def_time": status.def_time,
            "active": status.active,
            "enabled": !state.disabled,
            "engine_pinned": state.engine_pinned,
            "database_pinned": state.database_pinned.is_some(),
            "issues": status.issues,
        });
        if let Some(pinned) = state.database_pinned {
            row["database_pinned_at"] = iso(pinned.at).into();
            if let Some(package) = pinned.package {
                row["package"] = package.version.into();
            }
        }
        row
    });
    Ok(Json(rows.collect()))
}

/// `POST /admin/engine/{engine_id}/enable`.
pub(crate) async fn enable(State(admin): State<Admin>, caller: Caller, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let (engine, change) = admin.asked(&caller, &id, "engine.enable").await?;
    admin.decide(engine, change, |state| state.disabled = false).await?;
    Ok(told("Engine is enabled"))
}

/// `POST /admin/engine/{engine_id}/disable`.
pub(crate) async fn disable(State(admin): State<Admin>, caller: Caller, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let (engine, change) = admin.asked(&caller, &id, "engine.disable").await?;
    if engine.kind != "av" {
        return Err(bad(format!("Engine `{}` can not be disabled: nothing would be known of what is in a file without it.", engine.name)));
    }
    admin.decide(engine, change, |state| state.disabled = true).await?;
    Ok(told("Engine is disabled"))
}

/// `POST /admin/engine/{engine_id}/pin`.
pub(crate) async fn pin(State(admin): State<Admin>, caller: Caller, headers: HeaderMap, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let (engine, change) = admin.asked(&caller, &id, "engine.pin").await?;
    let part = Part::of(&headers)?;
    let (states, _) = admin.settings.versioned::<EngineStates>(EngineStates::SETTING).await?;
    // What is pinned stays what it is.
    let is_new = part != Part::Engine && states.unwrap_or_default().of(engine).database_pinned.is_none();
    let copy = if is_new { Some(admin.copied(engine).await?) } else { None };
    let decided = admin.decide(engine, change, |state| {
        state.engine_pinned |= part != Part::Database;
        if part != Part::Engine && state.database_pinned.is_none() {
            state.database_pinned.clone_from(&copy);
        }
    });
    let result = decided.await;
    // Copies that nothing rests on: the change failed, or somebody else pinned meanwhile.
    if let Some(copy) = copy
        && result.as_ref().map_or(true, |(_, after)| after.database_pinned.as_ref() != Some(&copy))
    {
        admin.forget(&copy).await;
    }
    let (_, after) = result?;
    if part != Part::Engine && after.database_pinned.is_none() {
        return Err(ApiError::with_text(ErrorCode::Conflict, "The engine was unpinned meanwhile: try again."));
    }
    Ok(told(&part.told("pinned")))
}

/// `POST /admin/engine/{engine_id}/unpin`.
pub(crate) async fn unpin(State(admin): State<Admin>, caller: Caller, headers: HeaderMap, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let (engine, change) = admin.asked(&caller, &id, "engine.unpin").await?;
    let part = Part::of(&headers)?;
    let decided = admin.decide(engine, change, |state| {
        state.engine_pinned &= part == Part::Database;
        if part != Part::Engine {
            state.database_pinned = None;
        }
    });
    let (before, after) = decided.await?;
    if let (Some(copy), None) = (before.database_pinned, after.database_pinned) {
        admin.forget(&copy).await;
    }
    Ok(told(&part.told("unpinned")))
}

fn told(result: &str) -> Json<Value> {
    Json(json!({ "result": result }))
}

impl Admin {
    /// The engine of a path, for somebody who may change engines; the change is told without its states yet.
    async fn asked(&self, caller: &Caller, id: &str, action: &'static str) -> Result<(&'static EngineIdentity, Change), ApiError> {
        let by = caller.require(Right::EnginesWrite)?;
        let unknown = || ApiError::with_text(ErrorCode::NotFound, format!("There is no engine `{}`.", portcullis_core::domain::name::display(id)));
        let engine = CATALOGUE.iter().find(|engine| engine.id == id).ok_or_else(unknown)?;
        let published = self.published().await?;
        let is_there = engines::rows(&published, &EngineStates::default()).any(|(listed, _)| listed.id == engine.id);
        if !is_there {
            return Err(unknown());
        }
        Ok((engine, Change::event(by, action, format!("engine/{}", engine.id))))
    }

    /// Changes the state of one engine, whatever others do to the others. Answers the states before and after.
    async fn decide(&self, engine: &EngineIdentity, change: Change, how: impl Fn(&mut EngineState)) -> Result<(EngineState, EngineState), ApiError> {
        for _ in 0..TRIES {
            let (states, revision) = self.settings.versioned::<EngineStates>(EngineStates::SETTING).await.map_err(not_modified)?;
            let mut states = states.unwrap_or_default();
            let before = states.of(engine);
            let mut after = before.clone();
            how(&mut after);
            states.set(engine, after.clone());
            let change = Change::of(change.by.clone(), change.action, change.target.clone(), &before, &after);
            match self.settings.change(self.auth.audit(), change, EngineStates::SETTING, &states, Some(revision)).await {
                Ok(_) => return Ok((before, after)),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(not_modified(error)),
            }
        }
        Err(ApiError::with_text(ErrorCode::Conflict, "Others change engines at the same time: try again."))
    }

    /// Copies the definitions of an engine as they lie in the bucket now.
    pub(crate) async fn copied(&self, engine: &EngineIdentity) -> Result<Pinned, ApiError> {
        let own = [(YARA_X, "yara/"), (HASH_REPUTATION, "hashes/")];
        let mut pinned = Pinned { at: now_ms(), folder: String::new(), package: None };
        let Some((_, prefix)) = own.iter().find(|(known, _)| known.id == engine.id) else { return Ok(pinned) };
        pinned.folder = format!("{FOLDER}{}/{}/", engine.id, DataId::random());
        if engine.id == YARA_X.id {
            pinned.package = self.settings.versioned::<InForce>(InForce::SETTING).await?.0.unwrap_or_default().active;
        }
        for object in self.objects.list(&self.definitions_bucket, prefix).await? {
            if let Err(error) = self.objects.copy(&object, &format!("{}{}", pinned.folder, object.key)).await {
                self.forget(&pinned).await;
                return Err(match error {
                    StoreError::Conflict { .. } => ApiError::with_text(ErrorCode::Conflict, "The definitions change at the moment: try again."),
                    error => error.into(),
                });
            }
        }
        Ok(pinned)
    }

    /// Removes copies. What can not be removed costs its storage, and nothing else.
    pub(crate) async fn forget(&self, pinned: &Pinned) {
        if !pinned.folder.starts_with(FOLDER) {
            return;
        }
        let removed = async {
            let keys: Vec<String> = self.objects.list(&self.definitions_bucket, &pinned.folder).await?.into_iter().map(|object| object.key).collect();
            for keys in keys.chunks(KEYS) {
                self.objects.delete(&self.definitions_bucket, keys).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(folder = pinned.folder, error = %chain(&error), "copies of definitions could not be removed");
        }
    }
}
