//! Who is calling, and what may they do.
//!
//! A key is a session id or a user's static key, in the header `apikey`, else in the query (contract
//! §0.2). What always holds: a key that is present and not good is an error, never "anonymous".

pub mod accounts;
pub mod caller;
pub mod custom;
pub mod directory;
pub mod password;
pub mod roles;
pub mod session;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};

use crate::audit::AuditLog;
use crate::aws::Clients;
use crate::clock::now_ms;
use crate::config::Reader;
use crate::http::body;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::origin::{Origin, TrustedProxies};
use crate::store::StoreError;
use crate::store::identity::{FIRST_ADMIN_ID, FIRST_ADMIN_NAME, Identity, KeyOwner, Session, User, digest};
use crate::store::settings::Settings;
pub use caller::{Account, Actor, Caller, FileCaller};
use custom::Roles;
use directory::Directories;
pub use session::SessionSettings;

/// How long a static key's owner is believed without looking again: a revoked key works at most this long.
const STATIC_KEY_CACHE: Duration = Duration::from_secs(10);
/// Static keys remembered at most.
const CACHE_SIZE: usize = 1000;
/// Longest key accepted, in characters (contract §0.2).
const LONGEST_KEY: usize = 128;

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

type Cache = Mutex<HashMap<String, (Instant, Arc<Account>)>>;

/// Finds out who is calling.
#[derive(Clone, Debug)]
pub struct Authenticator {
    identity: Identity,
    settings: Arc<Settings>,
    audit: AuditLog,
    first_admin: FirstAdmin,
    proxies: TrustedProxies,
    cache: Arc<Cache>,
}

impl Authenticator {
    /// Over the stores that the environment names; shares the caller's settings and what they cache.
    pub fn read(reader: &mut Reader<'_>, clients: &Clients, settings: Arc<Settings>) -> Self {
        let (table, audit) = (reader.text("PORTCULLIS_TABLE"), reader.text("PORTCULLIS_AUDIT_TABLE"));
        Self {
            identity: Identity::new(clients.dynamodb().clone(), table),
            settings,
            audit: AuditLog::new(clients.dynamodb().clone(), audit),
            first_admin: FirstAdmin::read(reader),
            proxies: TrustedProxies::read(reader),
            cache: Arc::default(),
        }
    }

    /// The audit log.
    pub const fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Where a request comes from.
    pub fn origin(&self, parts: &Parts) -> Origin {
        self.proxies.origin(&parts.headers, &parts.extensions)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
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
    pub async fn caller(&self, parts: &Parts, bad_key: ErrorCode) -> Result<Caller, ApiError> {
        let origin = self.origin(parts);
        let Some(key) = key_of(&parts.headers, &parts.uri) else { return Ok(Caller::anonymous(origin)) };
        if key.len() > LONGEST_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad_key.into());
        }
        let digest = digest(&key);
        if let Some(account) = self.cached(&digest) {
            return Ok(Caller::known(account, origin, None));
        }
        let found = match self.identity.owner_of_key(&digest).await? {
            Some(KeyOwner::Session(session)) => self.user_of_session(&digest, &session, &origin).await?.map(|account| (account, Some(digest))),
            Some(KeyOwner::Static { user_id }) => {
                let user = self.identity.user(user_id).await?.filter(|user| user.apikey_sha256.as_deref() == Some(&digest));
                self.remembered(&digest, user).await?
            }
            None => self.remembered(&digest, self.first_admin_by_key(&digest).await?).await?,
        };
        let (account, session) = found.ok_or_else(|| ApiError::from(bad_key))?;
        Ok(Caller::known(account, origin, session))
    }

    async fn user_of_session(&self, digest: &str, session: &Session, origin: &Origin) -> Result<Option<Arc<Account>>, StoreError> {
        let (settings, now) = (self.session_settings().await?, now_ms());
        if settings.is_over(session, now) || !settings.permits(session, origin.ip) {
            return Ok(None);
        }
        let Some(user) = self.identity.user(session.user_id).await?.filter(|user| user.keeps(session, digest)) else { return Ok(None) };
        if !settings.allow_duplicate_session && self.identity.newest_session(user.id).await?.as_deref() != Some(digest) {
            return Ok(None);
        }
        // Written rarely, but often enough that a session in use never looks idle.
        if now - session.last_used > (settings.session_timeout / 10).min(30_000) {
            self.identity.touch_session(digest, now, settings.item_expiry(now)).await?;
        }
        Ok(self.account(user).await?.map(Arc::new))
    }

    /// A user with his rights, if he may be let in at all: he and his directory are enabled.
    pub async fn account(&self, user: User) -> Result<Option<Account>, StoreError> {
        let mut directories = self.directories().await?;
        if directories.by_id(user.directory_id).is_none() {
            // Made after what is cached was read.
            directories = self.settings.versioned(Directories::NAME).await?.0.unwrap_or_default();
        }
        if !user.enabled || !directories.lets_in(user.directory_id) {
            return Ok(None);
        }
        let mut roles = Roles::in_force(&self.settings).await?;
        if user.roles.iter().any(|role| roles.find(role).is_none()) {
            roles = self.settings.versioned(Roles::NAME).await?.0.unwrap_or_default();
        }
        Ok(Some(Account::of(user, &roles)))
    }

    /// The directories in force.
    pub async fn directories(&self) -> Result<Directories, StoreError> {
        Directories::in_force(&self.settings).await
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
            display_name: "Administrator".into(),
            roles: vec![roles::ADMIN.into()],
            apikey_sha256: self.first_admin.apikey_sha256.clone(),
            password_hash: self.first_admin.password_hash.clone(),
            ..User::local(FIRST_ADMIN_ID, FIRST_ADMIN_NAME)
        };
        match self.identity.create_user(&self.audit, Actor::system(), &user).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn cached(&self, digest: &str) -> Option<Arc<Account>> {
        let cache = self.cache.lock().ok()?;
        cache.get(digest).filter(|(at, _)| at.elapsed() < STATIC_KEY_CACHE).map(|(_, account)| Arc::clone(account))
    }

    /// The account of a static key's owner, believed for a while.
    async fn remembered(&self, digest: &str, user: Option<User>) -> Result<Option<(Arc<Account>, Option<String>)>, StoreError> {
        let Some(user) = user else { return Ok(None) };
        let Some(account) = self.account(user).await?.map(Arc::new) else { return Ok(None) };
        if let Ok(mut cache) = self.cache.lock() {
            if cache.len() >= CACHE_SIZE {
                cache.clear();
            }
            cache.insert(digest.to_owned(), (Instant::now(), Arc::clone(&account)));
        }
        Ok(Some((account, None)))
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
    fn the_header_comes_before_the_query() {
        let mut headers = HeaderMap::new();
        let uri: Uri = "/file?apikey=query".parse().unwrap();
        assert_eq!(key_of(&headers, &uri).as_deref(), Some("query"));
        headers.insert("apikey", "header".parse().unwrap());
        assert_eq!(key_of(&headers, &uri).as_deref(), Some("header"));
        assert_eq!(key_of(&HeaderMap::new(), &"/file?apikey=".parse().unwrap()), None);
    }
}
