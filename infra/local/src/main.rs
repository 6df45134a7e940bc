//! `portcullis`: everything in one process; also the worker process it starts.

use std::io::{Read, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use portcullis_core::auth::password;
use portcullis_core::aws::Clients;
use portcullis_core::config::Env;
use portcullis_core::error::chain;
use portcullis_core::telemetry;
use portcullis_engines::worker;
use portcullis_local::banner;
use portcullis_local::cli::{self, Cli, Command, Serve};
use portcullis_local::front::Front;
use portcullis_local::host::Host;

fn main() -> ExitCode {
    if worker::is_worker_invocation() {
        return worker::main();
    }
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::HashPassword) => hash_password(),
        Some(Command::ImportHashes(import)) => import.run().and_then(|line| writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())),
        Some(Command::Yara(yara)) => return ExitCode::from(yara.run()),
        Some(Command::Client(command)) => return ExitCode::from(command.run()),
        Some(Command::Completions(completions)) => completions.run(Cli::command()),
        Some(Command::Man(man)) => man.run(Cli::command()),
        Some(Command::Front(front)) if front.check => front.ask(),
        Some(Command::Front(front)) => run_front(front),
        Some(Command::Serve(serve)) => run(serve),
        None => run(cli.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "portcullis: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> Result<(), String> {
    let filter = std::env::var("PORTCULLIS_LOG").unwrap_or_else(|_| "info,s3s=warn,dynoxide=error".to_owned());
    telemetry::start(&filter, false);
    let options = serve.resolve()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let data_dir = options.data_dir.clone();
        let host = Host::start(options).await.map_err(|e| e.to_string())?;
        banner::print(&host, &data_dir, &mut std::io::stdout()).map_err(|e| e.to_string())?;
        stop_signal().await.map_err(|e| e.to_string())?;
        tracing::info!("stopping");
        host.stop().await;
        Ok(())
    })
}

fn run_front(front: cli::Front) -> Result<(), String> {
    let env = Env::of_process();
    telemetry::start(&env.log_filter(), true);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let clients = Clients::from_env().await.map_err(|e| chain(&e))?;
        let front = Front::start(front.resolve(), &env, &clients).await.map_err(|e| chain(&e))?;
        writeln!(std::io::stdout(), "Portcullis listens on http://{}", front.addr).map_err(|e| e.to_string())?;
        stop_signal().await.map_err(|e| e.to_string())?;
        tracing::info!("stopping");
        front.stop().await;
        Ok(())
    })
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

fn hash_password() -> Result<(), String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| e.to_string())?;
    let hash = password::hash(text.trim_end_matches(['\n', '\r']))?;
    writeln!(std::io::stdout(), "{hash}").map_err(|e| e.to_string())
}
