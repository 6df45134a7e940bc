//! User directories (contract Y1, §5.6): `GET`, `POST /admin/userdirectory`, `GET`, `PUT`, `DELETE /admin/userdirectory/{id}`.
//!
//! Those of the kind LOCAL work in full; the others are kept, and enabling one is 400 `Not supported`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::directory::kind_of;
use portcullis_core::auth::accounts::{ATTEMPTS, SentDirectory, World};
use portcullis_core::auth::directory::{Directories, Directory, MAX_DIRECTORIES};
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Authenticator, Caller};
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad, strict};
use portcullis_core::store::identity::{LOCAL_DIRECTORY_ID, User};
use serde_json::{Value, json};

use crate::revision::{conflict, etag, expected, id_of, is_current, too_busy};

type Asked = Result<Path<String>, PathRejection>;

/// A directory with the revision of all of them: they are one document.
fn shown(directory: &Directory, revision: u64) -> Value {
    let mut shown = directory.to_wire();
    shown["version"] = json!(revision);
    shown
}

fn answer(directory: &Directory, revision: u64) -> Response {
    (etag(revision), Json(shown(directory, revision))).into_response()
}

fn unknown(id: u64) -> ApiError {
    ApiError::with_text(ErrorCode::NotFound, format!("There is no directory `{id}`."))
}

/// `GET /admin/userdirectory`.
pub(crate) async fn list(State(auth): State<Authenticator>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::UsersRead)?;
    let (directories, revision) = auth.settings().versioned::<Directories>(Directories::NAME).await?;
    Ok(Json(directories.unwrap_or_default().directories.iter().map(|directory| shown(directory, revision)).collect()))
}

/// `GET /admin/userdirectory/{id}`.
pub(crate) async fn read(State(auth): State<Authenticator>, caller: Caller, path: Asked) -> Result<Response, ApiError> {
    caller.require(Right::UsersRead)?;
    let id = id_of(path)?;
    let (directories, revision) = auth.settings().versioned::<Directories>(Directories::NAME).await?;
    let directories = directories.unwrap_or_default();
    Ok(answer(directories.by_id(id).ok_or_else(|| unknown(id))?, revision))
}

/// `POST /admin/userdirectory`.
pub(crate) async fn create(State(auth): State<Authenticator>, caller: Caller, body: Body) -> Result<Response, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let sent = strict(&body::bytes(body).await?).map_err(bad)?;
    let kind = kind_of(&sent).map_err(bad)?.ok_or_else(|| bad("`type` is missing."))?;
    let mut fields = SentDirectory::fields(sent, String::new(), kind).map_err(bad)?;
    if fields.has("id") || fields.has("version") {
        return Err(bad("`id` and `version` are given by the server."));
    }
    let sent = SentDirectory::parse(&mut fields, kind).map_err(bad)?;
    let name = fields.required("name", sent.name.clone()).map_err(bad)?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let mut directories = world.directories.clone();
        if directories.by_name(&name).is_some() {
            return Err(conflict(format!("A directory `{name}` exists.")));
        }
        if directories.directories.len() >= MAX_DIRECTORIES {
            return Err(bad(format!("There are {MAX_DIRECTORIES} directories already.")));
        }
        let mut directory = Directory::new(directories.next, kind, name.clone());
        sent.applied(&mut directory);
        directories.next += 1;
        directories.directories.push(directory.clone());
        let change = Change::of(by.clone(), "directory.create", format!("directory/{}", directory.id), &(), &directory.told());
        if world.change(&auth, &change, (Directories::NAME, &directories, world.directories_revision)).await? {
            return Ok(answer(&directory, world.directories_revision + 1));
        }
    }
    Err(too_busy())
}

/// `PUT /admin/userdirectory/{id}`: what is sent is changed, the rest stays. Users of one that is disabled are out at once.
pub(crate) async fn update(
    State(auth): State<Authenticator>,
    caller: Caller,
    path: Asked,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let body = strict(&body::bytes(body).await?).map_err(bad)?;
    let told = kind_of(&body).map_err(bad)?;
    for _ in 0..ATTEMPTS {
        let mut world = World::read(&auth).await?;
        let before = world.directories.by_id(id).cloned().ok_or_else(|| unknown(id))?;
        if told.is_some_and(|told| told != before.kind) {
            return Err(bad("`type` can not be changed."));
        }
        let mut fields = SentDirectory::fields(body.clone(), String::new(), before.kind).map_err(bad)?;
        let expected = expected(&headers, &mut fields)?;
        if fields.number("id", 0..=u64::MAX).map_err(bad)?.is_some_and(|told| told != id) {
            return Err(bad("`id` can not be changed."));
        }
        let sent = SentDirectory::parse(&mut fields, before.kind).map_err(bad)?;
        if sent.name.as_ref().is_some_and(|name| *name != before.name) {
            return Err(bad("`name` can not be changed: users are known by it."));
        }
        is_current(expected, world.directories_revision)?;
        let mut after = before.clone();
        sent.applied(&mut after);
        if after == before {
            return Ok(answer(&before, world.directories_revision));
        }
        for known in world.directories.directories.iter_mut().filter(|known| known.id == id) {
            known.clone_from(&after);
        }
        // Its settings are about all of its users: who may not change them may not change it.
        for user in users_of(&auth, id).await? {
            world.covers(&caller, &user.roles)?;
        }
        if before.enabled && !after.enabled {
            world.keeps_an_administrator(&auth, None).await?;
        }
        let change = Change::of(by.clone(), "directory.update", format!("directory/{id}"), &before.told(), &after.told());
        if world.change(&auth, &change, (Directories::NAME, &world.directories, world.directories_revision)).await? {
            return Ok(answer(&after, world.directories_revision + 1));
        }
    }
    Err(too_busy())
}

/// `DELETE /admin/userdirectory/{id}`: 409 for LOCAL, and while it has users.
pub(crate) async fn delete(State(auth): State<Authenticator>, caller: Caller, path: Asked, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let id = id_of(path)?;
    let expected = expected(&headers, &mut Fields::default())?;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let before = world.directories.by_id(id).cloned().ok_or_else(|| unknown(id))?;
        if id == LOCAL_DIRECTORY_ID {
            return Err(conflict(format!("The directory `{}` can not be deleted.", before.name)));
        }
        is_current(expected, world.directories_revision)?;
        if let Some(user) = users_of(&auth, id).await?.first() {
            return Err(conflict(format!("The directory `{}` is in use: user `{}` belongs to it.", before.name, user.username())));
        }
        let mut directories = world.directories.clone();
        directories.directories.retain(|directory| directory.id != id);
        let change = Change::of(by.clone(), "directory.delete", format!("directory/{id}"), &before.told(), &());
        if world.change(&auth, &change, (Directories::NAME, &directories, world.directories_revision)).await? {
            return Ok(Json(json!({ "success": true })));
        }
    }
    Err(too_busy())
}

async fn users_of(auth: &Authenticator, directory: u64) -> Result<Vec<User>, ApiError> {
    let users = auth.identity().users().await?;
    Ok(users.into_iter().map(|(user, _)| user).filter(|user| user.directory_id == directory).collect())
}
