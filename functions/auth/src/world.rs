//! What changes of users, roles and directories are judged by: all of it as it was at one moment, and a guard that the change is
//! written under. Whoever finds at writing that the moment has passed judges again.

use axum::extract::{Path, rejection::PathRejection};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};
use portcullis_core::audit::Change;
use portcullis_core::auth::custom::Roles;
use portcullis_core::auth::directory::Directories;
use portcullis_core::auth::roles::{ADMIN, Rights};
use portcullis_core::auth::{Authenticator, Caller};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{Guard, User};
use serde::Serialize;

/// Times a change is judged anew, at most.
pub(crate) const ATTEMPTS: usize = 12;

/// Roles and directories at one moment.
pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) roles: Roles,
    pub(crate) roles_revision: u64,
    pub(crate) directories: Directories,
    pub(crate) directories_revision: u64,
}

impl World {
    /// As it is now, past every cache.
    pub(crate) async fn read(auth: &Authenticator) -> Result<Self, ApiError> {
        // First: what is read after it may be newer, and then the guard tells.
        let guard = auth.identity().guard().await?;
        let (roles, roles_revision) = auth.settings().versioned::<Roles>(Roles::NAME).await?;
        let (directories, directories_revision) = auth.settings().versioned::<Directories>(Directories::NAME).await?;
        Ok(Self { guard, roles: roles.unwrap_or_default(), roles_revision, directories: directories.unwrap_or_default(), directories_revision })
    }

    /// Whether a user is an administrator who can get in.
    pub(crate) fn is_administrator(&self, user: &User) -> bool {
        let has_role = user.roles.iter().any(|role| role == ADMIN);
        let has_credentials = user.apikey_sha256.is_some() || user.password_hash.is_some();
        has_role && user.enabled && has_credentials && self.directories.lets_in(user.directory_id)
    }

    /// 409 unless there is an administrator who can get in, after one user became `after` or (`None`) is gone.
    pub(crate) async fn keeps_an_administrator(&self, auth: &Authenticator, changed: Option<(u64, Option<&User>)>) -> Result<(), ApiError> {
        let users = auth.identity().users().await?;
        let is_left = |user: &User| match changed {
            Some((id, after)) if id == user.id => after.is_some_and(|after| self.is_administrator(after)),
            _ => self.is_administrator(user),
        };
        if users.iter().any(|(user, _)| is_left(user)) { Ok(()) } else { Err(conflict("There would be no administrator left who can get in.")) }
    }

    /// 405 unless the caller has all rights that these roles come to.
    pub(crate) fn covers<'a>(&self, caller: &Caller, roles: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
        has_all(caller, self.roles.rights(roles))
    }

    /// Puts a document of roles or directories in force under the guard; `false`: the moment has passed.
    pub(crate) async fn change<T: Serialize>(
        &self,
        auth: &Authenticator,
        change: &Change,
        (name, value, revision): (&'static str, &T, u64),
    ) -> Result<bool, ApiError> {
        let write = auth.settings().write_at(name, value, revision)?;
        let result = auth.identity().change_guarded(auth.audit(), change, vec![write], self.guard).await;
        auth.settings().forget(name);
        match result {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// 405 unless the caller has all of these rights.
pub(crate) fn has_all(caller: &Caller, rights: Rights) -> Result<(), ApiError> {
    let own = caller.account().map_or(Rights::NONE, |account| account.rights);
    if own.covers(rights) { Ok(()) } else { Err(ErrorCode::NoRights.into()) }
}

/// 409 with a text.
pub(crate) fn conflict(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::with_text(ErrorCode::Conflict, text)
}

/// Others change so much that no moment was found.
pub(crate) fn too_busy() -> ApiError {
    conflict("Users, roles or directories are being changed by others at this moment: try again.")
}

/// The id in the path; 404 for what is none.
pub(crate) fn id_of(path: Result<Path<String>, PathRejection>) -> Result<u64, ApiError> {
    let plain = |text: &String| !text.starts_with('+') && !text.starts_with('0');
    path.ok().map(|Path(text)| text).filter(plain).and_then(|text| text.parse().ok()).ok_or_else(|| ErrorCode::NotFound.into())
}

/// The revision that a change is based on, if the client says so: the field `version`, or the header `If-Match`.
pub(crate) fn expected(headers: &HeaderMap, fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    let field = fields.number("version", 0..=u64::MAX).map_err(bad)?;
    let Some(header) = headers.get(IF_MATCH) else { return Ok(field) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(field);
    }
    let number = text.trim_start_matches("W/").trim_matches('"').parse::<u64>().map_err(|_| bad("`If-Match` is not the `ETag` of an answer."))?;
    if field.is_some_and(|field| field != number) {
        return Err(bad("`version` and `If-Match` are two different revisions."));
    }
    Ok(Some(number))
}

/// 409 when the client's revision is not the one in force.
pub(crate) fn is_current(expected: Option<u64>, revision: u64) -> Result<(), ApiError> {
    match expected {
        Some(expected) if expected != revision => {
            Err(conflict(format!("This was changed by somebody else: its version is `{revision}` and no longer `{expected}`. Read it again.")))
        }
        _ => Ok(()),
    }
}

/// The header that tells a revision.
pub(crate) fn etag(revision: u64) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{revision}\""))]
}
