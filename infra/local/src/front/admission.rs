//! Who comes in, and how much of it at a time: what API Gateway does before the functions on Lambda.
//!
//! What always holds: of the headers that proxies write only the last address of `X-Forwarded-For` counts, and only when the
//! connection comes from the load balancer. It takes the connection's place, and is taken from the header.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use portcullis_core::http::body::AnyLength;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::routes::LEGACY_PREFIX;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tower::ServiceExt;

use super::pace::Paced;
use super::{FrontOptions, Service};

/// Path of the load balancer's question: 200 while this process takes requests and reaches the table. `/readyz` says more, by
/// a policy that looks at engines and the queue; those are no reason to replace a front.
pub const HEALTH: &str = "/livez";
/// Bodies up to this length, in bytes, do not count as large.
const SMALL: u64 = 64 * 1024;
/// Larger bodies that are no uploads (JSON of at most 1 MiB), side by side.
const OTHERS: usize = 32;
const FORWARDED: &str = "x-forwarded-for";

struct Guard {
    api: Router,
    load_balancer: Vec<IpNet>,
    uploads: Semaphore,
    /// Places for large bodies of other kinds: who sends those slowly keeps no upload out.
    others: Semaphore,
    logins: Logins,
    stopping: watch::Receiver<bool>,
    cutting: watch::Receiver<bool>,
}

/// The API behind its guard.
pub(super) fn guarded(api: Router, options: &FrontOptions, stopping: watch::Receiver<bool>, cutting: watch::Receiver<bool>) -> Service {
    let guard = Arc::new(Guard {
        api,
        load_balancer: options.load_balancer.clone(),
        uploads: Semaphore::new(options.max_uploads),
        others: Semaphore::new(OTHERS),
        logins: Logins::new(options.logins_per_second),
        stopping,
        cutting,
    });
    Router::new().fallback(move |request: Request| Arc::clone(&guard).admit(request))
}

impl Guard {
    async fn admit(self: Arc<Self>, mut request: Request) -> Response {
        if request.method() == Method::GET && request.uri().path() == HEALTH {
            return self.health().await;
        }
        if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
            let client = behind(&self.load_balancer, peer, request.headers_mut());
            request.extensions_mut().insert(ConnectInfo(client));
        }
        let path = request.uri().path();
        let path = path.strip_prefix(LEGACY_PREFIX).unwrap_or(path);
        if request.method() == Method::POST && path == "/login" && !self.logins.take(Instant::now()) {
            return too_busy();
        }
        let large = request.body().size_hint().upper().is_none_or(|size| size > SMALL);
        let places = if path.starts_with("/file") { &self.uploads } else { &self.others };
        let _place = match large.then(|| places.try_acquire()) {
            Some(Err(_)) => {
                tracing::warn!("a large request was turned away: as many are running as may");
                return too_busy();
            }
            Some(Ok(place)) => Some(place),
            None => None,
        };
        request.extensions_mut().insert(AnyLength);
        let cutting = self.cutting.clone();
        let request = request.map(|body| if body.is_end_stream() { body } else { Body::new(Paced::new(body, cutting)) });
        self.api.clone().oneshot(request).await.into_response()
    }

    async fn health(&self) -> Response {
        if *self.stopping.borrow() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let asked = Request::builder().uri("/readyz?verbose=true").body(Body::empty());
        let Ok(asked) = asked else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let (_, body) = self.api.clone().oneshot(asked).await.into_response().into_parts();
        let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
        let ready: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if ready["database"]["status"] == true { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }.into_response()
    }
}

fn too_busy() -> Response {
    ApiError::from(ErrorCode::TooBusy).into_response()
}

/// Who is behind the load balancer; whoever connects from elsewhere is who he connects as.
fn behind(load_balancer: &[IpNet], peer: SocketAddr, headers: &mut HeaderMap) -> SocketAddr {
    let connected = peer.ip().to_canonical();
    if !load_balancer.iter().any(|network| network.contains(&connected)) {
        return peer;
    }
    let lists: Vec<&str> = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok()).collect();
    let all = lists.join(",");
    let (others, last) = all.rsplit_once(',').unwrap_or(("", &all));
    let Some(client) = address(last.trim()) else { return peer };
    let others = HeaderValue::from_str(others.trim()).ok().filter(|others| !others.is_empty());
    match others {
        Some(others) => drop(headers.insert(FORWARDED, others)),
        None => drop(headers.remove(FORWARDED)),
    }
    client
}

/// An address as load balancers write it: with a port or without.
fn address(text: &str) -> Option<SocketAddr> {
    let alone = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|| text.parse().ok())
}

/// As many attempts as come in a second may come at once.
struct Logins {
    per_second: f64,
    left: Mutex<(f64, Instant)>,
}

impl Logins {
    fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), left: Mutex::new((f64::from(per_second), Instant::now())) }
    }

    fn take(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = *left;
        let tokens = (tokens + now.duration_since(at).as_secs_f64() * self.per_second).min(self.per_second);
        let taken = tokens >= 1.0;
        *left = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> (String, Vec<String>) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        let client = behind(&["10.0.0.0/8".parse().unwrap()], peer.parse().unwrap(), &mut headers);
        (client.ip().to_string(), headers.get_all(FORWARDED).iter().map(|value| value.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn only_the_last_hop_and_only_of_the_load_balancer_counts() {
        let is = |ip: &str, left: &[&str]| (ip.to_owned(), left.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(seen("192.0.2.1:9", &["198.51.100.7"]), is("192.0.2.1", &["198.51.100.7"]), "no load balancer");
        assert_eq!(seen("10.1.1.1:9", &["198.51.100.7"]), is("198.51.100.7", &[]));
        assert_eq!(seen("[::ffff:10.1.1.1]:9", &["198.51.100.7:4711"]), is("198.51.100.7", &[]));
        assert_eq!(seen("10.1.1.1:9", &["2001:db8::1"]), is("2001:db8::1", &[]));
        // A client inside of the load balancer's networks does not become whoever it says.
        assert_eq!(seen("10.1.1.1:9", &["6.6.6.6, 10.9.9.9"]), is("10.9.9.9", &["6.6.6.6"]));
        assert_eq!(seen("10.1.1.1:9", &["6.6.6.6", "7.7.7.7,198.51.100.7"]), is("198.51.100.7", &["6.6.6.6,7.7.7.7"]));
        assert_eq!(seen("10.1.1.1:9", &["nonsense"]), is("10.1.1.1", &["nonsense"]));
        assert_eq!(seen("10.1.1.1:9", &[]), is("10.1.1.1", &[]));
    }

    #[tokio::test]
    async fn logins_come_at_their_rate() {
        let (logins, now) = (Logins::new(2), Instant::now());
        assert_eq!([0; 3].map(|_| logins.take(now)), [true, true, false]);
        assert!(!logins.take(now + Duration::from_millis(400)));
        assert!(logins.take(now + Duration::from_millis(600)));
        let later = now + Duration::from_secs(60);
        assert_eq!([0; 3].map(|_| logins.take(later)), [true, true, false]);
    }
}
