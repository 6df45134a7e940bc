//! `POST /login`, `POST /logout` and `POST /user/changepassword` (contract A1–A3, §5.1, §5.3).
//!
//! What always holds: unknown user, wrong password, no password, disabled and locked look the same and cost the same; no password
//! is good while a lock is in force, however many are tried side by side.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::accounts::{ATTEMPTS, World};
use portcullis_core::auth::directory::{Directory, Kind};
use portcullis_core::auth::{Actor, Authenticator, FileCaller, key_of, password};
use portcullis_core::clock::now_ms;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad, strict};
use portcullis_core::http::origin::Origin;
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{FIRST_ADMIN_NAME, KeyOwner, LOCAL_DIRECTORY, Opened, Refused, Replaced, Session, User, digest};
use serde_json::{Value, json};

use crate::revision::too_busy;

/// Somebody who may log in, with his revision and his directory.
struct Known {
    user: User,
    revision: u64,
    directory: Directory,
}

/// A session id for good credentials.
pub(crate) async fn login(State(auth): State<Authenticator>, origin: Origin, body: Body) -> Result<Response, ApiError> {
    // Fields that are not known are passed over here: clients of other versions send more.
    let sent = strict(&body::bytes(body).await?).map_err(bad)?;
    let text = |name: &str| sent.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| bad(format!("`{name}` is missing or no text.")));
    let (name, password) = (text("user")?, text("password")?);
    for _ in 0..ATTEMPTS {
        let known = find(&auth, &name).await?;
        let failures = auth.identity().failures(known.as_ref().map_or(0, |known| known.user.id), now_ms()).await?;
        let fits = verified(known.as_ref(), &password).await?;
        let now = now_ms();
        let Some(Known { user, revision, .. }) = known.as_ref().filter(|_| fits && !failures.is_locked(now)) else {
            failed(&auth, &origin, known.as_ref().map(|known| (&known.user, &known.directory))).await?;
            return Err(ErrorCode::LoginFailed.into());
        };
        let session_id = uuid::Uuid::new_v4().simple().to_string();
        let session = Session { user_id: user.id, created_at: now, last_used: now, ip: origin.ip.map(|ip| ip.to_string()) };
        let expires = auth.session_settings().await?.item_expiry(now);
        let change = Change::event(Actor::user(user, origin.clone()), "login", format!("user/{}", user.id));
        match auth.identity().open_session(auth.audit(), &change, (user, *revision), &digest(&session_id), &session, expires).await? {
            Opened::Yes => return Ok(Json(json!({ "session_id": session_id })).into_response()),
            // Verified again: now the lock is seen, or the new password.
            Opened::Locked | Opened::UserChanged => {}
        }
    }
    Err(ErrorCode::LoginFailed.into())
}

/// The user of a login name, `user` or `directory/user`, if he may log in.
async fn find(auth: &Authenticator, name: &str) -> Result<Option<Known>, ApiError> {
    let (directory, name) = name.split_once('/').unwrap_or((LOCAL_DIRECTORY, name));
    let directories = auth.directories().await?;
    let mut user = auth.identity().user_in(directory, name).await?;
    if user.is_none() && directory == LOCAL_DIRECTORY && name == FIRST_ADMIN_NAME && auth.ensure_first_admin().await? {
        user = auth.identity().user_in(directory, name).await?;
    }
    let directory = directories.by_name(directory).filter(|directory| directories.lets_in(directory.id));
    Ok(user.filter(|(user, _)| user.enabled).zip(directory).map(|((user, revision), directory)| Known {
        user,
        revision,
        directory: directory.clone(),
    }))
}

/// Whether the password is the user's: the one place where credentials are verified, by the kind of the directory.
async fn verified(known: Option<&Known>, given: &str) -> Result<bool, ApiError> {
    match known.map_or(Kind::Local, |known| known.directory.kind) {
        Kind::Local => fits(given, known.and_then(|known| known.user.password_hash.clone())).await,
        // Not built: nobody of them can be enabled, and nobody gets in.
        Kind::Ad | Kind::Ldap | Kind::Saml => Ok(false),
    }
}

async fn fits(given: &str, hash: Option<String>) -> Result<bool, ApiError> {
    let given = given.to_owned();
    password::apart(move || password::verify(&given, hash.as_deref())).await
}

/// Counts a failed login and locks when it was one too many; while a lock is in force it only goes to the audit log.
async fn failed(auth: &Authenticator, origin: &Origin, user: Option<(&User, &Directory)>) -> Result<(), ApiError> {
    let by = || Actor::anonymous(origin.clone());
    let Some((user, directory)) = user else {
        return Ok(auth.audit().note(&Change::event(by(), "login.failed", "unknown user")).await?);
    };
    let target = format!("user/{}", user.id);
    // Each attempt that meets another one has seen it counted: after as many as lock, there is a lock.
    for _ in 0..=directory.sign_ins.saturating_add(ATTEMPTS as u64) {
        let now = now_ms();
        let failures = auth.identity().failures(user.id, now).await?;
        if directory.sign_ins == 0 || directory.lockout == 0 || failures.is_locked(now) {
            return Ok(auth.audit().note(&Change::event(by(), "login.failed", target)).await?);
        }
        let locks = failures.count + 1 >= directory.sign_ins;
        let until = locks.then(|| now.saturating_add(i64::try_from(directory.lockout * 60_000).unwrap_or(i64::MAX)));
        let change = Change::event(by(), if locks { "login.locked" } else { "login.failed" }, target.clone());
        match auth.identity().count_failure(auth.audit(), &change, user.id, &failures, until, now).await {
            Err(StoreError::Conflict { .. }) => {}
            result => return Ok(result?),
        }
    }
    tracing::warn!(target, "a failed login could not be counted: others came first each time");
    Ok(())
}

/// Ends the session. A static key can not log out: it has no session.
pub(crate) async fn logout(State(auth): State<Authenticator>, origin: Origin, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    let Some(key) = key_of(&headers, &uri) else { return Err(ErrorCode::LogoutError.into()) };
    let digest = digest(&key);
    match auth.identity().owner_of_key(&digest).await? {
        Some(KeyOwner::Session(session)) => {
            auth.identity().delete_session(&digest, &session).await?;
            if let Some(user) = auth.identity().user(session.user_id).await? {
                auth.audit().note(&Change::event(Actor::user(&user, origin), "logout", format!("user/{}", user.id))).await?;
            }
            Ok(Json(json!({ "response": "Logout success" })).into_response())
        }
        // The contract's own exception to `err` (§1.1 A2).
        _ => Ok((StatusCode::FORBIDDEN, Json(json!({ "response": "Access denied" }))).into_response()),
    }
}

/// A new password for the user of the key. His other sessions end; a wrong old password counts as a failed login.
pub(crate) async fn change_password(State(auth): State<Authenticator>, FileCaller(caller): FileCaller, body: Body) -> Result<Json<Value>, ApiError> {
    let id = caller.user().ok_or(ErrorCode::BadKey)?.id;
    let mut fields = Fields::read(body, &["old_password", "new_password"]).await?;
    let mut text = |name: &str| {
        let text = fields.text(name, 0..=1024).and_then(|text| fields.required(name, text));
        text.map_err(bad)
    };
    let (old, new) = (text("old_password")?, text("new_password")?);
    let clear = new.clone();
    let mut hash = None;
    for _ in 0..ATTEMPTS {
        let world = World::read(&auth).await?;
        let (before, revision) = auth.identity().versioned(id).await?.ok_or(ErrorCode::BadKey)?;
        let directory = world.directories.by_id(before.directory_id).ok_or(ErrorCode::BadKey)?;
        let locked = auth.identity().failures(id, now_ms()).await?.is_locked(now_ms());
        if locked || !fits(&old, before.password_hash.clone()).await? {
            failed(&auth, caller.origin(), Some((&before, directory))).await?;
            return Err(bad("The old password is wrong."));
        }
        password::policy(&new, &before.name, directory.enhanced_password_policy).map_err(|problem| bad(format!("`new_password`: {problem}")))?;
        if old == new {
            return Err(bad("`new_password` is the old one."));
        }
        if hash.is_none() {
            let clear = clear.clone();
            hash = Some(password::apart(move || password::hash(&clear)).await?.map_err(bad)?);
        }
        let after =
            User { password_hash: hash.clone(), sessions_since: now_ms(), kept_session: caller.session().map(str::to_owned), ..before.clone() };
        let change = Change {
            by: caller.actor(),
            action: "user.password",
            target: format!("user/{id}"),
            before: before.told(),
            after: after.told_changed(&before),
        };
        // A lock that came meanwhile counts, however many guess side by side.
        let unlocked = auth.identity().unlocked(id, now_ms())?;
        let replaced = Replaced { before: Some((before, revision)), after };
        match auth.identity().change_many(auth.audit(), &change, vec![unlocked], &[replaced], Some(world.guard)).await? {
            None => return Ok(Json(json!({ "success": true }))),
            Some(Refused::Name | Refused::Key | Refused::Revision | Refused::Guard) => {}
        }
    }
    Err(too_busy())
}
