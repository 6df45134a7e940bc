//! Who is calling, as handlers ask for it: [`Caller`] and, for calls on files, [`FileCaller`] are axum extractors.
//!
//! What always holds: a key that is present and not good is an error, never "anonymous"; rights are asked of the caller, never
//! of his user.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use super::Authenticator;
use super::custom::Roles;
use super::roles::{Right, Rights};
use crate::domain::submission::Owner;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::origin::Origin;
use crate::store::identity::User;

/// Who did something, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user's id, if it is one.
    pub user_id: Option<u64>,
    /// `<directory>/<user>`, `anonymous`, `system`.
    pub name: String,
    /// From where.
    pub origin: Origin,
}

impl Actor {
    /// Portcullis itself: a schedule, a deployment.
    pub fn system() -> Self {
        Self { user_id: None, name: "system".into(), origin: Origin::default() }
    }

    /// Somebody who gave no key.
    pub fn anonymous(origin: Origin) -> Self {
        Self { user_id: None, name: "anonymous".into(), origin }
    }

    /// A user.
    pub fn user(user: &User, origin: Origin) -> Self {
        Self { user_id: Some(user.id), name: user.username(), origin }
    }
}

/// A user with what his roles come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The rights of all his roles.
    pub rights: Rights,
    /// Names of his roles.
    pub role_names: Vec<String>,
}

impl Account {
    /// What a user's roles come to. A role that nobody knows gives nothing.
    pub fn of(user: User, roles: &Roles) -> Self {
        let role_names = user.roles.iter().filter_map(|id| roles.find(id)).map(|role| role.name).collect();
        Self { rights: roles.rights(&user.roles), user, role_names }
    }
}

/// The caller of a request. As extractor: a key that is not good is 403 (contract §5.7); calls on files use [`FileCaller`].
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// `None`: no key was given.
    account: Option<Arc<Account>>,
    origin: Origin,
    /// Digest of the session's id, when it is a session.
    session: Option<String>,
}

/// The caller of a call on a file: a key that is not good is 400 (contract §5.7).
#[derive(Clone, Debug)]
pub struct FileCaller(pub Caller);

impl Caller {
    /// Somebody without a key.
    pub fn anonymous(origin: Origin) -> Self {
        Self { account: None, origin, session: None }
    }

    /// Somebody with a good key; `session`: its digest, when it is a session's.
    pub fn known(account: Arc<Account>, origin: Origin, session: Option<String>) -> Self {
        Self { account: Some(account), origin, session }
    }

    /// The user; `None` without a key.
    pub fn user(&self) -> Option<&User> {
        self.account.as_deref().map(|account| &account.user)
    }

    /// The user with his rights; `None` without a key.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    /// From where.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Digest of the session's id; `None` for a static key.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Whether a role of the caller gives the right.
    pub fn may(&self, right: Right) -> bool {
        self.account.as_ref().is_some_and(|account| account.rights.has(right))
    }

    /// The caller as owner of what he submits.
    pub fn owner(&self) -> Option<Owner> {
        self.user().map(|user| Owner { user_id: user.id, username: user.username() })
    }

    /// The caller as the audit log names him.
    pub fn actor(&self) -> Actor {
        match self.user() {
            Some(user) => Actor::user(user, self.origin.clone()),
            None => Actor::anonymous(self.origin.clone()),
        }
    }

    /// For administration: 403 without a key, 405 without the right (contract §5.7). Answers who he is, for the audit log.
    pub fn require(&self, right: Right) -> Result<Actor, ApiError> {
        match &self.account {
            None => Err(ErrorCode::Forbidden.into()),
            Some(account) if account.rights.has(right) => Ok(self.actor()),
            Some(_) => Err(ErrorCode::NoRights.into()),
        }
    }

    /// For calls that need any good key: 403 without one.
    pub fn require_key(&self) -> Result<&Account, ApiError> {
        self.account.as_deref().ok_or_else(|| ErrorCode::Forbidden.into())
    }

    /// For reading an item: open when it was submitted without a key, else for its owner and for roles that see all results.
    pub fn may_read(&self, owner: Option<&Owner>) -> Result<(), ApiError> {
        self.may_touch(owner, Right::ScanLogRead)
    }

    /// For changing an item (cancelling it, sending parts of it): as for reading, but roles that only look may not.
    pub fn may_change(&self, owner: Option<&Owner>) -> Result<(), ApiError> {
        self.may_touch(owner, Right::ScanLogWrite)
    }

    fn may_touch(&self, owner: Option<&Owner>, of_others: Right) -> Result<(), ApiError> {
        match (owner, self.user()) {
            (None, _) => Ok(()),
            (Some(owner), Some(user)) if user.id == owner.user_id || self.may(of_others) => Ok(()),
            _ => Err(ErrorCode::Forbidden.into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Authenticator::from_ref(state).caller(parts, ErrorCode::Forbidden).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FileCaller
where
    Authenticator: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Authenticator::from_ref(state).caller(parts, ErrorCode::BadKey).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin
where
    Authenticator: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Authenticator::from_ref(state).origin(parts))
    }
}
