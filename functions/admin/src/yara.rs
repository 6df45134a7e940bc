//! YARA sources, generation and packages (contract Q1–Q3, §6.8, §9 U24; `/yara/rollback` is ours).
//!
//! What always holds: at most one generation runs, and which package is in force changes in one write.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::event::{Task, TaskRequest};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::name::display;
use portcullis_core::domain::yara::{Generation, InForce, PackageRef, Sources, Status};
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use portcullis_core::store::StoreError;
use serde_json::{Value, json};

use crate::Admin;

/// `GET /admin/config/yara/sources`.
pub(crate) async fn sources(State(admin): State<Admin>, caller: Caller) -> Result<Json<Sources>, ApiError> {
    caller.require(Right::EnginesRead)?;
    let (sources, _) = admin.settings.versioned(Sources::SETTING).await?;
    Ok(Json(sources.unwrap_or_else(|| Sources::default_of(&admin.definitions_bucket))))
}

/// Sources as a client sends them.
///
/// # Errors
/// One sentence that names the field.
pub(crate) fn sources_of(sent: Value, definitions_bucket: &str) -> Result<Sources, String> {
    // A list would do as a structure.
    let fields = sent.as_object().ok_or("The body is no JSON object.")?;
    if let Some((name, _)) = fields.iter().find(|(_, list)| list.as_array().is_some_and(|list| !list.iter().all(Value::is_object))) {
        return Err(format!("`{}` is no list of objects.", display(name)));
    }
    let sources: Sources = body::shape(sent)?;
    sources.validate(definitions_bucket)?;
    Ok(sources)
}

/// `PUT /admin/config/yara/sources`: replaces both lists.
pub(crate) async fn put_sources(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Sources>, ApiError> {
    let by = caller.require(Right::EnginesWrite)?;
    let sources = sources_of(body::json(body).await?, &admin.definitions_bucket).map_err(bad)?;
    let (before, revision) = admin.settings.versioned::<Sources>(Sources::SETTING).await?;
    let before = before.unwrap_or_else(|| Sources::default_of(&admin.definitions_bucket));
    admin.change(Change::of(by, "config.yara.write", Sources::SETTING, &before, &sources), Sources::SETTING, &sources, revision).await?;
    Ok(Json(sources))
}

/// `GET /yara/package`.
pub(crate) async fn package(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::EnginesRead)?;
    admin.shown().await
}

/// `PUT` and `POST /yara/generate`: starts a generation, unless one runs.
pub(crate) async fn generate(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::EnginesWrite)?;
    let (before, revision) = admin.generation().await?;
    if before.status != Status::InProgress {
        let run = DataId::random().to_string();
        let started = Generation { run: run.clone(), status: Status::InProgress, started_at: now_ms(), ..Generation::default() };
        let change = Change::of(by, "yara.generate", Generation::SETTING, &Value::Null, &json!({ "run": run.clone() }));
        match admin.settings.change(admin.auth.audit(), change, Generation::SETTING, &started, Some(revision)).await {
            Ok(revision) => {
                let message = serde_json::to_string(&TaskRequest { task: Task::GenerateRules { run } });
                let message = message.map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
                if let Err(error) = admin.scan_queue.send(message).await {
                    // Nobody will do it: it must not look as if somebody did.
                    admin.settings.replace(Generation::SETTING, &before, revision).await?;
                    return Err(error.into());
                }
            }
            // Somebody else was faster: theirs runs.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    admin.shown().await
}

/// `POST /yara/rollback` (ours): the package before is in force again, within a minute everywhere.
pub(crate) async fn rollback(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::EnginesWrite)?;
    let conflict = |text: &'static str| ApiError::with_text(ErrorCode::Conflict, text);
    if admin.generation().await?.0.status == Status::InProgress {
        return Err(conflict("A generation runs; wait for its end."));
    }
    let (in_force, revision) = admin.settings.versioned::<InForce>(InForce::SETTING).await?;
    let in_force = in_force.unwrap_or_default();
    let before = in_force.clone().rolled_back().ok_or_else(|| conflict("There is no package to go back to."))?;
    let change = Change::of(by, "yara.rollback", InForce::SETTING, &in_force.active, &before.active);
    match admin.settings.change(admin.auth.audit(), change, InForce::SETTING, &before, Some(revision)).await {
        Ok(_) => admin.shown().await,
        Err(StoreError::Conflict { .. }) => Err(conflict("Another package was put in force meanwhile.")),
        Err(error) => Err(error.into()),
    }
}

impl Admin {
    async fn generation(&self) -> Result<(Generation, u64), StoreError> {
        let (generation, revision) = self.settings.versioned::<Generation>(Generation::SETTING).await?;
        Ok((generation.unwrap_or_default().at(now_ms()), revision))
    }

    /// The generation status of the contract; `package` and `previous` are ours.
    async fn shown(&self) -> Result<Json<Value>, ApiError> {
        let (generation, _) = self.generation().await?;
        let in_force = self.settings.versioned::<InForce>(InForce::SETTING).await?.0.unwrap_or_default();
        let start_time = if generation.status == Status::InProgress { iso(generation.started_at) } else { String::new() };
        let mut shown = json!({ "status": generation.status, "start_time": start_time, "issues": generation.issues });
        if let Some(package) = &in_force.active {
            shown["package"] = reference(package);
        }
        if let Some(Some(previous)) = in_force.previous.first() {
            shown["previous"] = reference(previous);
        }
        Ok(Json(shown))
    }
}

fn reference(package: &PackageRef) -> Value {
    json!({ "version": package.version, "created": iso(package.created_at), "files": package.files, "rules": package.rules })
}
