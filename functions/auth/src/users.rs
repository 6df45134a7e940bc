//! Users (contract U1–U5, §5.4); their lock is released by `POST /admin/user/{id}/unlock` (ours).

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::user::FIELDS;
use portcullis_core::auth::accounts::{ATTEMPTS, SentUser, World};
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Authenticator, Caller};
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};
use portcullis_core::store::identity::{Refused, User};
use serde_json::{Value, json};

use crate::revision::{conflict, etag, expected, id_of, is_current, too_busy};

type Asked = Result<Path<String>, PathRejection>;

/// A user as it is shown: never with password or key.
fn shown(user: &User, revision: u64) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "email": user.email,
        "directory_id": user.directory_id,
        "roles": user.roles,
        "ui_settings": user.ui_settings,
        "enabled": user.enabled,
        "has_apikey": user.apikey_sha256.is_some(),
        "has_password": user.password_hash.is_some(),
        "version": revision,
    })
}

fn answer(user: &User, revision: u64) -> Response {
    (etag(revision), Json(shown(user, revision))).into_response()
}

/// There is no such user.
pub(crate) fn unknown(id: u64) -> ApiError {
    ApiError::with_text(ErrorCode::NotFound, format!("There is no user `{id}`."))
}

fn key_taken() -> ApiError {
    conflict("This key is another user's.")
}

fn name_taken(name: &str) -> ApiError {
    conflict(format!("A user `{name}` exists in this directory."))
}

/// `GET /admin/user`.
pub(crate) async fn list(State(auth): State<Authenticator>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::UsersRead)?;
    let users = auth.identity().users().await?;
    Ok(Json(users.iter().map(|(user, revision)| shown(user, *revision)).collect()))
}

/// `GET /admin/user/{id}`; `locked_until` tells of a lock that is in force.
pub(crate) async fn read(State(auth): State<Authenticator>, caller: Caller, path: Asked) -> Result<Response, ApiError> {
    caller.require(Right::UsersRead)?;
    let id = id_of(path)?;
    let (user, revision) = auth.identity().versioned(id).await?.ok_or_else(|| unknown(id))?;
    let failures = auth.identity().failures(id, now_ms()).await?;
    let mut answer = shown(&user, revision);
    answer["locked_until"] = json!(if failures.is_locked(now_ms()) { iso(failures.locked_until) } else { String::new() });
    Ok((etag(revision), Json(answer)).into_response())
}

/// `POST /admin/user`. Nobody gives roles with more rights than his own.
pub(crate) async fn create(State(auth): State<Authenticator>, caller: Caller, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let sent = SentUser::read(Fields::read(body, FIELDS).await?, None).await?;
    let name = sent.name.clone().ok_or_else(|| bad("`name` is missing."))?;
    if sent.roles.is_none() {
        return Err(bad("`roles` is missing."));
    }
    let mut blank = None;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let base = blank.clone().unwrap_or_else(|| User::local(0, name.clone()));
        let mut user = sent.applied(&base, &world, None)?;
        user.sessions_since = 0;
        world.covers(&caller, &user.roles)?;
        if user.id == 0 {
            // Ids are given out once, and only for a user that may be made.
            user.id = auth.identity().next_user_id().await?;
            blank = Some(User { id: user.id, ..base });
        }
        match auth.identity().add_user(auth.audit(), by.clone(), &user, Some(world.guard)).await? {
            None => return Ok(answer(&user, 1)),
            Some(Refused::Name) => return Err(name_taken(&user.name)),
            Some(Refused::Key) => return Err(key_taken()),
            Some(_) => {}
        }
    }
    Err(too_busy())
}

/// `PUT /admin/user/{id}`: what is sent is changed, the rest stays, whoever changed it meanwhile.
pub(crate) async fn update(
    State(auth): State<Authenticator>,
    caller: Caller,
    path: Asked,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let mut fields = Fields::read(body, FIELDS).await?;
    let expected = expected(&headers, &mut fields)?;
    let sent = SentUser::read(fields, Some(id)).await?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let (before, revision) = auth.identity().versioned(id).await?.ok_or_else(|| unknown(id))?;
        // Who could change somebody with more rights could make his password, and be him.
        world.covers(&caller, &before.roles)?;
        is_current(expected, revision)?;
        let own = caller.user().is_some_and(|user| user.id == id);
        let after = sent.applied(&before, &world, caller.session().filter(|_| own))?;
        world.covers(&caller, &after.roles)?;
        if after == before {
            return Ok(answer(&before, revision));
        }
        if world.is_administrator(&before) && !world.is_administrator(&after) {
            world.keeps_an_administrator(&auth, Some((id, Some(&after)))).await?;
        }
        let change =
            Change { by: by.clone(), action: "user.update", target: format!("user/{id}"), before: before.told(), after: after.told_changed(&before) };
        match auth.identity().update_user(auth.audit(), &change, (&before, revision), &after, world.guard).await? {
            None => return Ok(answer(&after, revision + 1)),
            Some(Refused::Name) => return Err(name_taken(&after.name)),
            Some(Refused::Key) => return Err(key_taken()),
            Some(_) => {}
        }
    }
    Err(too_busy())
}

/// `DELETE /admin/user/{id}`; a body is ignored (contract U4). His key and his sessions end with him, his results stay.
pub(crate) async fn delete(State(auth): State<Authenticator>, caller: Caller, path: Asked, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let expected = expected(&headers, &mut Fields::default())?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let (user, revision) = auth.identity().versioned(id).await?.ok_or_else(|| unknown(id))?;
        world.covers(&caller, &user.roles)?;
        is_current(expected, revision)?;
        if world.is_administrator(&user) {
            world.keeps_an_administrator(&auth, Some((id, None))).await?;
        }
        let change = Change { by: by.clone(), action: "user.delete", target: format!("user/{id}"), before: user.told(), after: Value::Null };
        if auth.identity().delete_user(auth.audit(), &change, (&user, revision), world.guard).await?.is_none() {
            return Ok(Json(json!({ "success": true })));
        }
    }
    Err(too_busy())
}

/// `POST /admin/user/{id}/unlock` (ours): who was locked out by failed logins is let in at once.
pub(crate) async fn unlock(State(auth): State<Authenticator>, caller: Caller, path: Asked) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let world = World::read(&auth).await?;
    let user = auth.identity().user(id).await?.ok_or_else(|| unknown(id))?;
    world.covers(&caller, &user.roles)?;
    auth.identity().release(auth.audit(), &Change::event(by, "user.unlock", format!("user/{id}")), id).await?;
    Ok(Json(json!({ "success": true })))
}
