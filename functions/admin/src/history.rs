//! `GET /admin/history` (ours): ended submissions, newest first.
//!
//! What always holds: without the right to read results of others a caller sees only his own, whatever he asks for.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, parse_iso};
use portcullis_core::domain::verdict::Code;
use portcullis_core::http::body::query;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::history::{Cursor, Entry, Filter};
use serde_json::{Value, json};

use crate::Admin;

/// Entries of a page without a `size`.
const PAGE: usize = 50;
/// Entries of a page, at most.
const MAX_PAGE: usize = 500;

/// A page of the list. It may be shorter than asked for, and go on all the same: `cursor` tells.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller, uri: Uri) -> Result<Json<Value>, ApiError> {
    let user = &caller.require_key()?.user;
    let asked = Asked::read(&uri).map_err(|problem| ApiError::with_text(ErrorCode::BadRequest, problem))?;
    let user_id = (!caller.may(Right::ScanLogRead)).then_some(user.id);
    let page = admin.history.page(&Filter { user_id, ..asked.filter }, asked.cursor.as_ref(), asked.size).await?;
    let entries: Vec<Value> = page.entries.iter().map(shown).collect();
    let mut answer = json!({ "entries": entries });
    if let (Some(next), Some(answer)) = (page.next, answer.as_object_mut()) {
        answer.insert("cursor".into(), next.as_str().into());
    }
    Ok(Json(answer))
}

fn shown(entry: &Entry) -> Value {
    let mut shown = json!({
        "data_id": entry.data_id,
        "display_name": entry.name,
        "size": entry.size,
        "sha256": entry.sha256,
        "code": entry.code,
        "text": entry.code.text(),
        "result": if entry.code.is_blocked() { "Blocked" } else { "Allowed" },
        "rule": entry.rule,
        "username": entry.owner.as_ref().map_or("", |owner| owner.username.as_str()),
        "source": entry.source,
        "children": entry.children,
        "created_at": iso(entry.created_at),
        "ended_at": iso(entry.ended_at),
        "total_ms": (entry.ended_at - entry.created_at).max(0),
        "scan_ms": (entry.ended_at - entry.started_at).max(0),
    });
    if let (Some(at), Some(shown)) = (entry.revised_at, shown.as_object_mut()) {
        shown.insert("revised_at".into(), iso(at).into());
    }
    shown
}

/// What the query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    filter: Filter,
    cursor: Option<Cursor>,
    size: usize,
}

impl Asked {
    /// Reads a query; a problem names its field.
    fn read(uri: &Uri) -> Result<Self, String> {
        const FIELDS: [&str; 9] = ["from", "to", "code", "result", "rule", "q", "username", "size", "cursor"];
        let sent = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        if let Some(unknown) = sent.filter(|name| !name.is_empty() && *name != "apikey").find(|name| !FIELDS.contains(name)) {
            return Err(format!("There is no parameter `{unknown}`."));
        }
        let text = |name| query(uri, name).filter(|text| !text.is_empty());
        let time =
            |name| text(name).map(|text| parse_iso(&text).ok_or_else(|| format!("`{name}` is no time like `2026-01-31T12:00:00Z`."))).transpose();
        let code =
            text("code").map(|code| code.parse().ok().and_then(Code::from_value).ok_or_else(|| format!("`code` is no outcome code: `{code}`.")));
        let blocked = text("result").map(|result| match result.to_ascii_lowercase().as_str() {
            "blocked" => Ok(true),
            "allowed" => Ok(false),
            _ => Err("`result` is neither `Allowed` nor `Blocked`.".to_owned()),
        });
        let size = text("size").map(|size| {
            size.parse()
                .ok()
                .filter(|size| (1..=MAX_PAGE).contains(size))
                .ok_or_else(|| format!("`size` is not a whole number from 1 to {MAX_PAGE}."))
        });
        let cursor = text("cursor").map(|cursor| Cursor::parse(&cursor).ok_or("`cursor` is none that was given out."));
        Ok(Self {
            filter: Filter {
                from: time("from")?,
                to: time("to")?,
                code: code.transpose()?,
                blocked: blocked.transpose()?,
                rule: text("rule"),
                name: text("q"),
                user_id: None,
                username: text("username"),
            },
            cursor: cursor.transpose()?,
            size: size.transpose()?.unwrap_or(PAGE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &'static str) -> Result<Asked, String> {
        Asked::read(&Uri::from_static(query))
    }

    #[test]
    fn a_query_is_read_and_what_is_wrong_is_named() {
        let all =
            asked("/admin/history?apikey=x&from=2026-01-31&to=2026-02-01T12:00:00%2B01:00&code=1&result=blocked&rule=a+b&q=inv&size=7").unwrap();
        assert_eq!((all.filter.from, all.filter.to), (parse_iso("2026-01-31T00:00:00Z"), parse_iso("2026-02-01T11:00:00Z")));
        assert_eq!((all.filter.code, all.filter.blocked, all.size), (Some(Code::Infected), Some(true), 7));
        assert_eq!((all.filter.rule.as_deref(), all.filter.name.as_deref()), (Some("a b"), Some("inv")));
        let none = asked("/admin/history?from=&q=").unwrap();
        assert_eq!(none, Asked { filter: Filter::default(), cursor: None, size: PAGE });
        for (query, named) in [
            ("/admin/history?from=yesterday", "`from`"),
            ("/admin/history?to=5", "`to`"),
            ("/admin/history?code=999", "`code`"),
            ("/admin/history?code=4", "`code`"),
            ("/admin/history?result=maybe", "`result`"),
            ("/admin/history?size=0", "`size`"),
            ("/admin/history?size=501", "`size`"),
            ("/admin/history?cursor=abc", "`cursor`"),
            ("/admin/history?page=2", "`page`"),
        ] {
            let problem = asked(query).unwrap_err();
            assert!(problem.contains(named), "{query}: {problem}");
        }
    }
}
