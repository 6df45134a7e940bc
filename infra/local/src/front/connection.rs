//! Accepts connections and serves HTTP/1.1 on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::{ServiceExt, service_fn};

use super::pace::Attended;
use super::{FrontOptions, Service, given};

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 2048;
/// How much longer than the load balancer a connection is kept: it must not end while a request is on its way.
const LONGER: Duration = Duration::from_secs(15);
/// Largest head of a request, in bytes.
const HEAD: usize = 64 * 1024;

/// Accepts until `stopping`, then waits until all requests have ended.
pub(super) async fn accept(
    listener: TcpListener,
    service: Service,
    options: Arc<FrontOptions>,
    mut stopping: watch::Receiver<bool>,
    cutting: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await.map_err(std::io::Error::other)?;
            listener.accept().await.map(|(socket, peer)| (socket, peer, place))
        };
        tokio::select! {
            accepted = accepted => match accepted {
                Ok((socket, peer, place)) => {
                    let served = serve(socket, peer, service.clone(), Arc::clone(&options), stopping.clone(), cutting.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file descriptors and the like: wait instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = given(&mut stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    service: Service,
    options: Arc<FrontOptions>,
    mut stopping: watch::Receiver<bool>,
    mut cutting: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        service.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the request before: it is the time a connection may rest as well.
        .header_read_timeout(options.idle + LONGER)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Attended::new(socket)), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = given(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            let cut_off = async {
                given(&mut cutting).await;
                // Requests that read their body answer at once; whoever only waits for a slow client does not.
                tokio::time::sleep(super::CLEANING / 2).await;
            };
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = cut_off => return tracing::debug!("a connection was cut off"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
