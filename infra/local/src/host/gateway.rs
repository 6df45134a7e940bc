//! The API: the template's routes on one origin, as the HTTP API in front of Lambda does it.
//!
//! What always holds: a request reaches the function whose route the template names, or the `$default`
//! route's, and carries nothing but what came over the wire, and the address it came from.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, on_service};
use portcullis_core::http::body::AnyLength;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt;
use tower::service_fn;

use super::HostError;
use super::functions::{Functions, Hosted};
use crate::template::Topology;

/// The routes of the template.
pub(crate) fn router(topology: &Topology, functions: &Functions) -> Result<Router, HostError> {
    let mut gateway = Router::new();
    for route in &topology.routes {
        let bad = |problem: &str| HostError::Resource { name: format!("{} {}", route.method, route.path), problem: problem.to_owned() };
        let method = Method::from_bytes(route.method.as_bytes()).map_err(|_| bad("the method is unknown"))?;
        let filter = MethodFilter::try_from(method).map_err(|_| bad("the method is not supported"))?;
        gateway = gateway.route(&route.path, on_service(filter, invoke(functions, &route.function)?));
    }
    let Some(default) = &topology.default_route else { return Ok(gateway) };
    let fallback = invoke(functions, default)?;
    let wrong_verb = fallback.clone();
    Ok(gateway.fallback_service(fallback).method_not_allowed_fallback(move |request: Request| wrong_verb.clone().oneshot(request)))
}

fn invoke(
    functions: &Functions,
    logical_id: &str,
) -> Result<impl tower::Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static, HostError> {
    let Hosted::Http(router) = functions.get(logical_id)? else {
        return Err(HostError::Resource { name: logical_id.to_owned(), problem: "does not answer HTTP".to_owned() });
    };
    let router = router.clone();
    Ok(service_fn(move |mut request: Request| {
        // What the gateway's own matching left behind (path parameters) must not mix with the function's. Who connects stays,
        // and what the host says of the body.
        let extensions = request.extensions_mut();
        let (peer, length) = (extensions.remove::<ConnectInfo<SocketAddr>>(), extensions.remove::<AnyLength>());
        extensions.clear();
        if let Some(peer) = peer {
            extensions.insert(peer);
        }
        if let Some(length) = length {
            extensions.insert(length);
        }
        router.clone().oneshot(request)
    }))
}

/// Serves until told to stop, then lets running requests end.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let stopped = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the API stopped");
    }
}
