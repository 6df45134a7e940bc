//! Sessions: opened by a login, kept alive by calls, listed and ended. A session's item is found by its digest; beside it stands
//! an entry under its user, by which his sessions are found.

use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};

use super::super::attributes::{Item, is_expired, key, n, number, s, text};
use super::super::transact::{patiently, transact_or_reason};
use super::{BATCH, Identity, StoreError, User, login_key, session_key, user_key};
use crate::audit::{AuditLog, Change};
use crate::clock::now_ms;

/// No session lasts longer, ms: then its entry under its user may be deleted.
const LONGEST: i64 = 31 * 24 * 3_600_000;
/// Sessions listed at most, the newest.
const LISTED: i32 = 100;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user it belongs to.
    pub user_id: u64,
    /// Login, ms since the epoch.
    pub created_at: i64,
    /// Last call, ms since the epoch; written at most every few seconds.
    pub last_used: i64,
    /// The address it was opened from; `None` when it was not known.
    pub ip: Option<String>,
}

/// What became of a login with the right password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The session is open.
    Yes,
    /// A lock came into force meanwhile.
    Locked,
    /// The user was changed meanwhile: what was verified may no longer be right.
    UserChanged,
}

impl Session {
    pub(super) fn of(item: &Item, user_id: u64) -> Self {
        Self {
            user_id,
            created_at: number(item, "created_at").unwrap_or_default(),
            last_used: number(item, "last_used").unwrap_or_default(),
            ip: text(item, "ip"),
        }
    }
}

impl Identity {
    /// Opens a session of a user whose revision is known. `expires_at` in ms: when its item may be deleted.
    pub async fn open_session(
        &self,
        audit: &AuditLog,
        change: &Change,
        (user, revision): (&User, u64),
        digest: &str,
        session: &Session,
        expires_at: i64,
    ) -> Result<Opened, StoreError> {
        const WHAT: &str = "open a session";
        let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(user_key(user.id)));
        let check = if revision == 0 {
            check.condition_expression("attribute_exists(pk) AND attribute_not_exists(rev)")
        } else {
            check.condition_expression("rev = :rev").expression_attribute_values(":rev", n(revision))
        };
        let check = check.build().map_err(|e| StoreError::corrupt(WHAT, e))?;
        let mut entry = entry_key(session, digest);
        entry.insert("expires_at".into(), n((session.created_at + LONGEST) / 1000));
        let put = |item| Put::builder().table_name(&self.table).set_item(Some(item)).build().map_err(|e| StoreError::corrupt(WHAT, e));
        let writes = vec![
            self.login_write(user.id, digest, session.created_at)?,
            TransactWriteItem::builder().condition_check(check).build(),
            TransactWriteItem::builder().put(put(session_item(digest, session, expires_at))?).build(),
            TransactWriteItem::builder().put(put(entry)?).build(),
            audit.entry(change)?,
        ];
        Ok(match transact_or_reason(&self.client, WHAT, writes).await? {
            None => Opened::Yes,
            Some(0) => Opened::Locked,
            Some(_) => Opened::UserChanged,
        })
    }

    /// Digest of a user's newest session.
    pub async fn newest_session(&self, user_id: u64) -> Result<Option<String>, StoreError> {
        Ok(self.get(login_key(user_id)).await?.and_then(|item| text(&item, "newest")))
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

    /// A user's sessions that have items, newest first, at most a hundred, each with its digest.
    pub async fn sessions(&self, user_id: u64) -> Result<Vec<(String, Session)>, StoreError> {
        const WHAT: &str = "list sessions";
        let query = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
        let query = query.expression_attribute_values(":pk", s(format!("USER#{user_id}"))).expression_attribute_values(":sk", s("SESSION#"));
        let query = query.scan_index_forward(false).limit(LISTED).consistent_read(true);
        let output = query.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?;
        let digests: Vec<String> = output.items().iter().filter_map(|item| Some(text(item, "sk")?.rsplit('#').next()?.to_owned())).collect();
        let mut sessions = Vec::new();
        for some in digests.chunks(BATCH) {
            let found = self.several(some.iter().map(|digest| session_key(digest)).collect(), WHAT).await?;
            let live = found.iter().filter(|item| !is_expired(item, now_ms()));
            sessions.extend(live.filter_map(|item| Some((text(item, "pk")?.split_once('#')?.1.to_owned(), Session::of(item, user_id)))));
        }
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.created_at));
        Ok(sessions)
    }

    /// Ends a session.
    pub async fn delete_session(&self, digest: &str, session: &Session) -> Result<(), StoreError> {
        for item in [session_key(digest), entry_key(session, digest)] {
            patiently(|| async {
                let delete = self.client.delete_item().table_name(&self.table).set_key(Some(item.clone()));
                delete.send().await.map(drop).map_err(|e| StoreError::from_sdk("end a session", e))
            })
            .await?;
        }
        Ok(())
    }
}

fn session_item(digest: &str, session: &Session, expires_at: i64) -> Item {
    let mut item = session_key(digest);
    item.insert("user_id".into(), n(session.user_id));
    item.insert("created_at".into(), n(session.created_at));
    item.insert("last_used".into(), n(session.last_used));
    item.insert("expires_at".into(), n(expires_at / 1000));
    if let Some(ip) = &session.ip {
        item.insert("ip".into(), s(ip));
    }
    item
}

fn entry_key(session: &Session, digest: &str) -> Item {
    key(format!("USER#{}", session.user_id), format!("SESSION#{:013}#{digest}", session.created_at))
}
