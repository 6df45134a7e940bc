//! Users, static API keys, failed logins and sessions. Keys are stored only as SHA-256 digests, passwords only as argon2id.
//!
//! What always holds: a user, its name and its key are written together; of two who change the same user, one is told that the
//! other was first; and whatever decides who may do what (users, roles, directories) is changed under one counter, [`Guard`], so
//! that what was true of all of it when a change was judged is still true when it is made.

mod logins;
mod sessions;
mod users;

use aws_sdk_dynamodb::types::{KeysAndAttributes, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use logins::Failures;
pub use sessions::{Opened, Session};
pub use users::{MOST, Replaced};

use super::StoreError;
use super::attributes::{Item, is_expired, key, n, number, parsed, text};
use crate::audit::{AuditLog, Change};
use crate::clock::now_ms;

/// The first administrator's id: clients rely on it (contract §5.1).
pub const FIRST_ADMIN_ID: u64 = 2;
/// The first administrator's name.
pub const FIRST_ADMIN_NAME: &str = "admin";
/// What stands for a secret in the audit log.
pub const MASK: &str = "***";
/// The directory that is always there.
pub const LOCAL_DIRECTORY: &str = "LOCAL";
/// Its id.
pub const LOCAL_DIRECTORY_ID: u64 = 1;
/// Items that one BatchGetItem takes.
const BATCH: usize = 100;

fn local_name() -> String {
    LOCAL_DIRECTORY.to_owned()
}

const fn local_id() -> u64 {
    LOCAL_DIRECTORY_ID
}

const fn yes() -> bool {
    true
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id.
    pub id: u64,
    /// Login name.
    pub name: String,
    /// Name shown to people.
    pub display_name: String,
    /// Mail address, may be empty.
    #[serde(default)]
    pub email: String,
    /// Id of the directory he belongs to.
    #[serde(default = "local_id")]
    pub directory_id: u64,
    /// Its name; directories are not renamed.
    #[serde(default = "local_name")]
    pub directory: String,
    /// Ids of roles.
    pub roles: Vec<String>,
    /// Whether he may log in and use keys.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Settings of user interfaces, theirs alone.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub ui_settings: Map<String, Value>,
    /// SHA-256 of the static API key, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apikey_sha256: Option<String>,
    /// argon2id PHC string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Sessions that began at this time or before are over, ms since the epoch.
    #[serde(default)]
    pub sessions_since: i64,
    /// Digest of the one session that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_session: Option<String>,
}

impl User {
    /// A user of the directory LOCAL, without roles, key and password.
    pub fn local(id: u64, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id,
            display_name: name.clone(),
            name,
            email: String::new(),
            directory_id: LOCAL_DIRECTORY_ID,
            directory: local_name(),
            roles: Vec::new(),
            enabled: true,
            ui_settings: Map::new(),
            apikey_sha256: None,
            password_hash: None,
            sessions_since: 0,
            kept_session: None,
        }
    }

    /// The user as the audit log tells of him: without secrets, but whether there are any. A secret that was changed shows
    /// by the other state's mask ([`User::told_changed`]).
    pub fn told(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "display_name": self.display_name,
            "email": self.email,
            "directory_id": self.directory_id,
            "roles": self.roles,
            "enabled": self.enabled,
            "ui_settings": self.ui_settings,
            "apikey": self.apikey_sha256.as_ref().map(|_| MASK),
            "password": self.password_hash.as_ref().map(|_| MASK),
        })
    }

    /// As [`User::told`], of the state after `before`: a secret that is another one is told as such.
    pub fn told_changed(&self, before: &Self) -> Value {
        let mut told = self.told();
        for (field, is, was) in [("apikey", &self.apikey_sha256, &before.apikey_sha256), ("password", &self.password_hash, &before.password_hash)] {
            if is.is_some() && is != was {
                told[field] = json!(format!("{MASK} (new)"));
            }
        }
        told
    }

    /// `<directory>/<user>`.
    pub fn username(&self) -> String {
        format!("{}/{}", self.directory, self.name)
    }

    /// Whether a session of this user that began then is still one, apart from its timeouts.
    pub fn keeps(&self, session: &Session, digest: &str) -> bool {
        session.created_at > self.sessions_since || self.kept_session.as_deref() == Some(digest)
    }
}

/// What a key in a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// A session id.
    Session(Session),
    /// A user's static key.
    Static {
        /// The user's id.
        user_id: u64,
    },
}

/// The state of users, roles and directories that a change was judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard(u64);

/// Why a write did not happen: what it was based on is no longer so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The id or the name is taken.
    Name,
    /// The key is another user's.
    Key,
    /// The user was changed or is gone.
    Revision,
    /// Something else that decides who may do what was changed: judge again.
    Guard,
}

/// Digest under which a key is stored.
pub fn digest(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// The users.
#[derive(Clone, Debug)]
pub struct Identity {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Identity {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Looks a key's digest up, as session and as static key in one call.
    pub async fn owner_of_key(&self, digest: &str) -> Result<Option<KeyOwner>, StoreError> {
        let found = self.several(vec![session_key(digest), apikey_key(digest)], "look up a key").await?;
        let Some(item) = found.into_iter().find(|item| !is_expired(item, now_ms())) else { return Ok(None) };
        let Some(user_id) = number(&item, "user_id").and_then(|id| u64::try_from(id).ok()) else { return Ok(None) };
        Ok(Some(match text(&item, "sk").as_deref() {
            Some("SESSION") => KeyOwner::Session(Session::of(&item, user_id)),
            _ => KeyOwner::Static { user_id },
        }))
    }

    /// The state that a change is going to be judged by; read it before everything else.
    pub async fn guard(&self) -> Result<Guard, StoreError> {
        let item = self.get(guard_key()).await?;
        let revision = item.as_ref().and_then(|item| number(item, "rev")).and_then(|rev| u64::try_from(rev).ok());
        Ok(Guard(revision.unwrap_or_default()))
    }

    /// Makes a change of roles or directories, its entry in the audit log, and a new state; or nothing.
    ///
    /// # Errors
    /// `Conflict` when the state is another one, or a condition of `writes` did not hold.
    pub async fn change_guarded(
        &self,
        audit: &AuditLog,
        change: &Change,
        mut writes: Vec<TransactWriteItem>,
        guard: Guard,
    ) -> Result<(), StoreError> {
        writes.push(self.guarded(Some(guard))?);
        audit.with(change, "change roles or directories", writes).await
    }

    /// The write that makes a new state: of the one given, or of whatever it is.
    fn guarded(&self, guard: Option<Guard>) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder().table_name(&self.table).set_key(Some(guard_key())).update_expression("ADD rev :one");
        let update = update.expression_attribute_values(":one", n(1));
        let update = match guard {
            None => update,
            Some(Guard(0)) => update.condition_expression("attribute_not_exists(rev)"),
            Some(Guard(revision)) => update.condition_expression("rev = :guard").expression_attribute_values(":guard", n(revision)),
        };
        let update = update.build().map_err(|e| StoreError::corrupt("change who may do what", e))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    async fn get(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(|e| StoreError::from_sdk("read a user", e))?.item)
    }

    /// Items of these keys that are there, in any order; at most [`BATCH`].
    async fn several(&self, keys: Vec<Item>, what: &'static str) -> Result<Vec<Item>, StoreError> {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(|e| StoreError::corrupt(what, e))?;
        let mut request = std::collections::HashMap::from([(self.table.clone(), keys)]);
        let mut found = Vec::new();
        for _ in 0..BATCH {
            let output = self.client.batch_get_item().set_request_items(Some(request)).send().await.map_err(|e| StoreError::from_sdk(what, e))?;
            found.extend(output.responses.and_then(|mut responses| responses.remove(&self.table)).unwrap_or_default());
            match output.unprocessed_keys {
                Some(left) if !left.is_empty() => request = left,
                _ => return Ok(found),
            }
        }
        Err(StoreError::Retry { what, source: "keys stay unprocessed".into() })
    }
}

fn user_of(item: &Item) -> Result<Option<(User, u64)>, StoreError> {
    let revision = number(item, "rev").and_then(|rev| u64::try_from(rev).ok()).unwrap_or_default();
    Ok(parsed(item, "user")?.map(|user| (user, revision)))
}

fn user_key(id: u64) -> Item {
    key(format!("USER#{id}"), "USER")
}

fn login_key(id: u64) -> Item {
    key(format!("USER#{id}"), "LOGIN")
}

fn session_key(digest: &str) -> Item {
    key(format!("SESSION#{digest}"), "SESSION")
}

fn apikey_key(digest: &str) -> Item {
    key(format!("APIKEY#{digest}"), "KEY")
}

fn name_key(directory: &str, name: &str) -> Item {
    key(format!("USERNAME#{directory}/{name}"), "USER")
}

fn guard_key() -> Item {
    key("COUNTER", "GUARD")
}
