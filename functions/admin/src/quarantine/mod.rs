//! What is held in quarantine (ours): listed, taken out as a locked ZIP, released, deleted.
//!
//! What always holds: everything but looking is in the audit log before it happens; nothing here changes a verdict; what
//! Object Lock protects is not deleted, and whoever asks is told until when.

mod pack;

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::id::DataId;
use portcullis_core::http::body::{self, header, query};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};
use portcullis_core::http::path::Named;
use portcullis_core::store::StoreError;
use portcullis_core::store::copies::Copied;
use portcullis_core::store::quarantine::{Held, Release};
use serde_json::{Value, json};

use crate::Admin;

/// Items of a page without a `size`.
const PAGE: usize = 50;
/// Items of a page, at most.
const MAX_PAGE: usize = 500;
/// Life of a link to what was packed or released.
const LINK: Duration = Duration::from_mins(15);
/// Password of the ZIP when nobody names one: what people who exchange malware expect.
const PASSWORD: &str = "infected";
/// Characters of a password.
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 1..=128;
/// Prefix of what was released, in the upload bucket: nothing there is scanned, or let out by anything but its link.
const RELEASED: &str = "released/";

/// `GET /admin/quarantine`: newest first.
pub(crate) async fn list(State(admin): State<Admin>, caller: Caller, uri: Uri) -> Result<Json<Value>, ApiError> {
    caller.require(Right::QuarantineRead)?;
    let size = query(&uri, "size").map(|size| size.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size)));
    let size = size.unwrap_or(Some(PAGE)).ok_or_else(|| bad(format!("`size` is not a whole number from 1 to {MAX_PAGE}.")))?;
    let cursor = query(&uri, "cursor").filter(|cursor| !cursor.is_empty());
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > 64 || !cursor.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')) {
        return Err(bad("`cursor` is none that was given out."));
    }
    let page = admin.quarantine.page(cursor.as_deref(), size).await?;
    let mut answer = json!({ "entries": page.items.iter().map(shown).collect::<Vec<_>>() });
    if let (Some(next), Some(answer)) = (page.next, answer.as_object_mut()) {
        answer.insert("cursor".into(), next.into());
    }
    Ok(Json(answer))
}

/// `GET /admin/quarantine/{data_id}`.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller, Named(id): Named) -> Result<Json<Value>, ApiError> {
    caller.require(Right::QuarantineRead)?;
    Ok(Json(shown(&admin.held(&id).await?.0)))
}

/// `GET /admin/quarantine/{data_id}/download`: a link to the file in a ZIP that only a password opens.
pub(crate) async fn download(State(admin): State<Admin>, caller: Caller, headers: HeaderMap, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::QuarantineRead)?;
    let password = header(&headers, "zip-password").unwrap_or_else(|| PASSWORD.to_owned());
    if !PASSWORD_LENGTH.contains(&password.chars().count()) {
        return Err(bad("`zip-password` has not 1 to 128 characters."));
    }
    let (held, _) = admin.held(&id).await?;
    if held.size > pack::LARGEST {
        let text =
            format!("The file has `{}` bytes, more than the {} that are packed: take it from the quarantine bucket.", held.size, pack::LARGEST);
        return Err(bad(text));
    }
    admin.auth.audit().note(&Change::event(by, "quarantine.download", target(&held))).await?;
    let packed = pack::pack(&admin.objects, &held, &admin.report_bucket, &password).await?;
    let link = admin.objects.link(&packed, &format!("{id}.zip"), LINK).await?;
    Ok(Json(json!({ "url": link, "expires": expires(), "size": packed.size, "sha256": held.sha256 })))
}

/// `POST /admin/quarantine/{data_id}/restore`: lets a copy out, by a link; the verdict stays what it is.
pub(crate) async fn restore(State(admin): State<Admin>, caller: Caller, Named(id): Named, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::QuarantineWrite)?;
    let sent = body::bytes(body).await?;
    let sent = if sent.is_empty() { bytes::Bytes::from_static(b"{}") } else { sent };
    let reason = Fields::parse(&sent, &["reason"]).and_then(|mut fields| fields.text("reason", 0..=1000)).map_err(bad)?.unwrap_or_default();
    let (before, revision) = admin.held(&id).await?;
    let release = Release { by: by.name.clone(), at: now_ms(), reason, key: format!("{RELEASED}{}", before.data_id) };
    let after = Held { release: Some(release.clone()), ..before.clone() };
    let change = Change::of(by, "quarantine.restore", target(&before), &before.release, &after.release);
    // Told before it happens: a copy that fails is asked for again, one that nobody told of could not be found.
    changed(admin.auth.audit().with(&change, "release from quarantine", vec![admin.quarantine.change(&after, revision)?]).await)?;
    let data_id = after.data_id.to_string();
    let tags = [("portcullis:verdict", "released".to_owned()), ("portcullis:data_id", data_id.clone())];
    let to = Copied { bucket: &admin.upload_bucket, key: &release.key, sha256: &after.sha256, data_id: &data_id, tags: &tags };
    let copy = admin.objects.copy_proven(&after.object, to).await?.object;
    let link = admin.objects.link(&copy, &data_id, LINK).await?;
    let mut answer = shown(&after);
    answer["url"] = link.into();
    answer["expires"] = expires().into();
    Ok(Json(answer))
}

/// How far S3's clock may be behind ours, ms: it decides when a lock has ended, and a deletion before is an error.
const CLOCKS: i64 = 2_000;

/// `DELETE /admin/quarantine/{data_id}`: for good. 409 with the date while the object is locked.
pub(crate) async fn delete(State(admin): State<Admin>, caller: Caller, Named(id): Named) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::QuarantineWrite)?;
    let (held, revision) = admin.held(&id).await?;
    // The lock itself is asked: somebody may have made it longer, or shorter.
    let locked_until = admin.objects.locked_until(&held.object).await?.unwrap_or_default();
    if locked_until != 0 && locked_until + CLOCKS > now_ms() {
        let text = format!("The file is locked until `{}` and can not be deleted before.", iso(locked_until));
        return Err(ApiError::with_text(ErrorCode::Conflict, text));
    }
    let doomed = Held { deleting: true, ..held.clone() };
    let change = Change::of(by, "quarantine.delete", target(&held), &shown(&held), &Value::Null);
    changed(admin.auth.audit().with(&change, "delete from quarantine", vec![admin.quarantine.change(&doomed, revision)?]).await)?;
    admin.objects.remove_version(&held.object).await?;
    admin.quarantine.remove(&held.data_id).await?;
    Ok(Json(json!({ "data_id": held.data_id, "deleted": true })))
}

impl Admin {
    async fn held(&self, id: &str) -> Result<(Held, i64), ApiError> {
        let id = DataId::parse(id).ok_or(ErrorCode::NotFound)?;
        self.quarantine.get(&id).await?.ok_or_else(|| ErrorCode::NotFound.into())
    }
}

fn changed(result: Result<(), StoreError>) -> Result<(), ApiError> {
    match result {
        Err(StoreError::Conflict { .. }) => {
            Err(ApiError::with_text(ErrorCode::Conflict, "Somebody else changed this at the same moment: read it again."))
        }
        result => Ok(result?),
    }
}

fn target(held: &Held) -> String {
    format!("quarantine/{}", held.data_id)
}

fn expires() -> String {
    iso(now_ms() + i64::try_from(LINK.as_millis()).unwrap_or_default())
}

fn shown(held: &Held) -> Value {
    let mut shown = json!({
        "data_id": held.data_id,
        "display_name": held.name,
        "size": held.size,
        "sha256": held.sha256,
        "code": held.code,
        "text": held.code.text(),
        "reason": held.reason,
        "rule": held.rule,
        "username": held.owner.as_ref().map_or("", |owner| owner.username.as_str()),
        "source": held.source,
        "origin": format!("{}/{}", held.origin.bucket, held.origin.key),
        "moved": held.moved,
        "held_at": iso(held.held_at),
        "locked_until": if held.locked_until > 0 { iso(held.locked_until) } else { String::new() },
    });
    if let Some(release) = &held.release {
        shown["released"] = json!({ "by": release.by, "at": iso(release.at), "reason": release.reason });
    }
    shown
}
