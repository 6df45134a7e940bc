//! `GET /user/me` (ours): who is calling, and what he may do.

use axum::Json;
use portcullis_core::auth::Caller;
use portcullis_core::http::error::{ApiError, ErrorCode};
use serde_json::{Value, json};

/// The caller's own name, roles and rights; 403 without a good key.
pub(crate) async fn me(caller: Caller) -> Result<Json<Value>, ApiError> {
    let account = caller.account().ok_or(ErrorCode::Forbidden)?;
    let user = &account.user;
    Ok(Json(json!({
        "id": user.id,
        "name": user.name,
        "username": user.username(),
        "display_name": user.display_name,
        "roles": user.roles,
        "rights": account.rights.to_wire(),
    })))
}
