//! The client: HTTP/1.1, TLS with the system's roots, no redirects, no proxies, no cookies.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, Refused};
use crate::guard::{Guard, target};
use crate::policy::Policy;
use crate::resolve::{Judged, Resolve, System};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Portcullis/", env!("CARGO_PKG_VERSION")));
/// How long a connection is kept for the next request: shorter than receivers keep theirs.
const IDLE: Duration = Duration::from_secs(4);
/// Of the answer to a POST only the status counts; this much is read so that the connection can be used again.
const DRAINED: u64 = 64 * 1024;
const DRAINING: Duration = Duration::from_secs(1);

/// Time limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the name to the TCP connection.
    pub connect: Duration,
    /// Of the whole request, the answer's body included.
    pub total: Duration,
    /// Between two parts of a body.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(10), stalled: Duration::from_secs(10) }
    }
}

/// Who certificates are believed from.
pub(crate) type Roots = Box<dyn Fn() -> rustls::RootCertStore + Send + Sync>;
type Http = Pool<HttpsConnector<HttpConnector<Judged>>, Full<Bytes>>;

/// Makes guarded requests. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    guard: Guard,
    limits: Limits,
    resolver: Arc<dyn Resolve>,
    roots: Roots,
    http: OnceLock<Result<Http, rustls::Error>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("guard", &self.inner.guard).field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// Status line and headers of a successful answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// 200–299.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
}

impl Head {
    /// `Content-Length`, if it was said.
    pub fn length(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

/// A body that comes piece by piece and never exceeds its limit.
#[derive(Debug)]
pub struct Body {
    /// What came before it.
    pub head: Head,
    incoming: Incoming,
    taken: u64,
    limit: u64,
    stalled: Duration,
    ends: Instant,
}

impl Client {
    /// With the system's resolver.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        Self::with_resolver(policy, limits, Arc::new(System))
    }

    /// With a resolver of one's own. What it answers is judged like the system's answers.
    pub fn with_resolver(policy: Policy, limits: Limits, resolver: Arc<dyn Resolve>) -> Self {
        Self::with_roots(policy, limits, resolver, Box::new(system_roots))
    }

    /// With other roots than the system's: for the tests of this crate, nobody else can.
    pub(crate) fn with_roots(policy: Policy, limits: Limits, resolver: Arc<dyn Resolve>, roots: Roots) -> Self {
        Self { inner: Arc::new(Inner { guard: Guard::new(policy), limits, resolver, roots, http: OnceLock::new() }) }
    }

    /// What it checks URLs with.
    pub fn guard(&self) -> &Guard {
        &self.inner.guard
    }

    /// `HEAD`.
    ///
    /// # Errors
    /// Every answer but 2xx is one.
    pub async fn head(&self, url: &str) -> Result<Head, Error> {
        let ends = Instant::now() + self.inner.limits.total;
        let (parts, _) = self.send(Method::HEAD, url, HeaderMap::new(), Bytes::new(), ends).await?.into_parts();
        succeeded(Head { status: parts.status.as_u16(), headers: parts.headers })
    }

    /// `GET`: the body is read by [`Body::chunk`] and has at most `limit` bytes.
    ///
    /// # Errors
    /// Every answer but 2xx is one; so is an announced length above `limit`.
    pub async fn get(&self, url: &str, headers: HeaderMap, limit: u64) -> Result<Body, Error> {
        let ends = Instant::now() + self.inner.limits.total;
        let (parts, incoming) = self.send(Method::GET, url, headers, Bytes::new(), ends).await?.into_parts();
        let head = succeeded(Head { status: parts.status.as_u16(), headers: parts.headers })?;
        if incoming.size_hint().lower() > limit {
            return Err(Error::TooLarge(limit));
        }
        Ok(Body { head, incoming, taken: 0, limit, stalled: self.inner.limits.stalled, ends })
    }

    /// `POST` of JSON; answers the status, which is 200–299. The answer's body is not looked at.
    ///
    /// # Errors
    /// Every answer but 2xx is one.
    pub async fn post(&self, url: &str, json: Bytes, mut headers: HeaderMap) -> Result<u16, Error> {
        let ends = Instant::now() + self.inner.limits.total;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (parts, incoming) = self.send(Method::POST, url, headers, json, ends).await?.into_parts();
        let head = succeeded(Head { status: parts.status.as_u16(), headers: parts.headers })?;
        let mut rest = Body { head, incoming, taken: 0, limit: DRAINED, stalled: DRAINING, ends: ends.min(Instant::now() + DRAINING) };
        while let Ok(Some(_)) = rest.chunk().await {}
        Ok(rest.head.status)
    }

    async fn send(&self, method: Method, url: &str, headers: HeaderMap, body: Bytes, ends: Instant) -> Result<Response<Incoming>, Error> {
        let url = self.inner.guard.check(url)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target(&url)?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let http = self.inner.http.get_or_init(|| self.inner.connect()).as_ref().map_err(|error| Error::Connect(error.clone().into()))?;
        match timeout_at(ends, http.request(request)).await {
            Err(_) => Err(Error::Timeout),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failed(error)),
        }
    }
}

impl Inner {
    /// Made at the first request: reading the system's roots takes milliseconds that a cold start need not spend.
    fn connect(&self) -> Result<Http, rustls::Error> {
        let judged = Judged { resolver: Arc::clone(&self.resolver), policy: self.guard.policy().clone() };
        let mut tcp = HttpConnector::new_with_resolver(judged);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.limits.connect));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls((self.roots)())?);
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let mut pool = Pool::builder(TokioExecutor::new());
        Ok(pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector))
    }
}

/// The system's roots (`SSL_CERT_FILE` names others).
pub(crate) fn system_roots() -> rustls::RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate can not be read");
    }
    let mut roots = rustls::RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::error!(unusable, "there are no root certificates: requests to https will fail");
    }
    roots
}

/// TLS 1.2 and 1.3 with ring, as the SDK has it.
fn tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn succeeded(head: Head) -> Result<Head, Error> {
    match head.status {
        200..=299 => Ok(head),
        300..=399 => Err(Error::Redirect(head.status)),
        status => Err(Error::Status(status)),
    }
}

/// What the client library says, sorted: a refusal of the resolver is found at the end of the chain.
fn failed(error: hyper_util::client::legacy::Error) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Error::Refused(*refused);
        }
        if cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return Error::Timeout;
        }
        source = cause.source();
    }
    if error.is_connect() { Error::Connect(error.into()) } else { Error::Broken(error.into()) }
}

impl Body {
    /// The next piece; `None` at the end, which is reached only when all of the body came.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as soon as more than the limit came, [`Error::Timeout`], [`Error::Broken`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout_at(self.ends, timeout(self.stalled, self.incoming.frame()));
            let frame = frame.await.map_err(|_| Error::Timeout)?.map_err(|_| Error::Timeout)?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing here.
            let Ok(data) = frame.map_err(|error| Error::Broken(error.into()))?.into_data() else { continue };
            self.taken += data.len() as u64;
            if self.taken > self.limit {
                return Err(Error::TooLarge(self.limit));
            }
            return Ok(Some(data));
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut whole = Vec::new();
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}
