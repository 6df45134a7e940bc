//! Login, logout and users (contract §1.1, §1.5, §5).

mod login;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use portcullis_core::auth::{Authenticator, FirstAdmin};
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::http::{self, routes::Function};
use portcullis_core::store::{identity::Identity, settings::Settings};

/// The function's router, from its environment.
///
/// # Errors
/// All problems of the configuration, together.
pub fn router(env: &Env, clients: &Clients) -> Result<Router, ConfigError> {
    let mut reader = env.reader("auth");
    let table = reader.text("PORTCULLIS_TABLE");
    let first_admin = FirstAdmin::read(&mut reader);
    reader.finish(())?;
    let settings = Arc::new(Settings::new(clients.dynamodb().clone(), &table));
    let auth = Authenticator::new(Identity::new(clients.dynamodb().clone(), &table), settings, first_admin);
    let handlers = Router::new()
        .route("/login", post(login::login))
        .route("/logout", post(login::logout))
        .route("/admin/user", get(users::list).post(users::create))
        .with_state(auth);
    Ok(http::service(Function::Auth, handlers))
}
