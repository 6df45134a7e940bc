//! From the start of a bootstrap to its first answer, as Lambda sees it, against a function that only says hello.
//!
//! ```text
//! cargo build --release --workspace --bin auth --bin upload --bin results --bin admin --example hello
//! cargo bench --workspace --bench coldstart
//! ```
//!
//! Each bootstrap is started against a Runtime API of this process with the environment that `template.yaml` gives it,
//! gets one event of `events/`, and answers with the help of the embedded services. `PORTCULLIS_BOOTSTRAPS` names
//! another folder with the functions' binaries (the `lambda` folder of `cargo lambda build`, say),
//! `PORTCULLIS_BENCH_ROUNDS` another number of rounds. The sizes are of the binary as
//! built (the release profile strips it) and in a deflated zip file, as it is uploaded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking and prints its table"
)]

#[path = "../../../tests/support/own_host.rs"]
#[allow(dead_code, unreachable_pub, reason = "every benchmark uses a part")]
mod own_host;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use portcullis_local::host::Host;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The key in the events.
const KEY: &str = "portcullis-ci-admin-key";
const ROUNDS: usize = 11;
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest zip file of an API function, in MiB.
const ZIPPED_TARGET: f64 = 12.0;

/// Bootstraps and the event each gets. Those of `results` and `admin` read the table.
const FUNCTIONS: [(&str, &str); 5] = [
    ("hello", "admin/version.json"),
    ("auth", "auth/logout-without-key.json"),
    ("upload", "upload/file-without-key.json"),
    ("results", "results/file-rules.json"),
    ("admin", "admin/version.json"),
];

/// One start.
struct Start {
    /// To the first question for work.
    ready: Duration,
    /// To the first answer.
    answer: Duration,
    /// CPU time to the first answer, as far as the system tells.
    cpu: Duration,
    status: u64,
}

fn main() {
    let rounds = std::env::var("PORTCULLIS_BENCH_ROUNDS").map_or(ROUNDS, |n| n.parse().expect("PORTCULLIS_BENCH_ROUNDS is a number"));
    portcullis_core::telemetry::start("warn,s3s=error,dynoxide=error", false);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run(rounds));
}

async fn run(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let host = own_host::start(folder.path(), KEY, &[]).await;

    let mut starts: BTreeMap<&str, Vec<Start>> = BTreeMap::new();
    for round in 0..=rounds {
        for (name, event) in FUNCTIONS {
            let start = start(&host, name, event).await;
            // The first round reads the binaries from disk.
            if round > 0 {
                starts.entry(name).or_default().push(start);
            }
        }
    }
    println!("## Cold start: {rounds} starts each, medians\n");
    println!(
        "| function | event | status | spawn to ready | spawn to answer | / hello | CPU | / hello | binary | zipped (target <= {ZIPPED_TARGET} MiB) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let of = |name: &str, value: fn(&Start) -> Duration| median(starts.get(name).unwrap().iter().map(value).collect());
    for (name, event) in FUNCTIONS {
        let (answer, cpu) = (of(name, |s| s.answer), of(name, |s| s.cpu));
        let ratio = |value: Duration, hello: Duration| value.as_secs_f64() / hello.as_secs_f64();
        let binary = std::fs::read(bootstrap(name)).unwrap();
        println!(
            "| {name} | {event} | {} | {} | {} | {:.2} | {} | {:.2} | {:.1} MiB | {:.1} MiB |",
            starts.get(name).unwrap().first().unwrap().status,
            ms(of(name, |s| s.ready)),
            ms(answer),
            ratio(answer, of("hello", |s| s.answer)),
            ms(cpu),
            ratio(cpu, of("hello", |s| s.cpu)),
            mib(binary.len()),
            mib(zipped(&binary)),
        );
    }
    host.stop().await;
}

/// Where the binary of a function is.
fn bootstrap(name: &str) -> PathBuf {
    // This benchmark is target/<profile>/deps/coldstart-<hash>.
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let path = if name == "hello" {
        built.join("examples/hello")
    } else {
        let path = std::env::var_os("PORTCULLIS_BOOTSTRAPS").map_or(built, PathBuf::from).join(name);
        // `cargo lambda build` gives each function a folder.
        if path.is_dir() { path.join("bootstrap") } else { path }
    };
    assert!(path.is_file(), "`{}` is not there; the head of this file says how it is built", path.display());
    path
}

async fn start(host: &Host, name: &str, event: &str) -> Start {
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(event);
    let (mut answers, address) = runtime_api(std::fs::read_to_string(&event).unwrap()).await;
    let function = host.topology.functions.iter().find(|function| function.binary == name);
    let mut command = tokio::process::Command::new(bootstrap(name));
    command.env_clear().envs(function.map(|function| function.env.clone()).unwrap_or_default());
    command.envs([
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_ENDPOINT_URL", &host.access.endpoint),
        ("AWS_ACCESS_KEY_ID", &host.access.access_key),
        ("AWS_SECRET_ACCESS_KEY", &host.access.secret_key),
        ("AWS_REGION", &host.access.region),
        ("PATH", "/usr/bin:/bin"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let started = Instant::now();
    let mut process = command.spawn().unwrap();
    let within = async {
        tokio::select! {
            answers = &mut answers => answers.unwrap(),
            status = process.wait() => panic!("`{name}` ended: {status:?}"),
        }
    };
    let (ready, answer, body) = tokio::time::timeout(PATIENCE, within).await.unwrap_or_else(|_| panic!("`{name}` did not answer"));
    let cpu = process.id().map(cpu_of).unwrap_or_default();
    process.kill().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let status = body["statusCode"].as_u64().unwrap();
    assert!(status < 500, "`{name}` answered {body}");
    Start { ready: ready - started, answer: answer - started, cpu, status }
}

type Answered = (Instant, Instant, Bytes);

/// What the stub knows: the event until it is asked for, when that was, and who waits for the answer.
struct Invocation {
    event: Mutex<Option<String>>,
    asked: Mutex<Option<Instant>>,
    answered: Mutex<Option<oneshot::Sender<Answered>>>,
}

/// A Runtime API for one invocation. Returns what ends with the answer, and `host:port`.
async fn runtime_api(event: String) -> (oneshot::Receiver<Answered>, String) {
    let (answered, receiver) = oneshot::channel();
    let invocation = Invocation { event: Mutex::new(Some(event)), asked: Mutex::default(), answered: Mutex::new(Some(answered)) };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .fallback(unexpected)
        .with_state(Arc::new(invocation));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (receiver, address)
}

async fn next(State(invocation): State<Arc<Invocation>>) -> Response {
    let Some(event) = invocation.event.lock().unwrap().take() else { return std::future::pending().await };
    *invocation.asked.lock().unwrap() = Some(Instant::now());
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:benchmark"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"),
    ];
    (headers, event).into_response()
}

async fn response(State(invocation): State<Arc<Invocation>>, body: Bytes) -> StatusCode {
    let (answered, asked) = (invocation.answered.lock().unwrap().take().unwrap(), invocation.asked.lock().unwrap().unwrap());
    assert!(answered.send((asked, Instant::now(), body)).is_ok(), "the benchmark has ended");
    StatusCode::ACCEPTED
}

/// A function that reports an error never answers: the time runs out, and this says why.
async fn unexpected(request: axum::extract::Request) -> StatusCode {
    println!("the function called {} {}", request.method(), request.uri());
    StatusCode::ACCEPTED
}

/// Time that the threads of a process ran so far.
fn cpu_of(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let times =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok()?.split_whitespace().next()?.parse::<u64>().ok());
    Duration::from_nanos(times.sum())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Bytes of a zip file with this bootstrap.
fn zipped(binary: &[u8]) -> usize {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(binary).unwrap();
    zip.finish().unwrap().into_inner().len()
}
