//! Login, sessions, users, roles and user directories (contract §1.1, §1.5, §5).
//!
//! What always holds: nobody gives, or takes over, rights that he does not have; and however many administrators work side by
//! side, no change is lost and one administrator who can get in is left ([`portcullis_core::auth::accounts::world`]).

mod directories;
mod login;
mod me;
mod revision;
mod roles;
mod sessions;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};
use portcullis_core::auth::Authenticator;
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::{self, routes::Function};
use portcullis_core::store::settings::Settings;

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("auth");
    let table = reader.text("PORTCULLIS_TABLE");
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let auth = Authenticator::read(&mut reader, clients, settings);
    reader.finish(())?;
    let handlers = Router::new()
        .route("/login", post(login::login))
        .route("/logout", post(login::logout))
        .route("/user/me", get(me::me))
        .route("/user/changepassword", post(login::change_password))
        .route("/admin/user", get(users::list).post(users::create))
        .route("/admin/user/{id}", get(users::read).put(users::update).delete(users::delete))
        .route("/admin/user/{id}/unlock", post(users::unlock))
        .route("/admin/user/{id}/session", get(sessions::list).delete(sessions::end_all))
        .route("/admin/user/{id}/session/{session_id}", delete(sessions::end))
        .route("/admin/role", get(roles::list).post(roles::create))
        .route("/admin/role/{id}", get(roles::read).put(roles::update).delete(roles::delete))
        .route("/admin/userdirectory", get(directories::list).post(directories::create))
        .route("/admin/userdirectory/{id}", get(directories::read).put(directories::update).delete(directories::delete))
        .with_state(auth);
    Ok(http::service(Function::Auth, handlers))
}
