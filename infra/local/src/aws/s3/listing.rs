//! Listing keys and versions in the order of their UTF-8 bytes, with prefix, delimiter and paging.

use rusqlite::{Connection, params};

use super::Buckets;
use super::error::Failure;
use super::rows::{self, BucketRow, COLUMNS, Version};

/// What to list.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) bucket: String,
    pub(super) prefix: String,
    /// Keys that share the text up to this one count as one entry.
    pub(super) delimiter: Option<String>,
    /// List what sorts behind this key (or common prefix).
    pub(super) after_key: String,
    /// With versions: list what is older than this version of `after_key`.
    pub(super) after_version: Option<String>,
    /// Entries at most.
    pub(super) limit: usize,
    /// All versions and delete markers, or only what can be read.
    pub(super) versions: bool,
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Version>,
    pub(super) prefixes: Vec<String>,
    /// Where the next page begins, when there is one: key or prefix, and version.
    pub(super) next: Option<(String, Option<String>)>,
}

/// Rows read per statement.
const BATCH: usize = 1000;
/// Sorts behind every key that continues the text before it.
const BEHIND: char = char::MAX;

impl Buckets {
    /// One page of the bucket.
    pub(super) async fn page(&self, query: Query) -> Result<(BucketRow, Page), Failure> {
        self.inner.db.read(move |conn| Ok((rows::bucket(conn, &query.bucket)?, page(conn, &query)?))).await
    }
}

/// Position in the order of keys and, within a key, of versions from new to old.
struct Cursor {
    key: String,
    /// Versions of `key` with a smaller sequence come next; 0 when the key is done.
    below: i64,
}

fn page(conn: &Connection, query: &Query) -> Result<Page, Failure> {
    let mut page = Page::default();
    if query.limit == 0 {
        return Ok(page);
    }
    let mut cursor = start(conn, query)?;
    loop {
        let rows = batch(conn, query, &cursor)?;
        let last = rows.len() < BATCH;
        let mut skipped = false;
        for row in rows {
            let shared = query.delimiter.as_ref().filter(|d| !d.is_empty()).and_then(|delimiter| {
                let at = row.key.get(query.prefix.len()..)?.find(delimiter.as_str())?;
                row.key.get(..query.prefix.len() + at + delimiter.len()).map(str::to_owned)
            });
            if page.entries.len() + page.prefixes.len() >= query.limit {
                page.next = Some(marker(&page, query));
                return Ok(page);
            }
            if let Some(prefix) = shared {
                // Nothing else below the prefix needs to be read.
                cursor = Cursor { key: format!("{prefix}{BEHIND}"), below: 0 };
                page.prefixes.push(prefix);
                skipped = true;
                break;
            }
            cursor = Cursor { key: row.key.clone(), below: row.seq };
            page.entries.push(row);
        }
        if last && !skipped {
            return Ok(page);
        }
    }
}

fn start(conn: &Connection, query: &Query) -> Result<Cursor, Failure> {
    let after = &query.after_key;
    let delimiter = query.delimiter.as_deref().filter(|d| !d.is_empty());
    // A marker that is a common prefix stands for everything below it.
    if delimiter.is_some_and(|d| after.ends_with(d) && after.len() > query.prefix.len()) {
        return Ok(Cursor { key: format!("{after}{BEHIND}"), below: 0 });
    }
    let below = match &query.after_version {
        Some(version) => rows::find(conn, &query.bucket, after, Some(version))?.map_or(0, |row| row.seq),
        None => 0,
    };
    Ok(Cursor { key: after.clone(), below })
}

fn batch(conn: &Connection, query: &Query, cursor: &Cursor) -> Result<Vec<Version>, Failure> {
    let visible = if query.versions { "" } else { "AND is_latest = 1 AND delete_marker = 0" };
    let sql = format!(
        "SELECT {COLUMNS} FROM objects
         WHERE bucket = ?1 AND key >= ?2 AND key >= ?3 AND key < ?4 AND (key > ?3 OR seq < ?5) {visible}
         ORDER BY key, seq DESC LIMIT ?6"
    );
    let end = format!("{}{BEHIND}{BEHIND}", query.prefix);
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![query.bucket, query.prefix, cursor.key, end, cursor.below, limit], Version::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The last thing the page says: the next one begins behind it.
fn marker(page: &Page, query: &Query) -> (String, Option<String>) {
    let entry = page.entries.last();
    let prefix = page.prefixes.last();
    match (entry, prefix) {
        (Some(entry), prefix) if prefix.is_none_or(|prefix| *prefix < entry.key) => (entry.key.clone(), query.versions.then(|| entry.id.clone())),
        (_, Some(prefix)) => (prefix.clone(), None),
        _ => (query.after_key.clone(), query.after_version.clone()),
    }
}
