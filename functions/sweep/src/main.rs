//! Lambda entry point of the function `sweep`.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use portcullis_core::{aws::Clients, config::Env, telemetry};
use portcullis_sweep::Sweep;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::of_process();
    telemetry::start(&env.log_filter(), true);
    let sweep = Arc::new(Sweep::new(&env, &Clients::from_env().await?)?);
    lambda_runtime::run(service_fn(move |_schedule: LambdaEvent<Value>| {
        let sweep = Arc::clone(&sweep);
        async move { Ok::<_, Error>(sweep.run().await?) }
    }))
    .await
}
