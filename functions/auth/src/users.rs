//! Creating and listing users (contract U1, U2). Changing and deleting them comes with user management.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::auth::roles::{self, Right};
use portcullis_core::auth::{Authenticator, Caller, password};
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{FIRST_ADMIN_ID, User, digest};
use serde::{Deserialize, Serialize};

/// A user as it is sent in. `api_key` is what some clients call `apikey` (contract §5.4).
#[derive(Deserialize)]
pub(crate) struct NewUser {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    email: String,
    roles: Vec<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, alias = "api_key")]
    apikey: Option<String>,
}

/// A user as it is shown: never with password or key.
#[derive(Serialize)]
pub(crate) struct ShownUser {
    id: u64,
    name: String,
    display_name: String,
    email: String,
    directory_id: u64,
    roles: Vec<String>,
}

impl From<User> for ShownUser {
    fn from(user: User) -> Self {
        Self { id: user.id, name: user.name, display_name: user.display_name, email: user.email, directory_id: 1, roles: user.roles }
    }
}

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::with_text(ErrorCode::BadRequest, text)
}

/// `POST /admin/user`.
pub(crate) async fn create(State(auth): State<Authenticator>, caller: Caller, body: Body) -> Result<Json<ShownUser>, ApiError> {
    let by = caller.require(Right::UsersWrite)?;
    let new: NewUser = body::json(body).await?;
    if new.name.is_empty() || new.name.len() > 128 || new.name.chars().any(|c| c.is_control() || c == '/') {
        return Err(bad("`name` has 1 to 128 characters, none of them a slash or a control character."));
    }
    // A role nobody knows would be a user who may do nothing, or later something unexpected.
    if let Some(unknown) = new.roles.iter().find(|role| roles::find(role).is_none()) {
        return Err(bad(format!("Role `{unknown}` does not exist.")));
    }
    if let Some(key) = &new.apikey
        && !((16..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(bad("`apikey` has 16 to 128 visible ASCII characters."));
    }
    let password_hash = match new.password {
        Some(password) => {
            let hash = tokio::task::spawn_blocking(move || password::hash(&password)).await;
            Some(hash.map_err(|e| ApiError::caused(ErrorCode::Internal, e))?.map_err(bad)?)
        }
        None => None,
    };
    let user = User {
        id: auth.identity().next_user_id().await?,
        display_name: if new.display_name.is_empty() { new.name.clone() } else { new.display_name },
        name: new.name,
        email: new.email,
        roles: new.roles,
        apikey_sha256: new.apikey.as_deref().map(digest),
        password_hash,
    };
    match auth.identity().create_user(auth.audit(), by, &user).await {
        Ok(()) => Ok(Json(user.into())),
        Err(StoreError::Conflict { .. }) => Err(ApiError::with_text(ErrorCode::Conflict, "A user with this name or key exists.")),
        Err(error) => Err(error.into()),
    }
}

/// `GET /admin/user`.
pub(crate) async fn list(State(auth): State<Authenticator>, caller: Caller) -> Result<Json<Vec<ShownUser>>, ApiError> {
    caller.require(Right::UsersRead)?;
    let last = auth.identity().last_user_id().await?;
    let mut users = Vec::new();
    for id in FIRST_ADMIN_ID..=last {
        users.extend(auth.identity().user(id).await?.map(ShownUser::from));
    }
    Ok(Json(users))
}
