//! The functions of the template, by the name of their binary, each with the environment the template gives it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Router;
use portcullis_core::aws::Clients;
use portcullis_core::config::{ConfigError, Env, KEYS};
use portcullis_notify::Notify;
use portcullis_scan::Scan;
use portcullis_sweep::Sweep;

use super::{HostError, HostOptions};
use crate::template::{Function, Topology};

/// One function, by how AWS calls it.
#[derive(Clone)]
pub(crate) enum Hosted {
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
pub(crate) struct Functions(HashMap<String, Hosted>);

impl Functions {
    pub(super) fn start(topology: &Topology, clients: &Clients, options: &HostOptions) -> Result<Self, HostError> {
        let hosted = topology.functions.iter().map(|function| Ok((function.logical_id.clone(), start(function, clients, options)?)));
        Ok(Self(hosted.collect::<Result<_, HostError>>()?))
    }

    /// Only those behind the API, with one environment for all.
    pub(crate) fn of_api(topology: &Topology, env: &Env, clients: &Clients) -> Result<Self, HostError> {
        let targets: BTreeSet<&String> = topology.routes.iter().map(|route| &route.function).chain(&topology.default_route).collect();
        let (mut hosted, mut problems) = (HashMap::new(), Vec::new());
        for function in topology.functions.iter().filter(|function| targets.contains(&function.logical_id)) {
            match api(&function.binary, env, clients) {
                Some(Ok(router)) => drop(hosted.insert(function.logical_id.clone(), Hosted::Http(router))),
                Some(Err(error)) => problems.extend(error.problems),
                None => return Err(HostError::UnknownFunction(function.binary.clone())),
            }
        }
        // The functions share most keys.
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(Self(hosted)) } else { Err(ConfigError { function: "front", problems }.into()) }
    }

    pub(super) fn get(&self, logical_id: &str) -> Result<&Hosted, HostError> {
        self.0.get(logical_id).ok_or_else(|| HostError::UnknownFunction(logical_id.to_owned()))
    }
}

/// A function behind the API; `None`: it is none of those.
fn api(binary: &str, env: &Env, clients: &Clients) -> Option<Result<Router, ConfigError>> {
    Some(match binary {
        "auth" => portcullis_auth::router(env, clients),
        "upload" => portcullis_upload::router(env, clients),
        "results" => portcullis_results::router(env, clients),
        "admin" => portcullis_admin::router(env, clients),
        _ => return None,
    })
}

fn start(function: &Function, clients: &Clients, options: &HostOptions) -> Result<Hosted, HostError> {
    let env = environment(function, options);
    if let Some(router) = api(&function.binary, &env, clients) {
        return Ok(Hosted::Http(router?));
    }
    Ok(match function.binary.as_str() {
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
