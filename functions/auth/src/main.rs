//! Lambda entry point of the function `auth`.

use lambda_http::Error;
use portcullis_core::{aws::Clients, config::Env, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::of_process();
    telemetry::start(&env.log_filter(), true);
    let clients = Clients::from_env().await?;
    lambda_http::run(portcullis_auth::router(&env, &clients)?).await
}
