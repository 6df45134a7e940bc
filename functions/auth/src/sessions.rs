//! Sessions of a user (ours): `GET` and `DELETE /admin/user/{id}/session`, `DELETE /admin/user/{id}/session/{session_id}`.
//!
//! A session is shown by the begin of its digest: enough to name it, useless as a key.

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::{ATTEMPTS, World};
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Authenticator, Caller};
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::identity::{Session, User};
use serde_json::{Value, json};

use crate::revision::{id_of, too_busy};
use crate::users::unknown;

/// Letters of a digest that name a session.
const SHOWN: usize = 16;

fn name_of(digest: &str) -> &str {
    digest.get(..SHOWN).unwrap_or(digest)
}

/// A user's sessions that are not over, by the settings in force.
async fn open(auth: &Authenticator, user: &User) -> Result<Vec<(String, Session)>, ApiError> {
    let (settings, now) = (auth.session_settings().await?, now_ms());
    let mut sessions = auth.identity().sessions(user.id).await?;
    sessions.retain(|(digest, session)| user.keeps(session, digest) && !settings.is_over(session, now));
    if !settings.allow_duplicate_session {
        let newest = auth.identity().newest_session(user.id).await?;
        sessions.retain(|(digest, _)| newest.as_ref() == Some(digest));
    }
    Ok(sessions)
}

/// The open sessions, newest first, at most a hundred.
pub(crate) async fn list(
    State(auth): State<Authenticator>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    caller.require(Right::UsersRead)?;
    let id = id_of(path)?;
    let user = auth.identity().user(id).await?.ok_or_else(|| unknown(id))?;
    let shown = open(&auth, &user).await?.into_iter().map(|(digest, session)| {
        json!({
            "id": name_of(&digest),
            "created_at": iso(session.created_at),
            "last_used": iso(session.last_used),
            "ip": session.ip.unwrap_or_default(),
            "current": caller.session() == Some(&digest),
        })
    });
    Ok(Json(shown.collect()))
}

/// Ends all sessions of a user, those that nobody listed too.
pub(crate) async fn end_all(
    State(auth): State<Authenticator>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let (before, revision) = auth.identity().versioned(id).await?.ok_or_else(|| unknown(id))?;
        world.covers(&caller, &before.roles)?;
        let after = User { sessions_since: now_ms(), kept_session: None, ..before.clone() };
        let change = Change::event(by.clone(), "user.sessions.end", format!("user/{id}"));
        if auth.identity().update_user(auth.audit(), &change, (&before, revision), &after, world.guard).await?.is_none() {
            return Ok(Json(json!({ "success": true })));
        }
    }
    Err(too_busy())
}

/// Ends one session.
pub(crate) async fn end(
    State(auth): State<Authenticator>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let Ok(Path((id, name))) = path else { return Err(ErrorCode::NotFound.into()) };
    let id = id_of(Ok(Path(id)))?;
    let world = World::read(&auth).await?;
    let user = auth.identity().user(id).await?.ok_or_else(|| unknown(id))?;
    world.covers(&caller, &user.roles)?;
    let found = open(&auth, &user).await?.into_iter().find(|(digest, _)| name_of(digest) == name);
    let (digest, session) = found.ok_or(ErrorCode::NotFound)?;
    // Told before it happens: what fails then is asked for again.
    auth.audit().note(&Change::event(by, "user.session.end", format!("user/{id}/session/{name}"))).await?;
    auth.identity().delete_session(&digest, &session).await?;
    Ok(Json(json!({ "success": true })))
}
