//! DynamoDB: dynoxide on a database file, on threads of its own.
//!
//! dynoxide works synchronously inside its request handler and offers its full request checking only behind a
//! listener. So it runs on a runtime of its own (a long scan stalls nobody else) behind a private loopback port, and
//! calls are passed on over kept-alive connections. What always holds: the runtime ends with the last handle.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;

/// Prefixes of `X-Amz-Target` that are DynamoDB's.
pub(super) const TARGETS: [&str; 2] = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."];

/// How often items past their TTL are deleted. Readers filter them anyway; AWS takes up to days.
const TTL_SWEEP: Duration = Duration::from_mins(1);

/// Handle on the running DynamoDB.
#[derive(Debug, Clone)]
pub(super) struct DynamoDb {
    addr: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Dropped with the last handle, which ends the thread.
    _stop: Arc<oneshot::Sender<()>>,
}

impl DynamoDb {
    /// Opens the file and starts the thread.
    pub(super) fn start(path: &Path) -> Result<Self, String> {
        let path = path.to_str().ok_or_else(|| format!("`{}` is not UTF-8", path.display()))?;
        let db = dynoxide::Database::new(path).map_err(|error| error.to_string())?;
        // Sets `synchronous = NORMAL`, as for the other database: by default every write waits for the disk, which in
        // WAL mode guards against power cuts only and costs most of the time of a small file.
        db.disable_bulk_loading().map_err(|error| error.to_string())?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let addr = listener.local_addr().map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dynamodb")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, db, stopped));
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(|error| error.to_string())?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { addr, client, _stop: Arc::new(stop) })
    }

    /// Passes the call on and answers what dynoxide answered.
    pub(super) async fn forward(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let Ok(uri) = Uri::try_from(format!("http://{}{path}", self.addr)) else {
            return unavailable();
        };
        parts.uri = uri;
        // The body is whole by now: its length is known, whatever the caller's transfer was.
        parts.headers.remove(http::header::TRANSFER_ENCODING);
        parts.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let answered = async {
            let (mut parts, body) = self.client.request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::from_parts(parts, body))
        };
        answered.await.unwrap_or_else(|error| {
            tracing::error!(%error, "DynamoDB did not answer");
            unavailable()
        })
    }
}

async fn serve(listener: std::net::TcpListener, db: dynoxide::Database, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "DynamoDB cannot listen"),
    };
    let sweeper = tokio::spawn(sweep(db.clone()));
    tokio::select! {
        () = dynoxide::server::serve_on(listener, db) => {}
        _ = stopped => {}
    }
    sweeper.abort();
}

async fn sweep(db: dynoxide::Database) {
    loop {
        tokio::time::sleep(TTL_SWEEP).await;
        let db = db.clone();
        match tokio::task::spawn_blocking(move || db.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the TTL sweep failed"),
            Err(error) => tracing::warn!(%error, "the TTL sweep stopped"),
        }
    }
}

fn unavailable() -> Response<Bytes> {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"not available"}"#;
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}
