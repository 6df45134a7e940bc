//! Login, logout and users (contract §1.1, §1.5, §5).

mod login;
mod me;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
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
        .route("/admin/user", get(users::list).post(users::create))
        .with_state(auth);
    Ok(http::service(Function::Auth, handlers))
}
