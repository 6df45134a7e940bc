//! One listener for four services: `X-Amz-Target` tells DynamoDB, SQS and Secrets Manager, everything else is S3.
//!
//! What always holds: every socket has `TCP_NODELAY` (ten times the requests per second on loopback), and S3 bodies
//! pass through unbuffered.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dynamodb::{self, DynamoDb};
use super::s3;
use super::secrets::{self, Secrets};
use super::sqs::{Queues, wire};

/// Largest JSON request: DynamoDB takes 16 MiB, SQS a batch of 1 MiB plus base64 and JSON.
const MAX_JSON_BYTES: usize = 16 * 1024 * 1024;
/// How long running calls may take after shutdown began.
const GRACE: Duration = Duration::from_secs(5);

/// How often each operation was called: what a test asks that wants to know what an answer cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<String, u64>>>);

impl Calls {
    pub(super) fn of(&self, operation: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(operation).copied().unwrap_or_default()
    }

    fn count(&self, operation: &str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Names come from outside: not any number of them is remembered.
        let room = calls.len() < 200;
        match calls.get_mut(operation) {
            Some(count) => *count += 1,
            None if room => drop(calls.insert(operation.to_owned(), 1)),
            None => {}
        }
    }
}

/// What a connection needs.
#[derive(Debug, Clone)]
pub(super) struct Services {
    pub(super) dynamodb: DynamoDb,
    pub(super) queues: Queues,
    pub(super) secrets: Secrets,
    pub(super) calls: Calls,
    pub(super) s3: s3::Server,
}

/// Returns once the emulator shuts down.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the emulator is gone: closed as well.
    let _ = closing.wait_for(|closed| *closed).await;
}

/// Accepts until `closing` turns true, then waits for the running calls.
pub(super) async fn run(listener: TcpListener, services: Services, closing: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stop = closing.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    connections.spawn(serve(socket, services.clone(), closing.clone()));
                }
                Err(error) => {
                    // Out of file descriptors and the like: wait instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = closed(&mut stop) => break,
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!("calls still running after the grace period are cut off");
    }
}

async fn serve(socket: TcpStream, services: Services, mut closing: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let services = services.clone();
        async move { Ok::<_, Infallible>(dispatch(&services, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log(ended),
        () = closed(&mut closing) => connection.as_mut().graceful_shutdown(),
    }
    log(connection.await);
}

fn log(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn dispatch(services: &Services, request: Request<Incoming>) -> Response<Body> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !target.is_empty() {
        services.calls.count(target);
    }
    if let Some(operation) = target.strip_prefix(wire::TARGET) {
        let operation = operation.to_owned();
        return match collect(request.into_body()).await {
            Ok(body) => wire::handle(&services.queues, &operation, &body).await.map(Body::from),
            Err(status) => empty(status),
        };
    }
    if let Some(operation) = target.strip_prefix(secrets::TARGET) {
        let operation = operation.to_owned();
        return match collect(request.into_body()).await {
            Ok(body) => services.secrets.handle(&operation, &body).await.map(Body::from),
            Err(status) => empty(status),
        };
    }
    if dynamodb::TARGETS.iter().any(|prefix| target.starts_with(prefix)) {
        let (parts, body) = request.into_parts();
        return match collect(body).await {
            Ok(body) => services.dynamodb.forward(Request::from_parts(parts, body)).await.map(Body::from),
            Err(status) => empty(status),
        };
    }
    services.s3.call(request).await
}

async fn collect(body: Incoming) -> Result<bytes::Bytes, StatusCode> {
    match Limited::new(body, MAX_JSON_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
