//! The functions of the template, by the name of their binary, each with the environment the template gives it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use portcullis_core::aws::Clients;
use portcullis_core::config::{Env, KEYS};
use portcullis_notify::Notify;
use portcullis_scan::Scan;
use portcullis_sweep::Sweep;

use super::{HostError, HostOptions};
use crate::template::{Function, Topology};

/// One function, by how AWS calls it.
#[derive(Clone)]
pub(super) enum Hosted {
    /// Behind the API.
    Http(Router),
    /// Scan queue.
    Scan(Arc<Scan>),
    /// Notify queue.
    Notify(Arc<Notify>),
    /// Schedule.
    Sweep(Arc<Sweep>),
}

/// All functions, by logical id.
pub(super) struct Functions(HashMap<String, Hosted>);

impl Functions {
    pub(super) fn start(topology: &Topology, clients: &Clients, options: &HostOptions) -> Result<Self, HostError> {
        let hosted = topology.functions.iter().map(|function| Ok((function.logical_id.clone(), start(function, clients, options)?)));
        Ok(Self(hosted.collect::<Result<_, HostError>>()?))
    }

    pub(super) fn get(&self, logical_id: &str) -> Result<&Hosted, HostError> {
        self.0.get(logical_id).ok_or_else(|| HostError::UnknownFunction(logical_id.to_owned()))
    }
}

fn start(function: &Function, clients: &Clients, options: &HostOptions) -> Result<Hosted, HostError> {
    let env = environment(function, options);
    Ok(match function.binary.as_str() {
        "auth" => Hosted::Http(portcullis_auth::router(&env, clients)?),
        "upload" => Hosted::Http(portcullis_upload::router(&env, clients)?),
        "results" => Hosted::Http(portcullis_results::router(&env, clients)?),
        "admin" => Hosted::Http(portcullis_admin::router(&env, clients)?),
        "scan" => {
            let host = portcullis_scan::HostOptions { executable: options.executable.clone(), test_hooks: options.test_hooks };
            Hosted::Scan(Arc::new(Scan::new(&env, clients, host)?))
        }
        "notify" => Hosted::Notify(Arc::new(Notify::new(&env, clients, Box::new(std::io::sink()))?)),
        "sweep" => Hosted::Sweep(Arc::new(Sweep::new(&env, clients)?)),
        other => return Err(HostError::UnknownFunction(other.to_owned())),
    })
}

/// The template's environment; where this machine differs from Lambda's, this machine's; then the operator's word.
fn environment(function: &Function, options: &HostOptions) -> Env {
    let mut env = function.env.clone();
    let reads = |name: &str| KEYS.iter().any(|key| key.name == name && key.functions.contains(&function.binary.as_str()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let machine = [
        ("PORTCULLIS_SCRATCH_DIR".to_owned(), options.data_dir.join("work").to_string_lossy().into_owned()),
        ("PORTCULLIS_WORKERS".to_owned(), cores.to_string()),
    ];
    env.extend(machine.into_iter().chain(options.overrides.clone()).filter(|(name, _)| reads(name)));
    env.into_iter().collect()
}
