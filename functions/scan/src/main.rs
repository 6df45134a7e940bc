//! Lambda entry point of the function `scan`; also the worker process it starts.

use std::process::ExitCode;
use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use portcullis_core::{aws::Clients, config::Env, telemetry};
use portcullis_engines::worker;
use portcullis_scan::{HostOptions, Scan};

fn main() -> Result<ExitCode, Error> {
    if worker::is_worker_invocation() {
        return Ok(worker::main());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve())?;
    Ok(ExitCode::SUCCESS)
}

async fn serve() -> Result<(), Error> {
    let env = Env::of_process();
    telemetry::start(&env.log_filter(), true);
    let host = HostOptions { executable: std::env::current_exe()?, test_hooks: false };
    let scan = Arc::new(Scan::new(&env, &Clients::from_env().await?, host)?);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let (scan, ends_at) = (Arc::clone(&scan), i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
        async move { Ok::<_, Error>(scan.handle(event.payload, ends_at).await) }
    }))
    .await
}
