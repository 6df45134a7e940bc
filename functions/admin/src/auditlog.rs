//! `GET /admin/auditlog` (ours): who changed what, newest first.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use portcullis_core::audit::{Entry, Filter};
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms, parse_iso};
use portcullis_core::http::body::query;
use portcullis_core::http::error::ApiError;
use portcullis_core::http::fields::bad;
use serde_json::{Value, json};

use crate::Admin;

/// Entries of a page without a `size`.
const PAGE: usize = 50;
/// Entries of a page, at most.
const MAX_PAGE: usize = 500;
/// Longest name with its directory that is asked for, in bytes.
const LONGEST_USER: usize = 512;
/// Without `from`, entries of this time before `to`, ms.
const WINDOW: i64 = 31 * 24 * 3_600_000;

/// A page of the log. It may be shorter than asked for, and go on all the same: `cursor` tells.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller, uri: Uri) -> Result<Json<Value>, ApiError> {
    caller.require(Right::ConfigLogRead)?;
    let asked = Asked::read(&uri, now_ms()).map_err(bad)?;
    let page = admin.auth.audit().page(&asked.filter, asked.cursor.as_deref(), asked.size).await?;
    let entries: Vec<Value> = page.entries.iter().map(shown).collect();
    let mut answer = json!({ "entries": entries });
    if let Some(next) = page.next {
        answer["cursor"] = json!(next);
    }
    Ok(Json(answer))
}

fn shown(entry: &Entry) -> Value {
    json!({
        "time": iso(entry.at),
        "user": entry.user,
        "user_id": entry.user_id.unwrap_or_default(),
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
        "ip": entry.ip,
        "request_id": entry.request_id,
    })
}

/// What the query asks for.
#[derive(Debug)]
struct Asked {
    filter: Filter,
    cursor: Option<String>,
    size: usize,
}

impl Asked {
    /// Reads a query; a problem names its parameter.
    fn read(uri: &Uri, now: i64) -> Result<Self, String> {
        const FIELDS: [&str; 6] = ["from", "to", "user", "action", "size", "cursor"];
        let sent = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        if let Some(unknown) = sent.filter(|name| !name.is_empty() && *name != "apikey").find(|name| !FIELDS.contains(name)) {
            return Err(format!("There is no parameter `{unknown}`."));
        }
        let text = |name| query(uri, name).filter(|text| !text.is_empty());
        let time =
            |name| text(name).map(|text| parse_iso(&text).ok_or_else(|| format!("`{name}` is no time like `2026-01-31T12:00:00Z`."))).transpose();
        // What is being written now is of this millisecond.
        let to = time("to")?.unwrap_or(now + 1);
        let size = text("size").map(|size| {
            let size = size.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size));
            size.ok_or_else(|| format!("`size` is not a whole number from 1 to {MAX_PAGE}."))
        });
        let cursor = text("cursor").map(|cursor| {
            let given_out = cursor.len() == 13 || (cursor.len() == 30 && cursor.get(13..14) == Some("-"));
            let time = cursor.get(..13).is_some_and(|at| at.bytes().all(|b| b.is_ascii_digit()));
            let tail = cursor.get(14..).is_none_or(|tail| tail.bytes().all(|b| b.is_ascii_hexdigit()));
            if given_out && time && tail { Ok(cursor) } else { Err("`cursor` is none that was given out.".to_owned()) }
        });
        let user = text("user");
        if user.as_ref().is_some_and(|user| user.len() > LONGEST_USER) {
            return Err(format!("`user` has more than {LONGEST_USER} bytes."));
        }
        let known =
            |text: String| if text.contains('/') || ["anonymous", "system"].contains(&text.as_str()) { text } else { format!("LOCAL/{text}") };
        Ok(Self {
            filter: Filter { from: time("from")?.unwrap_or(to - WINDOW), to, user: user.map(known), action: text("action") },
            cursor: cursor.transpose()?,
            size: size.transpose()?.unwrap_or(PAGE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_what_is_wrong_is_named() {
        let asked = |query: &'static str| Asked::read(&Uri::from_static(query), 1_700_000_000_000);
        let all = asked("/x?apikey=k&from=2026-01-31&to=2026-02-01&user=ann&action=user&size=7&cursor=1700000000000-0123456789abcdef").unwrap();
        assert_eq!((all.filter.from, all.filter.to), (1_769_817_600_000, 1_769_904_000_000));
        assert_eq!((all.filter.user.as_deref(), all.filter.action.as_deref(), all.size), (Some("LOCAL/ann"), Some("user"), 7));
        assert_eq!(all.cursor.as_deref(), Some("1700000000000-0123456789abcdef"));
        assert_eq!(asked("/x?user=corp/bob").unwrap().filter.user.as_deref(), Some("corp/bob"));
        let none = asked("/x").unwrap();
        assert_eq!((none.filter.to - none.filter.from, none.size), (WINDOW, PAGE));
        for (query, named) in [
            ("/x?from=yesterday", "`from`"),
            ("/x?to=1", "`to`"),
            ("/x?size=0", "`size`"),
            ("/x?size=501", "`size`"),
            ("/x?cursor=17", "`cursor`"),
            ("/x?cursor=17000000000000123456789abcdefff", "`cursor`"),
            ("/x?page=1", "`page`"),
        ] {
            let problem = asked(query).unwrap_err();
            assert!(problem.contains(named), "{query}: {problem}");
        }
    }
}
