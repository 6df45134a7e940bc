//! `POST /login` and `POST /logout`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use portcullis_core::audit::Change;
use portcullis_core::auth::{Actor, Authenticator, key_of, password};
use portcullis_core::clock::now_ms;
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::origin::Origin;
use portcullis_core::store::identity::{FIRST_ADMIN_NAME, KeyOwner, Session, digest};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
pub(crate) struct Credentials {
    user: String,
    password: String,
}

/// A session id for good credentials. Unknown user, wrong password and no password look and cost the same.
pub(crate) async fn login(State(auth): State<Authenticator>, origin: Origin, body: Body) -> Result<Response, ApiError> {
    let given: Credentials = body::json(body).await?;
    // Clients that show users as `LOCAL/admin` may send them so.
    let name = given.user.strip_prefix("LOCAL/").unwrap_or(&given.user).to_owned();
    let mut user = auth.identity().user_by_name(&name).await?;
    if user.is_none() && name == FIRST_ADMIN_NAME && auth.ensure_first_admin().await? {
        user = auth.identity().user_by_name(&name).await?;
    }
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let fits = tokio::task::spawn_blocking(move || password::verify(&given.password, hash.as_deref()))
        .await
        .map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
    let Some(user) = user.filter(|_| fits) else {
        auth.audit().note(&Change::event(Actor::anonymous(origin), "login.failed", "user")).await?;
        return Err(ErrorCode::LoginFailed.into());
    };
    let (session_id, now) = (uuid::Uuid::new_v4().simple().to_string(), now_ms());
    let session = Session { user_id: user.id, created_at: now, last_used: now };
    let expires = auth.session_settings().await?.item_expiry(now);
    auth.identity().create_session(&digest(&session_id), &session, expires).await?;
    auth.audit().note(&Change::event(Actor::user(&user, origin), "login", format!("user/{}", user.id))).await?;
    Ok(Json(json!({ "session_id": session_id })).into_response())
}

/// Ends the session. A static key can not log out: it has no session.
pub(crate) async fn logout(State(auth): State<Authenticator>, origin: Origin, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    let Some(key) = key_of(&headers, &uri) else { return Err(ErrorCode::LogoutError.into()) };
    let digest = digest(&key);
    match auth.identity().owner_of_key(&digest).await? {
        Some(KeyOwner::Session(session)) => {
            auth.identity().delete_session(&digest).await?;
            if let Some(user) = auth.identity().user(session.user_id).await? {
                auth.audit().note(&Change::event(Actor::user(&user, origin), "logout", format!("user/{}", user.id))).await?;
            }
            Ok(Json(json!({ "response": "Logout success" })).into_response())
        }
        // The contract's own exception to `err` (§1.1 A2).
        _ => Ok((StatusCode::FORBIDDEN, Json(json!({ "response": "Access denied" }))).into_response()),
    }
}
