//! One request: HTTP/1.1, TLS 1.2 and 1.3 with ring and the system's roots, no redirects, no proxies, no cookies.
//!
//! Unlike the functions' guarded client it may go anywhere: the person at the keyboard named the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::error::Error;

/// What is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Portcullis-CLI/", env!("CARGO_PKG_VERSION")));
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence: no byte taken from the body and no answer.
const STALLED: Duration = Duration::from_secs(120);
/// Connections are not kept for longer than servers keep theirs.
const IDLE: Duration = Duration::from_secs(4);
/// Largest answer read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// When something last moved on a request.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<(Instant, AtomicU64)>);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    /// Something moved just now.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.0.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.1.store(now, Ordering::Relaxed);
    }

    fn quiet(&self) -> Duration {
        self.0.0.elapsed().saturating_sub(Duration::from_millis(self.0.1.load(Ordering::Relaxed)))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Makes requests.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pool: Client<HttpsConnector<HttpConnector>, Body>,
}

/// A body that is in memory.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Http {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = tls().map_err(|error| Error::Said(format!("TLS can not be set up: {error}.")))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let mut pool = Client::builder(TokioExecutor::new());
        Ok(Self { pool: pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector) })
    }

    /// Sends and reads the whole answer, whatever its status.
    pub(crate) async fn send(&self, mut request: Request<Body>, pulse: &Pulse) -> Result<Answer, Error> {
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        let origin = origin(request.uri());
        pulse.beat();
        let exchange = async {
            let (parts, body) = self.pool.request(request).await.map_err(|error| describe(&origin, &error))?.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| Error::Unreachable(format!("The answer of `{origin}` broke off: {error}.")))?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        tokio::pin!(exchange);
        loop {
            let left = STALLED.saturating_sub(pulse.quiet());
            if left.is_zero() {
                return Err(Error::Unreachable(format!("`{origin}` did not answer for {} s.", STALLED.as_secs())));
            }
            if let Ok(done) = tokio::time::timeout(left, &mut exchange).await {
                return done;
            }
        }
    }
}

/// The system's roots; `SSL_CERT_FILE` names others.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    // A root that can not be read is a server that can not be proven: told when it is met.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Scheme, host and port: what messages may show. Paths and queries of presigned URLs are not for eyes.
fn origin(uri: &http::Uri) -> String {
    let host = uri.authority().map_or("", |authority| authority.host());
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", uri.scheme_str().unwrap_or("http"))
}

/// What the library says, as one sentence.
fn describe(origin: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let mut cause = Some(error);
    let mut last = error.to_string();
    while let Some(error) = cause {
        last = error.to_string();
        if last == "dns error" {
            return Error::Unreachable(format!("The host of `{origin}` is not known."));
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Error::Said(format!("TLS with `{origin}` failed: {tls}."));
        }
        cause = match error.downcast_ref::<std::io::Error>() {
            // An `io::Error` around another error shows the other one's source, not the other one.
            Some(io) => match io.get_ref() {
                Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
                None => return of_io(origin, io),
            },
            None => error.source(),
        };
    }
    Error::Unreachable(format!("`{origin}` does not answer as a server of this API: {last}."))
}

fn of_io(origin: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof};
    let why = match error.kind() {
        ConnectionRefused => "the connection was refused".to_owned(),
        TimedOut => "nothing answers there".to_owned(),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => "the connection broke".to_owned(),
        _ => error.to_string(),
    };
    Error::Unreachable(format!("`{origin}` could not be reached: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(url: &str) -> Error {
        let request = Request::get(url).body(whole("")).unwrap();
        Http::new().unwrap().send(request, &Pulse::new()).await.unwrap_err()
    }

    /// An address of this machine that nobody listens at.
    async fn deaf() -> std::net::SocketAddr {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn refused_connections_and_broken_ones_are_told_apart_from_foreign_servers() {
        let error = get(&format!("http://{}/file/secret?x=y", deaf().await)).await;
        assert!(error.passes() && error.to_string().ends_with("could not be reached: the connection was refused."), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"220 mail ready\r\n").await;
            }
        });
        let error = get(&format!("http://{address}/")).await;
        assert!(error.to_string().contains("does not answer as a server of this API"), "{error}");
        // And one that speaks no TLS.
        let error = get(&format!("https://{address}/")).await;
        assert!(error.to_string().starts_with("TLS with `https://127.0.0.1"), "{error}");
        assert!(!error.passes());
    }
}
