//! Users: read one by one or all, created, changed and deleted.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};

use super::super::attributes::{Item, LONGEST_TEXT, json, key, n, number};
use super::super::transact::transact_or_reason;
use super::{BATCH, FIRST_ADMIN_ID, Guard, Identity, LOCAL_DIRECTORY, Refused, StoreError, User, apikey_key, login_key, name_key, user_key, user_of};
use crate::audit::{AuditLog, Change};
use crate::auth::Actor;

/// Users that one transaction changes, at most: each can be four writes, and DynamoDB takes a hundred.
pub const MOST: usize = 20;

/// A user in the place of another, or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Who is there, with his revision.
    pub before: Option<(User, u64)>,
    /// Who will be.
    pub after: User,
}

/// A write and what it means when its condition does not hold.
type Write = (TransactWriteItem, Refused);

impl Identity {
    /// A user by id.
    pub async fn user(&self, id: u64) -> Result<Option<User>, StoreError> {
        Ok(self.versioned(id).await?.map(|(user, _)| user))
    }

    /// A user and his revision: what a change is based on.
    pub async fn versioned(&self, id: u64) -> Result<Option<(User, u64)>, StoreError> {
        self.get(user_key(id)).await?.map_or(Ok(None), |item| user_of(&item))
    }

    /// A user by login name in a directory.
    pub async fn user_in(&self, directory: &str, name: &str) -> Result<Option<(User, u64)>, StoreError> {
        if directory.len() + name.len() > LONGEST_TEXT {
            return Ok(None);
        }
        let Some(item) = self.get(name_key(directory, name)).await? else { return Ok(None) };
        match number(&item, "user_id").and_then(|id| u64::try_from(id).ok()) {
            Some(id) => self.versioned(id).await,
            None => Ok(None),
        }
    }

    /// A user of the LOCAL directory by login name.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(self.user_in(LOCAL_DIRECTORY, name).await?.map(|(user, _)| user))
    }

    /// All users with their revisions, by id: one read for a hundred ids.
    pub async fn users(&self) -> Result<Vec<(User, u64)>, StoreError> {
        let ids: Vec<u64> = (FIRST_ADMIN_ID..=self.last_user_id().await?).collect();
        let mut users = BTreeMap::new();
        for some in ids.chunks(BATCH) {
            for item in self.several(some.iter().map(|id| user_key(*id)).collect(), "list users").await? {
                users.extend(user_of(&item)?.map(|(user, revision)| (user.id, (user, revision))));
            }
        }
        Ok(users.into_values().collect())
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

    /// Writes a new user, its name and its key, or nothing, whatever state it was judged by.
    ///
    /// # Errors
    /// `Conflict` when the id, the name or the key is taken.
    pub async fn create_user(&self, audit: &AuditLog, by: Actor, user: &User) -> Result<(), StoreError> {
        match self.add_user(audit, by, user, None).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::Conflict { what: "create a user" }),
        }
    }

    /// As [`Identity::create_user`], of a state that it was judged by; what was in the way, if anything was.
    pub async fn add_user(&self, audit: &AuditLog, by: Actor, user: &User, guard: Option<Guard>) -> Result<Option<Refused>, StoreError> {
        let change = Change { by, action: "user.create", target: target(user.id), before: serde_json::Value::Null, after: user.told() };
        self.done(audit, &change, self.writes_of(None, user)?, guard).await
    }

    /// Puts `after` in the place of `before`, whose revision is known; its name and its key move along. What was in the way, if
    /// anything was.
    pub async fn update_user(
        &self,
        audit: &AuditLog,
        change: &Change,
        (before, revision): (&User, u64),
        after: &User,
        guard: Guard,
    ) -> Result<Option<Refused>, StoreError> {
        self.done(audit, change, self.writes_of(Some((before, revision)), after)?, Some(guard)).await
    }

    /// Puts users and other things (`more`, whose conditions are as the guard's) in force in one transaction with its entry in the
    /// audit log: all or nothing. At most [`MOST`] users. What was in the way, if anything was.
    pub async fn change_many(
        &self,
        audit: &AuditLog,
        change: &Change,
        more: Vec<TransactWriteItem>,
        users: &[Replaced],
        guard: Option<Guard>,
    ) -> Result<Option<Refused>, StoreError> {
        let mut writes: Vec<Write> = more.into_iter().map(|write| (write, Refused::Guard)).collect();
        for Replaced { before, after } in users {
            writes.extend(self.writes_of(before.as_ref().map(|(user, revision)| (user, *revision)), after)?);
        }
        self.done(audit, change, writes, guard).await
    }

    /// The writes that put a user in the place of one whose revision is known, or of none.
    fn writes_of(&self, before: Option<(&User, u64)>, after: &User) -> Result<Vec<Write>, StoreError> {
        let mut item = user_key(after.id);
        item.insert("user".into(), json(after)?);
        item.insert("rev".into(), n(before.map_or(0, |(_, revision)| revision) + 1));
        let mut writes = match before {
            None => vec![(self.put(item, "attribute_not_exists(pk)", &[])?, Refused::Name)],
            Some((_, revision)) => vec![(self.put_at(item, revision)?, Refused::Revision)],
        };
        let before = before.map(|(user, _)| user);
        if before.is_none_or(|before| before.username() != after.username()) {
            writes.push((self.put(name_item(after), "attribute_not_exists(pk)", &[])?, Refused::Name));
            if let Some(before) = before {
                writes.push((self.delete(name_key(&before.directory, &before.name))?, Refused::Revision));
            }
        }
        let key_before = before.and_then(|before| before.apikey_sha256.as_ref());
        if key_before != after.apikey_sha256.as_ref() {
            if let Some(digest) = &after.apikey_sha256 {
                writes.push((self.put(key_item(digest, after.id), "attribute_not_exists(pk)", &[])?, Refused::Key));
            }
            if let Some(digest) = key_before {
                writes.push((self.delete(apikey_key(digest))?, Refused::Revision));
            }
        }
        Ok(writes)
    }

    /// Deletes a user whose revision is known, with his name and his key; his sessions end with him. What was in the way, if
    /// anything was.
    pub async fn delete_user(
        &self,
        audit: &AuditLog,
        change: &Change,
        (user, revision): (&User, u64),
        guard: Guard,
    ) -> Result<Option<Refused>, StoreError> {
        // An item without a user stays: else the deployment's first administrator would come back at the next use of his key.
        let mut gone = user_key(user.id);
        gone.insert("rev".into(), n(revision + 1));
        let mut writes = vec![
            (self.put_at(gone, revision)?, Refused::Revision),
            (self.delete(name_key(&user.directory, &user.name))?, Refused::Revision),
            (self.delete(login_key(user.id))?, Refused::Revision),
        ];
        if let Some(digest) = &user.apikey_sha256 {
            writes.push((self.delete(apikey_key(digest))?, Refused::Revision));
        }
        self.done(audit, change, writes, Some(guard)).await
    }

    async fn done(&self, audit: &AuditLog, change: &Change, mut writes: Vec<Write>, guard: Option<Guard>) -> Result<Option<Refused>, StoreError> {
        writes.push((self.guarded(guard)?, Refused::Guard));
        let meanings: Vec<Refused> = writes.iter().map(|(_, refused)| *refused).collect();
        let mut items: Vec<_> = writes.into_iter().map(|(item, _)| item).collect();
        items.push(audit.entry(change)?);
        let position = transact_or_reason(&self.client, "write a user", items).await?;
        if position.is_none() {
            tracing::info!(action = change.action, target = change.target, by = change.by.name, "audited");
        }
        // The audit log's own condition can not fail but by an id drawn twice: judged again, it is another.
        Ok(position.map(|position| meanings.get(position).copied().unwrap_or(Refused::Guard)))
    }

    /// The user's item, if its revision is still this one.
    fn put_at(&self, item: Item, revision: u64) -> Result<TransactWriteItem, StoreError> {
        if revision == 0 {
            // Of before there were revisions.
            return self.put(item, "attribute_exists(pk) AND attribute_not_exists(rev)", &[]);
        }
        self.put(item, "rev = :rev", &[(":rev", revision)])
    }

    fn put(&self, item: Item, condition: &str, numbers: &[(&str, u64)]) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression(condition);
        let put = numbers.iter().fold(put, |put, (name, value)| put.expression_attribute_values(*name, n(*value)));
        Ok(TransactWriteItem::builder().put(put.build().map_err(|e| StoreError::corrupt("write a user", e))?).build())
    }

    fn delete(&self, key: Item) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key)).build();
        Ok(TransactWriteItem::builder().delete(delete.map_err(|e| StoreError::corrupt("write a user", e))?).build())
    }
}

/// A user as the audit log's target.
fn target(id: u64) -> String {
    format!("user/{id}")
}

fn name_item(user: &User) -> Item {
    let mut item = name_key(&user.directory, &user.name);
    item.insert("user_id".into(), n(user.id));
    item
}

fn key_item(digest: &str, user_id: u64) -> Item {
    let mut item = apikey_key(digest);
    item.insert("user_id".into(), n(user_id));
    item
}
