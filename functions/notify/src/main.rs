//! Lambda entry point of the function `notify`.

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use portcullis_core::{aws::Clients, config::Env, telemetry};
use portcullis_notify::Notify;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::of_process();
    telemetry::start(&env.log_filter(), true);
    let clients = Clients::from_env().await?;
    let notify = Arc::new(Notify::new(&env, &clients, Box::new(std::io::stdout()))?);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let notify = Arc::clone(&notify);
        async move { Ok::<_, Error>(notify.handle(event.payload).await) }
    }))
    .await
}
