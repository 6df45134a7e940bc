//! What changes of users, roles and directories are judged by: all of it as it was at one moment, and a guard that the change is
//! written under. Whoever finds at writing that the moment has passed judges again.

use serde::Serialize;

use crate::audit::Change;
use crate::auth::custom::Roles;
use crate::auth::directory::Directories;
use crate::auth::roles::{ADMIN, Rights};
use crate::auth::{Authenticator, Caller};
use crate::http::error::{ApiError, ErrorCode};
use crate::store::StoreError;
use crate::store::identity::{Guard, User};

/// Times a change is judged anew, at most.
pub const ATTEMPTS: usize = 12;

/// Roles and directories at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// What it was read under.
    pub guard: Guard,
    /// The roles.
    pub roles: Roles,
    /// Their revision.
    pub roles_revision: u64,
    /// The directories.
    pub directories: Directories,
    /// Their revision.
    pub directories_revision: u64,
}

impl World {
    /// As it is now, past every cache.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(auth: &Authenticator) -> Result<Self, ApiError> {
        // First: what is read after it may be newer, and then the guard tells.
        let guard = auth.identity().guard().await?;
        let (roles, roles_revision) = auth.settings().versioned::<Roles>(Roles::NAME).await?;
        let (directories, directories_revision) = auth.settings().versioned::<Directories>(Directories::NAME).await?;
        Ok(Self { guard, roles: roles.unwrap_or_default(), roles_revision, directories: directories.unwrap_or_default(), directories_revision })
    }

    /// Whether a user is an administrator who can get in.
    pub fn is_administrator(&self, user: &User) -> bool {
        let has_role = user.roles.iter().any(|role| role == ADMIN);
        let has_credentials = user.apikey_sha256.is_some() || user.password_hash.is_some();
        has_role && user.enabled && has_credentials && self.directories.lets_in(user.directory_id)
    }

    /// 409 unless one of these users is an administrator who can get in.
    ///
    /// # Errors
    /// 409.
    pub fn has_administrator<'a>(&self, users: impl IntoIterator<Item = &'a User>) -> Result<(), ApiError> {
        let text = "There would be no administrator left who can get in.";
        let left = users.into_iter().any(|user| self.is_administrator(user));
        if left { Ok(()) } else { Err(ApiError::with_text(ErrorCode::Conflict, text)) }
    }

    /// 409 unless there is an administrator who can get in, after one user became `after` or (`None`) is gone.
    ///
    /// # Errors
    /// 409, or the store's.
    pub async fn keeps_an_administrator(&self, auth: &Authenticator, changed: Option<(u64, Option<&User>)>) -> Result<(), ApiError> {
        let users = auth.identity().users().await?;
        let left = users.iter().filter_map(|(user, _)| match changed {
            Some((id, after)) if id == user.id => after,
            _ => Some(user),
        });
        self.has_administrator(left)
    }

    /// Nobody gives, or acts on, more than he may himself.
    ///
    /// # Errors
    /// 405 unless the caller has all rights that these roles come to.
    pub fn covers<'a>(&self, caller: &Caller, roles: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
        has_all(caller, self.roles.rights(roles))
    }

    /// Puts a document of roles or directories in force under the guard; `false`: the moment has passed.
    ///
    /// # Errors
    /// The store's.
    pub async fn change<T: Serialize>(
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

/// Nobody gives more than he may himself.
///
/// # Errors
/// 405 unless the caller has all of these rights.
pub fn has_all(caller: &Caller, rights: Rights) -> Result<(), ApiError> {
    let own = caller.account().map_or(Rights::NONE, |account| account.rights);
    if own.covers(rights) { Ok(()) } else { Err(ErrorCode::NoRights.into()) }
}
