//! The streaming front: the API functions in one process before the services of an AWS account, for raw bodies that are too
//! large for a Lambda payload. It stands behind a load balancer, in any number of copies.
//!
//! What always holds: it has no state and starts nothing on AWS; names come from the functions' own environment keys,
//! credentials from where the SDK finds them. Scans, webhooks and the sweep stay where they are. Nothing that a client does
//! or leaves undone holds a connection, or memory, for ever.

mod admission;
mod connection;
mod pace;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use portcullis_core::aws::Clients;
use portcullis_core::config::Env;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host::{Functions, HostError, gateway};
use crate::template::{Deployment, Template, Topology};

pub use admission::HEALTH;

/// How long what is cut off may take to clean up behind itself.
const CLEANING: Duration = Duration::from_secs(10);

/// How the front is started.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Networks that the load balancer connects from: its word on who the client is counts.
    pub load_balancer: Vec<IpNet>,
    /// Requests with large bodies at the same time. Each takes some 21 MiB of memory (two pieces and what is around them); more are told to come later.
    pub max_uploads: usize,
    /// Attempts to log in per second; each costs an argon2id computation.
    pub logins_per_second: u32,
    /// The load balancer's idle timeout: connections are kept longer than it keeps them.
    pub idle: Duration,
    /// How long running requests may go on after [`Front::stop`].
    pub drain: Duration,
}

/// A running front.
pub struct Front {
    /// Where it listens.
    pub addr: SocketAddr,
    drain: Duration,
    stop: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Front {
    /// Starts; returns when requests are answered.
    ///
    /// # Errors
    /// See [`HostError`]; all problems of the configuration together.
    pub async fn start(options: FrontOptions, env: &Env, clients: &Clients) -> Result<Self, HostError> {
        let topology = routes()?;
        let functions = Functions::of_api(&topology, env, clients)?;
        let api = gateway::router(&topology, &functions)?;
        let listen = |source| HostError::Listen { addr: options.addr, source };
        let listener = TcpListener::bind(options.addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let ((stop, stopping), (cut, cutting)) = (watch::channel(false), watch::channel(false));
        let service = admission::guarded(api, &options, stopping.clone(), cutting.clone());
        let task = tokio::spawn(connection::accept(listener, service, Arc::new(options.clone()), stopping, cutting));
        Ok(Self { addr, drain: options.drain, stop, cut, task })
    }

    /// Takes no more connections, and lets running requests end: at most the drain time. What runs on then is cut off, told
    /// to come again, and taken back.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(self.drain, &mut self.task).await.is_ok() {
            return;
        }
        tracing::warn!("requests that did not end in time are cut off");
        let _ = self.cut.send(true);
        if tokio::time::timeout(CLEANING, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The template's routes. What else it describes is there already, and its names here are nobody's.
fn routes() -> Result<Topology, HostError> {
    let queue_url = |name: &str| name.to_owned();
    let deployment = Deployment { parameters: &BTreeMap::new(), region: "us-east-1", account: "000000000000", queue_url: &queue_url };
    Ok(Template::embedded()?.resolve(deployment)?)
}

/// Waits for a signal that is given once. Who could give it being gone counts as well.
async fn given(signal: &mut watch::Receiver<bool>) {
    let _ = signal.wait_for(|given| *given).await;
}

/// The guarded API.
type Service = Router;
