//! Ended submissions in the order of their ends: the index `history`.
//!
//! | attribute | what |
//! |---|---|
//! | `history_shard` | one of [`SHARDS`] parts, by id. Times only grow: without parts every end would be written to one place, which takes some 1000 writes a second |
//! | `history_at` | `<ms since the epoch, 13 digits>-<first 24 of data_id>`: in order, and no two alike |
//! | `history_entry` | what a list shows, JSON, below 1 KB: an end costs one write unit here |
//!
//! A part has no bounds in time, so that a range of weeks is as many queries as one of a minute: one per part, and more
//! only where there is more to read. What always holds: only what has ended is listed; the index lags behind by less than
//! a second as a rule; a page reads at most [`LOOKED_AT`] entries, so one with rare hits may be short, or empty, and go on.

use std::collections::VecDeque;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::attributes::{Item, is_expired, json, parsed, s, text};
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::name::display;
use crate::domain::submission::{Outcome, Owner, Source, Submission};
use crate::domain::verdict::Code;

/// Parts of the index.
pub const SHARDS: u32 = 4;
/// Entries that one page reads, at most.
pub const LOOKED_AT: usize = 4000;
/// Characters of a name that are listed, and searched.
const NAME_CHARS: usize = 200;
/// The last time that the order of texts still has right, ms.
const LAST_MS: i64 = 9_999_999_999_999;

/// An ended submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub data_id: DataId,
    /// Name for people, 200 characters at most.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, hex; empty when it was never read.
    pub sha256: String,
    /// Main outcome.
    pub code: Code,
    /// Rule.
    pub rule: String,
    /// Who submitted it; nobody = without a key.
    pub owner: Option<Owner>,
    /// How it came in.
    pub source: Source,
    /// Files of all levels that came out of it.
    pub children: u32,
    /// Time of submission, ms since the epoch.
    pub created_at: i64,
    /// First claim, ms since the epoch.
    pub started_at: i64,
    /// End, ms since the epoch.
    pub ended_at: i64,
    /// When a rescan changed the verdict, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revised_at: Option<i64>,
}

impl Entry {
    /// Of a submission that ended.
    pub fn of(submission: &Submission, outcome: &Outcome) -> Self {
        Self {
            data_id: submission.id.clone(),
            name: display(&submission.name).chars().take(NAME_CHARS).collect(),
            size: outcome.report.size,
            sha256: outcome.report.digests.sha256.clone(),
            code: outcome.report.verdict.code,
            rule: submission.rule.clone(),
            owner: submission.owner.clone(),
            source: submission.source,
            children: outcome.child_count,
            created_at: submission.created_at,
            started_at: outcome.started_at,
            ended_at: outcome.finished_at,
            revised_at: outcome.revision.as_ref().map(|revision| revision.at),
        }
    }
}

/// Which entries are asked for. All by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ended at this time or later, ms since the epoch.
    pub from: Option<i64>,
    /// Ended before this time, ms since the epoch.
    pub to: Option<i64>,
    /// With this main outcome.
    pub code: Option<Code>,
    /// Held back, or let through.
    pub blocked: Option<bool>,
    /// Under this rule.
    pub rule: Option<String>,
    /// With this in the name, whatever the case.
    pub name: Option<String>,
    /// Submitted by this user.
    pub user_id: Option<u64>,
    /// With this in `<directory>/<user>`, whatever the case.
    pub username: Option<String>,
}

impl Filter {
    /// Whether an entry is one of those asked for; the time is a matter of the index.
    pub fn takes(&self, entry: &Entry) -> bool {
        let has = |text: &str, part: &Option<String>| part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()));
        let username = entry.owner.as_ref().map_or("", |owner| owner.username.as_str());
        self.code.is_none_or(|code| code == entry.code)
            && self.blocked.is_none_or(|blocked| blocked == entry.code.is_blocked())
            && self.rule.as_ref().is_none_or(|rule| *rule == entry.rule)
            && self.user_id.is_none_or(|id| entry.owner.as_ref().is_some_and(|owner| owner.user_id == id))
            && has(&entry.name, &self.name)
            && has(username, &self.username)
    }

    /// The least and the greatest key of the range; none when nothing can lie in it.
    fn range(&self, before: Option<&Cursor>) -> Option<(String, String)> {
        let from = time(self.from.unwrap_or(0));
        // A key goes on after the time: it is greater than its time alone.
        let to = self.to.map_or_else(|| format!("{}~", time(LAST_MS)), time);
        let to = before.map_or(to.clone(), |cursor| to.min(cursor.0.clone()));
        (from <= to).then_some((from, to))
    }
}

/// A place in the list: the entry that a page ended with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

impl Cursor {
    /// Reads what was given out before. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, group) = text.split_once('-')?;
        let fits = time.len() == 13 && time.bytes().all(|b| b.is_ascii_digit()) && group.len() == 24 && group.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no place in a list"))
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
}

/// The list.
#[derive(Clone, Debug)]
pub struct History {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

/// What was read of a part and not yet looked at.
struct Part {
    name: String,
    /// Greatest key that may come.
    upper: String,
    read: VecDeque<(String, Item)>,
    is_over: bool,
}

impl History {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Up to `size` entries before `before`, newest first.
    pub async fn page(&self, filter: &Filter, before: Option<&Cursor>, size: usize) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let Some((from, to)) = filter.range(before) else { return Ok(page) };
        let mut parts: Vec<Part> =
            (0..SHARDS).map(|shard| Part { name: name(shard), upper: to.clone(), read: VecDeque::new(), is_over: false }).collect();
        let (now, chunk) = (now_ms(), size.clamp(10, 200));
        for _ in 0..LOOKED_AT {
            let dry = parts.iter_mut().filter(|part| part.read.is_empty() && !part.is_over);
            futures::future::try_join_all(dry.map(|part| self.read_on(part, &from, chunk))).await?;
            let newest = parts.iter_mut().max_by(|a, b| a.read.front().map(|(at, _)| at).cmp(&b.read.front().map(|(at, _)| at)));
            let Some((at, item)) = newest.and_then(|part| part.read.pop_front()) else {
                page.next = None;
                return Ok(page);
            };
            page.next = Some(Cursor(at));
            if let Some(entry) = entry(&item, now).filter(|entry| filter.takes(entry)) {
                page.entries.push(entry);
            }
            if page.entries.len() >= size {
                break;
            }
        }
        if parts.iter().all(|part| part.is_over && part.read.is_empty()) {
            page.next = None;
        }
        Ok(page)
    }

    async fn read_on(&self, part: &mut Part, from: &str, chunk: usize) -> Result<(), StoreError> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("history")
            .key_condition_expression("history_shard = :shard AND history_at BETWEEN :least AND :greatest")
            .expression_attribute_values(":shard", s(&part.name))
            .expression_attribute_values(":least", s(from))
            .expression_attribute_values(":greatest", s(&part.upper))
            .scan_index_forward(false)
            .limit(i32::try_from(chunk).unwrap_or(i32::MAX).saturating_add(1))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("list ended submissions", e))?;
        part.is_over = output.last_evaluated_key.is_none();
        // What was read last, or what the cursor names, comes once more.
        let known = std::mem::take(&mut part.upper);
        for item in output.items.unwrap_or_default() {
            let Some(at) = text(&item, "history_at") else { continue };
            part.upper.clone_from(&at);
            if at != known {
                part.read.push_back((at, item));
            }
        }
        if part.upper.is_empty() {
            part.is_over = true;
        }
        Ok(())
    }

    /// Up to `limit` entries of one part that ended from `from` up to, not including, `to` (ms), oldest first, after
    /// `after`, each with its place. Less than `limit`: nothing is left.
    pub async fn oldest(
        &self,
        shard: u32,
        from: i64,
        to: i64,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, Option<Entry>)>, StoreError> {
        let (least, greatest) = (after.map_or_else(|| time(from), |cursor| cursor.0.clone()), time(to));
        if least > greatest {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut start = None;
        while found.len() < limit {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("history")
                .key_condition_expression("history_shard = :shard AND history_at BETWEEN :least AND :greatest")
                .expression_attribute_values(":shard", s(name(shard)))
                .expression_attribute_values(":least", s(&least))
                .expression_attribute_values(":greatest", s(&greatest))
                .limit(i32::try_from(limit + 1 - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("list ended submissions", e))?;
            for item in output.items.unwrap_or_default() {
                let Some(at) = text(&item, "history_at").filter(|at| after.is_none_or(|known| known.0 != *at)) else { continue };
                found.push((Cursor(at), entry(&item, i64::MIN)));
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// What is set when a submission ends, as the rest of an expression that has something before it.
pub(super) const fn list(submission: &Submission) -> &'static str {
    // The submissions of a rescan are a matter of the originals.
    if matches!(submission.source, Source::Rescan) {
        ""
    } else {
        ", history_shard = :history_shard, history_at = :history_at, history_entry = :history_entry"
    }
}

/// The values of [`list`].
pub(super) fn ended(update: UpdateItemFluentBuilder, submission: &Submission, outcome: &Outcome) -> Result<UpdateItemFluentBuilder, StoreError> {
    if list(submission).is_empty() {
        return Ok(update);
    }
    Ok(update
        .expression_attribute_values(":history_shard", s(name(shard(&submission.id))))
        .expression_attribute_values(":history_at", s(format!("{}-{}", time(outcome.finished_at), submission.id.group())))
        .expression_attribute_values(":history_entry", json(&Entry::of(submission, outcome))?))
}

fn entry(item: &Item, now: i64) -> Option<Entry> {
    if is_expired(item, now) {
        return None;
    }
    // One that can not be read must not hide the others.
    parsed(item, "history_entry").unwrap_or_else(|error| {
        tracing::error!(at = text(item, "history_at"), error = %crate::error::chain(&error), "an entry of the history is unreadable");
        None
    })
}

/// In order as text as in time.
fn time(ms: i64) -> String {
    format!("{:013}", ms.clamp(0, LAST_MS))
}

fn shard(id: &DataId) -> u32 {
    id.group().bytes().fold(0_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b))) % SHARDS
}

fn name(shard: u32) -> String {
    format!("h{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_out_is_a_cursor() {
        assert!(Cursor::parse("1700000000000-0123456789abcdef01234567").is_some());
        for wrong in ["", "-", "1700000000000", "170000000000-0123456789abcdef01234567", "1700000000000-0123456789abcdef0123456g", "1700000000000~"] {
            assert!(Cursor::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_range_has_its_begin_and_not_its_end_and_goes_on_before_the_cursor() {
        let filter = Filter { from: Some(5), to: Some(9), ..Filter::default() };
        let (least, greatest) = filter.range(None).unwrap();
        let key = |ms| format!("{}-0123", time(ms));
        assert!(key(5) > least && key(8) < greatest && key(9) > greatest && key(4) < least);
        let cursor = Cursor(key(7));
        assert_eq!(filter.range(Some(&cursor)).unwrap().1, key(7));
        assert!(Filter { from: Some(9), to: Some(5), ..Filter::default() }.range(None).is_none());
        assert!(Filter::default().range(None).unwrap().1 > key(i64::MAX));
    }
}
