//! Names to addresses, each of them judged before anybody can connect to it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::policy::Policy;

/// The addresses of a name, once they are known.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name. Tests put their own in place of the system's.
pub trait Resolve: Send + Sync {
    /// All addresses of `name`.
    fn resolve(&self, name: &str) -> Resolving;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, name: &str) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|addr| addr.ip()).collect()) })
    }
}

/// What the connector asks: it gets judged addresses only, and connects to no others.
#[derive(Clone)]
pub(crate) struct Judged {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) policy: Policy,
}

impl Service<Name> for Judged {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.resolver.resolve(name.as_str());
        let policy = self.policy.clone();
        Box::pin(async move {
            let addresses = resolving.await?;
            if addresses.is_empty() {
                return Err("the name has no address".into());
            }
            // One refused address refuses the name: the others may be bait, and which one is taken is chance.
            addresses.iter().try_for_each(|ip| policy.judge(*ip))?;
            Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}
