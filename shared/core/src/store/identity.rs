//! Users, static API keys and sessions. Keys are stored only as SHA-256 digests, passwords only as argon2id.

use aws_sdk_dynamodb::types::{Delete, KeysAndAttributes, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::attributes::{self, Item, is_expired, key, n, number, parsed, text};
use super::transact::transact;
use crate::audit::{AuditLog, Change};
use crate::auth::Actor;
use crate::clock::now_ms;

/// The first administrator's id: clients rely on it (contract §5.1).
pub const FIRST_ADMIN_ID: u64 = 2;
/// The first administrator's name.
pub const FIRST_ADMIN_NAME: &str = "admin";
/// What stands for a secret in the audit log.
pub const MASK: &str = "***";
/// The only directory so far.
pub const LOCAL_DIRECTORY: &str = "LOCAL";

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
    /// Ids of roles.
    pub roles: Vec<String>,
    /// SHA-256 of the static API key, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apikey_sha256: Option<String>,
    /// argon2id PHC string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
}

impl User {
    /// The user as the audit log tells of him: without secrets, but whether there are any.
    pub fn told(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "display_name": self.display_name,
            "email": self.email,
            "roles": self.roles,
            "apikey": self.apikey_sha256.as_ref().map(|_| MASK),
            "password": self.password_hash.as_ref().map(|_| MASK),
        })
    }

    /// `<directory>/<user>`.
    pub fn username(&self) -> String {
        format!("{LOCAL_DIRECTORY}/{}", self.name)
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user it belongs to.
    pub user_id: u64,
    /// Login, ms since the epoch.
    pub created_at: i64,
    /// Last call, ms since the epoch; written at most every few seconds.
    pub last_used: i64,
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
        let keys = KeysAndAttributes::builder()
            .keys(session_key(digest))
            .keys(apikey_key(digest))
            .consistent_read(true)
            .build()
            .map_err(|e| StoreError::corrupt("look up a key", e))?;
        let output =
            self.client.batch_get_item().request_items(&self.table, keys).send().await.map_err(|e| StoreError::from_sdk("look up a key", e))?;
        if output.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            return Err(StoreError::Retry { what: "look up a key", source: "keys stay unprocessed".into() });
        }
        let found = output.responses.and_then(|mut r| r.remove(&self.table)).unwrap_or_default();
        let Some(item) = found.into_iter().find(|item| !is_expired(item, now_ms())) else { return Ok(None) };
        let Some(user_id) = number(&item, "user_id").and_then(|id| u64::try_from(id).ok()) else { return Ok(None) };
        Ok(Some(match text(&item, "sk").as_deref() {
            Some("SESSION") => KeyOwner::Session(Session {
                user_id,
                created_at: number(&item, "created_at").unwrap_or_default(),
                last_used: number(&item, "last_used").unwrap_or_default(),
            }),
            _ => KeyOwner::Static { user_id },
        }))
    }

    /// A user by id.
    pub async fn user(&self, id: u64) -> Result<Option<User>, StoreError> {
        let item = self.get(key(format!("USER#{id}"), "USER")).await?;
        item.map(|item| parsed(&item, "user")).transpose().map(Option::flatten)
    }

    /// A user of the LOCAL directory by login name.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        let Some(item) = self.get(name_key(name)).await? else { return Ok(None) };
        match number(&item, "user_id").and_then(|id| u64::try_from(id).ok()) {
            Some(id) => self.user(id).await,
            None => Ok(None),
        }
    }

    /// A new user id.
    pub async fn next_user_id(&self) -> Result<u64, StoreError> {
        let output = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("COUNTER", "USER")))
            .update_expression("ADD last_id :one")
            .expression_attribute_values(":one", n(1))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("count users", e))?;
        let count = output.attributes.as_ref().and_then(|item| number(item, "last_id")).and_then(|id| u64::try_from(id).ok());
        Ok(FIRST_ADMIN_ID + count.unwrap_or_default())
    }

    /// The highest user id given out.
    pub async fn last_user_id(&self) -> Result<u64, StoreError> {
        let item = self.get(key("COUNTER", "USER")).await?;
        let count = item.as_ref().and_then(|item| number(item, "last_id")).and_then(|id| u64::try_from(id).ok());
        Ok(FIRST_ADMIN_ID + count.unwrap_or_default())
    }

    /// Writes a new user, its name and its key, or nothing.
    ///
    /// # Errors
    /// `Conflict` when the id, the name or the key is taken.
    pub async fn create_user(&self, audit: &AuditLog, by: Actor, user: &User) -> Result<(), StoreError> {
        let mut item = key(format!("USER#{}", user.id), "USER");
        item.insert("user".into(), attributes::json(user)?);
        let mut name = name_key(&user.name);
        name.insert("user_id".into(), n(user.id));
        let mut writes = vec![item, name];
        if let Some(digest) = &user.apikey_sha256 {
            let mut entry = apikey_key(digest);
            entry.insert("user_id".into(), n(user.id));
            writes.push(entry);
        }
        let writes = writes.into_iter().map(|item| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)").build();
            put.map(|put| TransactWriteItem::builder().put(put).build()).map_err(|e| StoreError::corrupt("create a user", e))
        });
        let change = Change { by, action: "user.create", target: format!("user/{}", user.id), before: Value::Null, after: user.told() };
        audit.with(&change, "create a user", writes.collect::<Result<_, _>>()?).await
    }

    /// Gives a user a new static key and takes the old one away, or does nothing: a key to be replaced must not stay good.
    ///
    /// # Errors
    /// `Conflict` when the key is another user's, or the user is gone.
    pub async fn replace_key(&self, user: &User, digest: &str) -> Result<(), StoreError> {
        const WHAT: &str = "replace a key";
        let corrupt = |e| StoreError::corrupt(WHAT, e);
        let mut entry = apikey_key(digest);
        entry.insert("user_id".into(), n(user.id));
        let mut item = key(format!("USER#{}", user.id), "USER");
        item.insert("user".into(), attributes::json(&User { apikey_sha256: Some(digest.to_owned()), ..user.clone() })?);
        let put = |item, condition| Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression(condition);
        let entry =
            put(entry, "attribute_not_exists(pk) OR user_id = :user").expression_attribute_values(":user", n(user.id)).build().map_err(corrupt)?;
        let item = put(item, "attribute_exists(pk)").build().map_err(corrupt)?;
        let mut writes = vec![TransactWriteItem::builder().put(entry).build(), TransactWriteItem::builder().put(item).build()];
        if let Some(old) = user.apikey_sha256.as_deref().filter(|old| *old != digest) {
            let delete = Delete::builder().table_name(&self.table).set_key(Some(apikey_key(old))).build().map_err(corrupt)?;
            writes.push(TransactWriteItem::builder().delete(delete).build());
        }
        transact(&self.client, WHAT, writes).await
    }

    /// Overwrites a user (not its name or key).
    pub async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        let mut item = key(format!("USER#{}", user.id), "USER");
        item.insert("user".into(), attributes::json(user)?);
        self.put(item, "write a user").await
    }

    /// Writes a session. `expires_at` in ms: when its item may be deleted.
    pub async fn create_session(&self, digest: &str, session: &Session, expires_at: i64) -> Result<(), StoreError> {
        let mut item = session_key(digest);
        item.insert("user_id".into(), n(session.user_id));
        item.insert("created_at".into(), n(session.created_at));
        item.insert("last_used".into(), n(session.last_used));
        item.insert("expires_at".into(), n(expires_at / 1000));
        self.put(item, "create a session").await
    }

    /// Notes that a session was used. A session that is gone stays gone.
    pub async fn touch_session(&self, digest: &str, now: i64, expires_at: i64) -> Result<(), StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(session_key(digest)))
            .update_expression("SET last_used = :now, expires_at = :expires")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":expires", n(expires_at / 1000))
            .send()
            .await;
        match result.map_err(|e| StoreError::from_sdk("refresh a session", e)) {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends a session.
    pub async fn delete_session(&self, digest: &str) -> Result<(), StoreError> {
        self.delete(session_key(digest), "end a session").await
    }

    async fn get(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read a user", e))?;
        Ok(output.item)
    }

    async fn put(&self, item: Item, what: &'static str) -> Result<(), StoreError> {
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.map_err(|e| StoreError::from_sdk(what, e))?;
        Ok(())
    }

    async fn delete(&self, key: Item, what: &'static str) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await.map_err(|e| StoreError::from_sdk(what, e))?;
        Ok(())
    }
}

fn session_key(digest: &str) -> Item {
    key(format!("SESSION#{digest}"), "SESSION")
}

fn apikey_key(digest: &str) -> Item {
    key(format!("APIKEY#{digest}"), "KEY")
}

fn name_key(name: &str) -> Item {
    key(format!("USERNAME#{LOCAL_DIRECTORY}/{name}"), "USER")
}
