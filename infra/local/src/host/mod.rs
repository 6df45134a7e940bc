//! The host: everything template.yaml describes, in this process.
//!
//! Tables, queues, buckets, routes and event sources are read from the template; the functions are the
//! same crates that Lambda runs, over the same SDK, against the embedded services. What always holds:
//! nothing here knows what a function does, only how AWS would call it.

mod administrator;
mod definitions;
mod functions;
pub(crate) mod gateway;
mod provision;
mod sources;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::aws::Clients;
use portcullis_core::domain::rule::Rule;
use portcullis_core::store::settings::Settings;
use portcullis_core::{config, rules};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use administrator::{AdminOptions, AdminOutcome};
pub(crate) use functions::Functions;

use crate::aws::{Emulator, EmulatorConfig};
use crate::template::{Deployment, Template, Topology};

/// Region of the embedded services.
const REGION: &str = "us-east-1";
/// Access key of the embedded services; the secret is made at the first start.
const ACCESS_KEY: &str = "portcullis";
/// How long running work may take to end when the host stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the host is started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Where the API listens; port 0 takes a free one.
    pub api: SocketAddr,
    /// Where the embedded AWS services listen (loopback only); port 0 takes a free one.
    pub aws: SocketAddr,
    /// Folder of all state.
    pub data_dir: PathBuf,
    /// The first administrator.
    pub admin: AdminOptions,
    /// Rules to put in force at start, instead of those stored.
    pub rules: Option<Vec<Rule>>,
    /// Folder with `yara/` and `hashes/`, mirrored into the definitions bucket while the host runs.
    pub definitions: Option<PathBuf>,
    /// Values of environment keys of the functions that differ from the template's.
    pub overrides: BTreeMap<String, String>,
    /// The binary that is started as worker.
    pub executable: PathBuf,
    /// Whether contents may ask a worker to die (tests). No effect in release builds.
    pub test_hooks: bool,
}

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The template can not be hosted.
    #[error("template: {0}")]
    Template(#[from] crate::template::TemplateError),
    /// The embedded services do not start.
    #[error("embedded services: {0}")]
    Services(#[from] crate::aws::StartError),
    /// A resource of the template can not be created.
    #[error("resource `{name}`: {problem}")]
    Resource {
        /// Its name.
        name: String,
        /// What the service said.
        problem: String,
    },
    /// A function's configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The template names a function that this binary does not have.
    #[error("function `{0}` is not part of this binary")]
    UnknownFunction(String),
    /// The store can not be used.
    #[error("store: {0}")]
    Store(#[from] portcullis_core::store::StoreError),
    /// The address can not be bound.
    #[error("cannot listen on `{addr}`: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder can not be used.
    #[error("`{path}`: {source}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The administrator can not be set up.
    #[error("administrator: {0}")]
    Administrator(String),
}

/// Credentials of the embedded services.
#[derive(Clone, Debug)]
pub struct Access {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Region.
    pub region: String,
}

/// A running host.
pub struct Host {
    /// Where the API listens.
    pub addr: SocketAddr,
    /// The embedded services.
    pub access: Access,
    /// What the template came to.
    pub topology: Arc<Topology>,
    /// What became of the first administrator.
    pub admin: AdminOutcome,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    emulator: Emulator,
}

impl Host {
    /// Starts everything; returns when requests are answered.
    ///
    /// # Errors
    /// See [`HostError`]; nothing keeps running.
    pub async fn start(options: HostOptions) -> Result<Self, HostError> {
        let listener = TcpListener::bind(options.api).await.map_err(|source| HostError::Listen { addr: options.api, source })?;
        let addr = listener.local_addr().map_err(|source| HostError::Listen { addr: options.api, source })?;
        let secret_key = secret(&options.data_dir)?;
        let emulator = Emulator::start(EmulatorConfig {
            data_dir: options.data_dir.join("aws"),
            addr: options.aws,
            region: REGION.into(),
            access_key: ACCESS_KEY.into(),
            secret_key: secret_key.clone(),
        })
        .await?;
        let queues = emulator.queues();
        let topology = Arc::new(Template::embedded()?.resolve(Deployment {
            parameters: &BTreeMap::new(),
            region: REGION,
            account: crate::aws::ACCOUNT_ID,
            queue_url: &|name| queues.url(name),
        })?);
        let access = Access { endpoint: emulator.endpoint(), access_key: ACCESS_KEY.into(), secret_key, region: REGION.into() };
        let clients = Clients::for_endpoint(&access.endpoint, REGION, &access.access_key, &access.secret_key);
        provision::create(&topology, &emulator, &clients).await?;
        let absent = |id: &str| HostError::Resource { name: id.to_owned(), problem: "is not in the template".to_owned() };
        let table = topology.table("DataTable").map(|table| table.name.clone()).ok_or_else(|| absent("DataTable"))?;
        if let Some(wanted) = &options.rules {
            Settings::new(clients.dynamodb().clone(), &table).put(rules::SETTING, wanted).await?;
        }
        let audit = topology.table("AuditTable").map(|table| table.name.clone()).ok_or_else(|| absent("AuditTable"))?;
        let admin = administrator::set_up(&clients, &table, &audit, &options.admin).await?;
        let functions = Arc::new(functions::Functions::start(&topology, &clients, &options)?);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        if let Some(folder) = options.definitions.clone() {
            let bucket = topology.bucket("DefinitionsBucket").map(|bucket| bucket.name.clone()).ok_or_else(|| absent("DefinitionsBucket"))?;
            let mut mirror = definitions::Mirror::new(clients.s3().clone(), bucket, folder);
            mirror.once().await?;
            tasks.spawn(mirror.keep(stopping.clone()));
        }
        sources::start(&mut tasks, &topology, &functions, &emulator.queues(), &stopping)?;
        let router = gateway::router(&topology, &functions)?;
        tasks.spawn(gateway::serve(listener, router, stopping));
        Ok(Self { addr, access, topology, admin, stop, tasks, emulator })
    }

    /// Calls of an operation of the embedded services since the start, by its `X-Amz-Target`, e.g. `DynamoDB_20120810.GetItem`.
    pub fn calls(&self, operation: &str) -> u64 {
        self.emulator.calls(operation)
    }

    /// Stops taking requests and messages, and lets running work end (at most 20 s). What does not end is
    /// taken up again at the next start.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let ended = tokio::time::timeout(PATIENCE, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("running work did not end in time; it is taken up at the next start");
            self.tasks.abort_all();
        }
        self.emulator.shutdown().await;
    }
}

/// The secret of the embedded services: made at the first start, readable for this user only.
fn secret(data_dir: &Path) -> Result<String, HostError> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let folder = |source| HostError::Folder { path: data_dir.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(folder)?;
    let path = data_dir.join("aws-secret");
    let failed = |source| HostError::Folder { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(secret) if !secret.trim().is_empty() => return Ok(secret.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let secret = administrator::random_key().map_err(HostError::Administrator)?;
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(secret.as_bytes()).map_err(failed)?;
    Ok(secret)
}
