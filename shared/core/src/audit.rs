//! The audit log: who did what, when, from where, and what it was before and after.
//!
//! A table of its own, one item per entry: `pk` is `MONTH#<year>-<month>`, `sk` is the time and a random tail, so that a month is
//! in order and no entry meets another. The index `by_user` has the same under the user's name. What always holds: a change and
//! its entry are one transaction (neither is without the other); an entry is put only where none is, and no function may put one
//! otherwise, change one, or (but for the sweep) delete one. Callers mask secrets: what is in a [`Change`] is stored and shown.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::auth::caller::Actor;
use crate::clock::now_ms;
use crate::store::StoreError;
use crate::store::attributes::{Item, json as json_text, key, n, number, s, text};
use crate::store::transact::transact;

/// Name of the index by user.
const BY_USER: &str = "by_user";
/// Largest `before` or `after` stored as it is, in bytes of JSON: an item holds 400 KB. Of larger ones size and digest are stored.
const LARGEST: usize = 150_000;
/// Reads of one page, at most: a filter that takes little must not read for ever. The page's cursor goes on.
const READS: usize = 40;
/// Items looked at in one read.
const STEP: i32 = 200;
/// Entries removed in one call of [`AuditLog::remove_before`], at most.
const REMOVALS: usize = 1000;
/// Last time that has 13 digits, ms.
const LAST_MS: i64 = 9_999_999_999_999;

/// What somebody changed (or tried to).
#[derive(Clone, Debug)]
pub struct Change {
    /// Who, and from where.
    pub by: Actor,
    /// What, dotted and constant: `config.scan.write`.
    pub action: &'static str,
    /// To what: a setting's name, `user/3`.
    pub target: String,
    /// As it was; `null` when it was not there.
    pub before: Value,
    /// As it is; `null` when it is gone.
    pub after: Value,
}

impl Change {
    /// A change without states: a login.
    pub fn event(by: Actor, action: &'static str, target: impl Into<String>) -> Self {
        Self { by, action, target: target.into(), before: Value::Null, after: Value::Null }
    }

    /// A change from one state to another. What can not be told as JSON is told as text of the problem.
    pub fn of(by: Actor, action: &'static str, target: impl Into<String>, before: &impl Serialize, after: &impl Serialize) -> Self {
        Self { by, action, target: target.into(), before: told(before), after: told(after) }
    }
}

fn told(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({ "not_told": error.to_string() }))
}

/// An entry as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id: what a cursor is made of.
    pub id: String,
    /// When, ms since the epoch.
    pub at: i64,
    /// `<directory>/<user>`, or who else it was: `anonymous`, `system`.
    pub user: String,
    /// The user's id, if it was one.
    pub user_id: Option<u64>,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// As it was.
    pub before: Value,
    /// As it is.
    pub after: Value,
    /// The client's address; empty when it is not known.
    pub ip: String,
    /// The request's id.
    pub request_id: String,
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From this time on, ms since the epoch.
    pub from: i64,
    /// Before this time, ms since the epoch.
    pub to: i64,
    /// Of this user, `<directory>/<user>`.
    pub user: Option<String>,
    /// With an action that is this one or begins with it and a dot.
    pub action: Option<String>,
}

/// Entries, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page goes on; `None`: there is none.
    pub next: Option<String>,
}

/// The log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl AuditLog {
    /// Over its table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The write of an entry, to be done in one transaction with the change itself. Made anew for every attempt.
    pub fn entry(&self, change: &Change) -> Result<TransactWriteItem, StoreError> {
        let (at, tail) = (now_ms(), uuid::Uuid::new_v4().simple().to_string());
        let mut item = key(month(at), format!("{at:013}-{}", tail.get(..16).unwrap_or_default()));
        item.insert("at".into(), n(at));
        item.insert("username".into(), s(&change.by.name));
        if let Some(id) = change.by.user_id {
            item.insert("user_id".into(), n(id));
        }
        item.insert("action".into(), s(change.action));
        item.insert("target".into(), s(&change.target));
        item.insert("before".into(), json_text(&bounded(&change.before))?);
        item.insert("after".into(), json_text(&bounded(&change.after))?);
        item.insert("ip".into(), s(change.by.origin.ip.map(|ip| ip.to_string()).unwrap_or_default()));
        item.insert("request_id".into(), s(&change.by.origin.request_id));
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)").build();
        let put = put.map_err(|e| StoreError::corrupt("write the audit log", e))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Writes an entry of something that changed nothing else: a transaction all the same, for so it is allowed.
    pub async fn note(&self, change: &Change) -> Result<(), StoreError> {
        self.with(change, "write the audit log", Vec::new()).await
    }

    /// Does all of it, and writes the entry, or does nothing.
    ///
    /// # Errors
    /// `Conflict` when a condition did not hold.
    pub async fn with(&self, change: &Change, what: &'static str, mut writes: Vec<TransactWriteItem>) -> Result<(), StoreError> {
        writes.push(self.entry(change)?);
        transact(&self.client, what, writes).await?;
        tracing::info!(action = change.action, target = change.target, by = change.by.name, "audited");
        Ok(())
    }

    /// Entries of a time range, newest first. A page may be short of `size` and still have a next one.
    pub async fn page(&self, filter: &Filter, cursor: Option<&str>, size: usize) -> Result<Page, StoreError> {
        let low = format!("{:013}", filter.from.clamp(0, LAST_MS));
        let mut high = cursor.map_or_else(|| format!("{:013}", filter.to.clamp(0, LAST_MS)), str::to_owned);
        let mut page = Page::default();
        for _ in 0..READS {
            if high <= low {
                return Ok(page);
            }
            let read = self.read(filter, &low, &high).await?;
            for entry in read.entries {
                if page.entries.len() == size {
                    page.next = page.entries.last().map(|last| last.id.clone());
                    return Ok(page);
                }
                page.entries.push(entry);
            }
            match read.next {
                Some(next) => high = next,
                None => return Ok(page),
            }
        }
        page.next = Some(high);
        Ok(page)
    }

    /// One read below `high` (exclusive); its `next` is where the following one goes on.
    async fn read(&self, filter: &Filter, low: &str, high: &str) -> Result<Page, StoreError> {
        let last = high.get(..13).and_then(|at| at.parse().ok()).unwrap_or_default();
        // The bound itself is not of the range: of a time it is no entry, of a cursor it was on the page before.
        let bound = if high.len() == 13 { last - 1 } else { last };
        let query = self.client.query().table_name(&self.table).scan_index_forward(false).limit(STEP);
        let query = match &filter.user {
            Some(user) => query
                .index_name(BY_USER)
                .key_condition_expression("username = :pk AND sk BETWEEN :low AND :high")
                .expression_attribute_values(":pk", s(user)),
            None => query.key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high").expression_attribute_values(":pk", s(month(bound))),
        };
        let query = query.expression_attribute_values(":low", s(low)).expression_attribute_values(":high", s(high));
        let query = match &filter.action {
            Some(action) => query
                .filter_expression("#action = :action OR begins_with(#action, :actions)")
                .expression_attribute_names("#action", "action")
                .expression_attribute_values(":action", s(action))
                .expression_attribute_values(":actions", s(format!("{action}."))),
            None => query,
        };
        let output = query.send().await.map_err(|e| StoreError::from_sdk("read the audit log", e))?;
        let entries = output.items().iter().filter(|item| text(item, "sk").is_some_and(|sk| sk != high)).map(entry).collect();
        let more = output.last_evaluated_key.as_ref().and_then(|key| text(key, "sk"));
        let earlier = || filter.user.is_none().then(|| begin_of_month(bound)).map(|begin| format!("{begin:013}"));
        Ok(Page { entries, next: more.or_else(earlier) })
    }

    /// Removes entries of before a time, a bounded number of them; returns how many. Zero: nothing is left to remove in these
    /// months. Only the sweep may.
    ///
    /// `months`: how many months are looked at, back from the one of `cutoff` (ms since the epoch).
    pub async fn remove_before(&self, cutoff: i64, months: usize) -> Result<usize, StoreError> {
        const WHAT: &str = "clean up the audit log";
        let high = format!("{:013}", cutoff.clamp(0, LAST_MS));
        let mut at = cutoff - 1;
        let mut removed = 0;
        for _ in 0..months {
            let mut start = None;
            loop {
                let query = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk AND sk < :high");
                let query = query.expression_attribute_values(":pk", s(month(at))).expression_attribute_values(":high", s(&high));
                let query = query.projection_expression("pk, sk").limit(STEP).set_exclusive_start_key(start).consistent_read(true);
                let output = query.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?;
                for item in output.items() {
                    let (Some(pk), Some(sk)) = (text(item, "pk"), text(item, "sk")) else { continue };
                    let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key(pk, sk)));
                    delete.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?;
                    removed += 1;
                }
                start = output.last_evaluated_key;
                if removed >= REMOVALS {
                    return Ok(removed);
                }
                if start.is_none() {
                    break;
                }
            }
            at = begin_of_month(at) - 1;
        }
        Ok(removed)
    }
}

fn time_of(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month(ms: i64) -> String {
    let time = time_of(ms);
    format!("MONTH#{:04}-{:02}", time.year(), u8::from(time.month()))
}

/// The first moment of the month, ms since the epoch.
fn begin_of_month(ms: i64) -> i64 {
    let first = time_of(ms).date().replace_day(1).map(|date| date.midnight().assume_utc().unix_timestamp() * 1000);
    first.unwrap_or_default()
}

fn bounded(value: &Value) -> Value {
    let encoded = value.to_string();
    if encoded.len() <= LARGEST {
        return value.clone();
    }
    json!({ "too_large_to_keep": encoded.len(), "sha256": hex::encode(Sha256::digest(encoded.as_bytes())) })
}

fn entry(item: &Item) -> Entry {
    let word = |name: &str| text(item, name).unwrap_or_default();
    let value =
        |name: &str| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).and_then(|v| serde_json::from_str(v).ok()).unwrap_or(Value::Null);
    Entry {
        id: word("sk"),
        at: number(item, "at").unwrap_or_default(),
        user: word("username"),
        user_id: number(item, "user_id").and_then(|id| u64::try_from(id).ok()),
        action: word("action"),
        target: word("target"),
        before: value("before"),
        after: value("after"),
        ip: word("ip"),
        request_id: word("request_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_they_begin() {
        let at = crate::clock::parse_iso("2024-03-01T00:00:00Z").unwrap();
        assert_eq!((month(at), begin_of_month(at)), ("MONTH#2024-03".to_owned(), at));
        assert_eq!(month(at - 1), "MONTH#2024-02");
        assert_eq!(begin_of_month(at - 1), crate::clock::parse_iso("2024-02-01").unwrap());
    }

    #[test]
    fn what_is_too_large_is_told_by_size_and_digest() {
        let large = json!({ "text": "x".repeat(LARGEST) });
        let told = bounded(&large);
        assert!(told["too_large_to_keep"].as_u64().unwrap() > LARGEST as u64, "{told}");
        assert_eq!(bounded(&json!({ "a": 1 })), json!({ "a": 1 }));
    }
}
