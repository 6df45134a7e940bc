//! Roles (contract R1, R2, §5.5): the default ones are shown, those of one's own are made, changed and deleted.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::{ATTEMPTS, SentRole, World, has_all};
use portcullis_core::auth::custom::{CustomRole, MAX_ROLES, Role, Roles};
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Authenticator, Caller};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};
use serde_json::{Map, Value, json};

use crate::revision::{conflict, etag, expected, id_of, is_current, too_busy};

type Asked = Result<Path<String>, PathRejection>;

/// `id`, `editable` are read only: what was read can be sent back.
const FIELDS: &[&str] = &["id", "editable", "name", "display_name", "rights", "version"];

/// A role with the revision of all roles: they are one document.
fn shown(role: &Role, revision: u64) -> Value {
    let mut shown = role.to_wire();
    shown["version"] = json!(revision);
    shown
}

fn answer(role: &CustomRole, revision: u64) -> Response {
    (etag(revision), Json(shown(&Role::from(role), revision))).into_response()
}

fn unknown(id: u64) -> ApiError {
    ApiError::with_text(ErrorCode::NotFound, format!("There is no role `{id}`."))
}

/// `GET /admin/role`.
pub(crate) async fn list(State(auth): State<Authenticator>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::UsersRead)?;
    let (roles, revision) = auth.settings().versioned::<Roles>(Roles::NAME).await?;
    Ok(Json(roles.unwrap_or_default().all().map(|role| shown(&role, revision)).collect()))
}

/// `GET /admin/role/{id}`.
pub(crate) async fn read(State(auth): State<Authenticator>, caller: Caller, path: Asked) -> Result<Response, ApiError> {
    caller.require(Right::UsersRead)?;
    let id = id_of(path)?;
    let (roles, revision) = auth.settings().versioned::<Roles>(Roles::NAME).await?;
    let role = roles.unwrap_or_default().all().find(|role| role.id == id.to_string()).ok_or_else(|| unknown(id))?;
    Ok((etag(revision), Json(shown(&role, revision))).into_response())
}

/// `POST /admin/role`. Nobody makes a role with rights that he does not have.
pub(crate) async fn create(State(auth): State<Authenticator>, caller: Caller, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let mut fields = Fields::read(body, &["name", "display_name", "rights"]).await?;
    let sent = SentRole::parse(&mut fields).map_err(bad)?;
    let name = fields.required("name", sent.name.clone()).map_err(bad)?;
    let rights = fields.required("rights", sent.rights).map_err(bad)?;
    has_all(&caller, rights)?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let mut roles = world.roles.clone();
        if roles.all().any(|role| role.name == name) {
            return Err(conflict(format!("A role `{name}` exists.")));
        }
        if roles.roles.len() >= MAX_ROLES {
            return Err(bad(format!("There are {MAX_ROLES} roles already.")));
        }
        let mut role = CustomRole { id: roles.next, name: name.clone(), display_name: String::new(), rights: Map::new() };
        sent.applied(&mut role);
        roles.next += 1;
        roles.roles.push(role.clone());
        let change = Change::of(by.clone(), "role.create", format!("role/{}", role.id), &(), &role);
        if world.change(&auth, &change, (Roles::NAME, &roles, world.roles_revision)).await? {
            return Ok(answer(&role, world.roles_revision + 1));
        }
    }
    Err(too_busy())
}

/// `PUT /admin/role/{id}`: what is sent is changed, the rest stays.
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
    if fields.number("id", 0..=u64::MAX).map_err(bad)?.is_some_and(|told| told != id) {
        return Err(bad("`id` can not be changed."));
    }
    fields.bool("editable").map_err(bad)?;
    let sent = SentRole::parse(&mut fields).map_err(bad)?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let mut roles = world.roles.clone();
        let before = editable(&roles, id)?;
        has_all(&caller, Role::from(&before).rights)?;
        is_current(expected, world.roles_revision)?;
        if sent.name.as_ref().is_some_and(|name| roles.all().any(|other| other.name == *name && other.id != id.to_string())) {
            return Err(conflict(format!("A role `{}` exists.", sent.name.unwrap_or_default())));
        }
        if let Some(rights) = sent.rights {
            has_all(&caller, rights)?;
        }
        let mut role = before.clone();
        sent.applied(&mut role);
        if role == before {
            return Ok(answer(&role, world.roles_revision));
        }
        for known in roles.roles.iter_mut().filter(|known| known.id == id) {
            known.clone_from(&role);
        }
        let change = Change::of(by.clone(), "role.update", format!("role/{id}"), &before, &role);
        if world.change(&auth, &change, (Roles::NAME, &roles, world.roles_revision)).await? {
            return Ok(answer(&role, world.roles_revision + 1));
        }
    }
    Err(too_busy())
}

/// `DELETE /admin/role/{id}`: 409 while a user has it.
pub(crate) async fn delete(State(auth): State<Authenticator>, caller: Caller, path: Asked, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let expected = expected(&headers, &mut Fields::default())?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let mut roles = world.roles.clone();
        let before = editable(&roles, id)?;
        has_all(&caller, Role::from(&before).rights)?;
        is_current(expected, world.roles_revision)?;
        let users = auth.identity().users().await?;
        if let Some((user, _)) = users.iter().find(|(user, _)| user.roles.contains(&id.to_string())) {
            return Err(conflict(format!("The role `{}` is in use: user `{}` has it.", before.name, user.username())));
        }
        roles.roles.retain(|role| role.id != id);
        let change = Change::of(by.clone(), "role.delete", format!("role/{id}"), &before, &());
        if world.change(&auth, &change, (Roles::NAME, &roles, world.roles_revision)).await? {
            return Ok(Json(json!({ "success": true })));
        }
    }
    Err(too_busy())
}

/// A role of one's own; 409 for a default one.
fn editable(roles: &Roles, id: u64) -> Result<CustomRole, ApiError> {
    if let Some(role) = roles.roles.iter().find(|role| role.id == id) {
        return Ok(role.clone());
    }
    match roles.find(&id.to_string()) {
        Some(role) => Err(conflict(format!("The default role `{}` can not be changed or deleted.", role.name))),
        None => Err(unknown(id)),
    }
}
