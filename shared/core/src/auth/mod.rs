//! Who is calling, and what may they do.
//!
//! A key is a session id or a user's static key, in the header `apikey`, else in the query (contract
//! §0.2). What always holds: a key that is present and not good is an error, never "anonymous".

pub mod password;
pub mod roles;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::config::Reader;
use crate::domain::submission::Owner;
use crate::http::body;
use crate::http::error::{ApiError, ErrorCode};
use crate::store::StoreError;
use crate::store::identity::{FIRST_ADMIN_ID, FIRST_ADMIN_NAME, Identity, KeyOwner, Session, User, digest};
use crate::store::settings::Settings;
use roles::Right;

/// How long a static key's owner is believed without looking again: a revoked key works at most this long.
const STATIC_KEY_CACHE: Duration = Duration::from_secs(10);
/// Static keys remembered at most.
const CACHE_SIZE: usize = 1000;
/// Longest key accepted, in characters (contract §0.2).
const LONGEST_KEY: usize = 128;

/// `/admin/config/session` (contract §6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSettings {
    /// Idle time after which a session ends, in ms; 0 = never.
    pub session_timeout: i64,
    /// Time after login at which a session ends, in ms; 0 = never.
    pub absolute_session_timeout: i64,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { session_timeout: 300_000, absolute_session_timeout: 0 }
    }
}

impl SessionSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "SESSION";
    /// A session without idle timeout ends here, in ms: its item must not stay for ever.
    const LONGEST: i64 = 30 * 24 * 3_600_000;

    /// Whether the session is over.
    pub const fn is_over(&self, session: &Session, now: i64) -> bool {
        (self.session_timeout > 0 && now - session.last_used > self.session_timeout)
            || (self.absolute_session_timeout > 0 && now - session.created_at > self.absolute_session_timeout)
            || now - session.created_at > Self::LONGEST
    }

    /// When the item of a session used at `now` may be deleted, ms. A minute late: `is_over` decides, not the TTL.
    pub const fn item_expiry(&self, now: i64) -> i64 {
        60_000 + if self.session_timeout > 0 { now + self.session_timeout } else { now + Self::LONGEST }
    }
}

/// The first administrator as the deployment names him; used only until that user exists.
#[derive(Clone, Debug, Default)]
pub struct FirstAdmin {
    /// Hex SHA-256 of the API key.
    pub apikey_sha256: Option<String>,
    /// argon2id PHC string of the password.
    pub password_hash: Option<String>,
}

impl FirstAdmin {
    /// From the environment.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            apikey_sha256: some(reader.text("PORTCULLIS_ADMIN_APIKEY_SHA256").to_ascii_lowercase()),
            password_hash: some(reader.text("PORTCULLIS_ADMIN_PASSWORD_HASH")),
        }
    }
}

/// The caller of a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// No key was given.
    Anonymous,
    /// A good key.
    User(Arc<User>),
}

impl Caller {
    /// Whether a role of the caller gives the right.
    pub fn may(&self, right: Right) -> bool {
        match self {
            Self::Anonymous => false,
            Self::User(user) => user.roles.iter().any(|role| roles::allows(role, right)),
        }
    }

    /// The caller as owner of what he submits.
    pub fn owner(&self) -> Option<Owner> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(Owner { user_id: user.id, username: user.username() }),
        }
    }

    /// For administration: 403 without a key, 405 without the right (contract §5.7).
    pub fn require(&self, right: Right) -> Result<&User, ApiError> {
        match self {
            Self::Anonymous => Err(ErrorCode::Forbidden.into()),
            Self::User(user) if self.may(right) => Ok(user),
            Self::User(_) => Err(ErrorCode::NoRights.into()),
        }
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
        match (owner, self) {
            (None, _) => Ok(()),
            (Some(owner), Self::User(user)) if user.id == owner.user_id || self.may(of_others) => Ok(()),
            _ => Err(ErrorCode::Forbidden.into()),
        }
    }
}

type Cache = Mutex<HashMap<String, (Instant, Arc<User>)>>;

/// Finds out who is calling.
#[derive(Clone, Debug)]
pub struct Authenticator {
    identity: Identity,
    settings: Arc<Settings>,
    first_admin: FirstAdmin,
    cache: Arc<Cache>,
}

impl Authenticator {
    /// Over the stores.
    pub fn new(identity: Identity, settings: Arc<Settings>, first_admin: FirstAdmin) -> Self {
        Self { identity, settings, first_admin, cache: Arc::default() }
    }

    /// The users.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The session settings in force.
    pub async fn session_settings(&self) -> Result<SessionSettings, StoreError> {
        Ok(self.settings.get(SessionSettings::NAME).await?.unwrap_or_default())
    }

    /// The caller. `bad_key` is the answer to a key that is not good: it differs by kind of route (contract §5.7).
    pub async fn caller(&self, headers: &HeaderMap, uri: &Uri, bad_key: ErrorCode) -> Result<Caller, ApiError> {
        let Some(key) = key_of(headers, uri) else { return Ok(Caller::Anonymous) };
        if key.len() > LONGEST_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad_key.into());
        }
        let digest = digest(&key);
        if let Some(user) = self.cached(&digest) {
            return Ok(Caller::User(user));
        }
        let user = match self.identity.owner_of_key(&digest).await? {
            Some(KeyOwner::Session(session)) => self.user_of_session(&digest, &session).await?,
            Some(KeyOwner::Static { user_id }) => {
                let user = self.identity.user(user_id).await?.filter(|user| user.apikey_sha256.as_deref() == Some(&digest));
                user.map(|user| self.remember(&digest, user))
            }
            None => self.first_admin_by_key(&digest).await?.map(|user| self.remember(&digest, user)),
        };
        user.map(Caller::User).ok_or_else(|| bad_key.into())
    }

    async fn user_of_session(&self, digest: &str, session: &Session) -> Result<Option<Arc<User>>, StoreError> {
        let (settings, now) = (self.session_settings().await?, now_ms());
        if settings.is_over(session, now) {
            return Ok(None);
        }
        // Written rarely, but often enough that a session in use never looks idle.
        if now - session.last_used > (settings.session_timeout / 10).min(30_000) {
            self.identity.touch_session(digest, now, settings.item_expiry(now)).await?;
        }
        Ok(self.identity.user(session.user_id).await?.map(Arc::new))
    }

    /// The first administrator's key works before anybody has logged in: the user is created at its first use.
    async fn first_admin_by_key(&self, digest: &str) -> Result<Option<User>, StoreError> {
        if self.first_admin.apikey_sha256.as_deref() != Some(digest) {
            return Ok(None);
        }
        self.ensure_first_admin().await?;
        Ok(self.identity.user(FIRST_ADMIN_ID).await?.filter(|user| user.apikey_sha256.as_deref() == Some(digest)))
    }

    /// Creates the first administrator as the deployment names him, if there is none. Returns whether it did.
    pub async fn ensure_first_admin(&self) -> Result<bool, StoreError> {
        if self.first_admin.apikey_sha256.is_none() && self.first_admin.password_hash.is_none() {
            return Ok(false);
        }
        let user = User {
            id: FIRST_ADMIN_ID,
            name: FIRST_ADMIN_NAME.into(),
            display_name: "Administrator".into(),
            email: String::new(),
            roles: vec![roles::ADMIN.into()],
            apikey_sha256: self.first_admin.apikey_sha256.clone(),
            password_hash: self.first_admin.password_hash.clone(),
        };
        match self.identity.create_user(&user).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn cached(&self, digest: &str) -> Option<Arc<User>> {
        let cache = self.cache.lock().ok()?;
        cache.get(digest).filter(|(at, _)| at.elapsed() < STATIC_KEY_CACHE).map(|(_, user)| Arc::clone(user))
    }

    fn remember(&self, digest: &str, user: User) -> Arc<User> {
        let user = Arc::new(user);
        if let Ok(mut cache) = self.cache.lock() {
            if cache.len() >= CACHE_SIZE {
                cache.clear();
            }
            cache.insert(digest.to_owned(), (Instant::now(), Arc::clone(&user)));
        }
        user
    }
}

/// The key of a request: header first, then query. An empty one counts as absent.
pub fn key_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    body::header(headers, "apikey").filter(|key| !key.is_empty()).or_else(|| body::query(uri, "apikey").filter(|key| !key.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_idle_and_by_absolute_time() {
        let settings = SessionSettings { session_timeout: 1000, absolute_session_timeout: 5000 };
        let session = |created_at, last_used| Session { user_id: 2, created_at, last_used };
        assert!(!settings.is_over(&session(0, 900), 1800));
        assert!(settings.is_over(&session(0, 900), 1901));
        assert!(settings.is_over(&session(0, 4900), 5001));
        let open = SessionSettings { session_timeout: 0, absolute_session_timeout: 0 };
        assert!(!open.is_over(&session(0, 0), 3_600_000));
        assert!(open.is_over(&session(0, 0), SessionSettings::LONGEST + 1));
    }

    #[test]
    fn the_header_comes_before_the_query() {
        let mut headers = HeaderMap::new();
        let uri: Uri = "/file?apikey=query".parse().unwrap();
        assert_eq!(key_of(&headers, &uri).as_deref(), Some("query"));
        headers.insert("apikey", "header".parse().unwrap());
        assert_eq!(key_of(&headers, &uri).as_deref(), Some("header"));
        assert_eq!(key_of(&HeaderMap::new(), &"/file?apikey=".parse().unwrap()), None);
    }
}
