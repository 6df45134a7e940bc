//! The command line of `portcullis`: flags override the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ipnet::IpNet;
use portcullis_core::config::KEYS;
use portcullis_core::domain::rule::Rule;

use crate::front::{FrontOptions, HEALTH};
use crate::host::{AdminOptions, HostOptions};
use crate::yara::Yara;

/// Portcullis: a file gate that speaks the MetaDefender Core REST API.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything on this machine.
    Serve(Serve),
    /// Serve the API from a container, before the services of an AWS account.
    Front(Front),
    /// Read a password from standard input and print its hash for the template's parameter `AdminPasswordHash`.
    HashPassword,
    /// Make a hash list for the definitions (`hashes/`) of plain lists, `sha256sum` output or CSV tables.
    ImportHashes(ImportHashes),
    /// Try YARA rules on files of this machine.
    Yara(Yara),
    /// The commands of a client.
    #[command(flatten)]
    Client(portcullis_cli::Command),
    /// Print completions for a shell.
    Completions(portcullis_cli::Completions),
    /// Print the man page, or write the pages of all commands.
    Man(portcullis_cli::Man),
}

/// What is imported.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportHashes {
    /// What the list says about its contents: `allow`, `block` or `skip`.
    #[arg(long)]
    pub list: String,
    /// File to write; its name begins with the list's and ends in `.hashlist`.
    #[arg(long)]
    pub out: PathBuf,
    /// Files to read. One malformed line, and nothing is written.
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,
}

impl ImportHashes {
    /// Writes the list and says in one line what is in it.
    ///
    /// # Errors
    /// Sentences, one a line, with numbers of lines.
    pub fn run(&self) -> Result<String, String> {
        use portcullis_engines::engine::hashes::{List, import};
        let known = matches!(self.list.as_str(), "allow" | "block" | "skip");
        let list = List::of_name(&self.list).filter(|_| known).ok_or_else(|| format!("`{}` is none of allow, block, skip.", self.list))?;
        let done = import(list, &self.inputs, &self.out)?;
        Ok(format!("{}: {} digests, SHA-256 {}", self.out.display(), done.count, done.digest))
    }
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Port of the API; 0 takes a free one.
    #[arg(long, env = "PORTCULLIS_PORT", default_value_t = 8008)]
    pub port: u16,
    /// Address of the API. Anyone who can reach it can talk to it: leave it on loopback unless you mean it.
    #[arg(long, env = "PORTCULLIS_BIND", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Port of the embedded S3, SQS and DynamoDB (loopback only); 0 takes a free one [default: the API's port + 1].
    #[arg(long, env = "PORTCULLIS_AWS_PORT")]
    pub aws_port: Option<u16>,
    /// Folder of all state.
    #[arg(long, env = "PORTCULLIS_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// Name of the first administrator (also `MD_USER`) [default: admin].
    #[arg(long)]
    pub admin_user: Option<String>,
    /// Password of the first administrator (also `MD_PWD`).
    #[arg(long, env = "PORTCULLIS_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<String>,
    /// API key of the first administrator (also `APIKEY`); made at the first start when absent.
    #[arg(long, env = "PORTCULLIS_ADMIN_APIKEY", hide_env_values = true)]
    pub admin_apikey: Option<String>,
    /// JSON file with an array of rules to put in force.
    #[arg(long, env = "PORTCULLIS_RULES")]
    pub rules: Option<PathBuf>,
    /// Folder with `yara/` and `hashes/` of one's own.
    #[arg(long, env = "PORTCULLIS_DEFINITIONS")]
    pub definitions: Option<PathBuf>,
}

impl Serve {
    /// The resolved options.
    ///
    /// # Errors
    /// One sentence: the rules can not be read, or this binary's own path is unknown.
    pub fn resolve(self) -> Result<HostOptions, String> {
        let core_name = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let rules = self.rules.as_deref().map(read_rules).transpose()?;
        let aws_port = self.aws_port.unwrap_or(if self.port == 0 { 0 } else { self.port.saturating_add(1) });
        Ok(HostOptions {
            api: SocketAddr::new(self.bind, self.port),
            aws: SocketAddr::from((Ipv4Addr::LOCALHOST, aws_port)),
            data_dir: std::path::absolute(&self.data_dir).map_err(|e| format!("`{}`: {e}", self.data_dir.display()))?,
            admin: AdminOptions {
                name: self.admin_user.or_else(|| core_name("MD_USER")),
                password: self.admin_password.or_else(|| core_name("MD_PWD")),
                apikey: self.admin_apikey.or_else(|| core_name("APIKEY")),
            },
            rules,
            definitions: self.definitions,
            overrides: overrides(),
            executable: std::env::current_exe().map_err(|e| format!("this binary's own path is unknown: {e}"))?,
            test_hooks: std::env::var_os("PORTCULLIS_TEST_HOOKS").is_some(),
        })
    }
}

/// How the front serves. Names of tables, buckets, queues and secrets are the functions' environment keys.
#[derive(Clone, Debug, clap::Args)]
pub struct Front {
    /// Port of the API; 0 takes a free one.
    #[arg(long, env = "PORTCULLIS_PORT", default_value_t = 8008)]
    pub port: u16,
    /// Address of the API.
    #[arg(long, env = "PORTCULLIS_BIND", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Networks that the load balancer connects from, as CIDRs separated by commas: the last address of its X-Forwarded-For is the client's.
    #[arg(long, env = "PORTCULLIS_LOAD_BALANCER", value_delimiter = ',')]
    pub load_balancer: Vec<IpNet>,
    /// Requests with bodies over 64 KiB at the same time, 1-4096; each takes some 21 MiB. More are told to come later.
    #[arg(long, env = "PORTCULLIS_MAX_UPLOADS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_uploads: u16,
    /// Attempts to log in per second, 1 or more.
    #[arg(long, env = "PORTCULLIS_LOGINS_PER_SECOND", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub logins_per_second: u32,
    /// Idle timeout of the load balancer in seconds, 1-4000; connections are kept 15 s longer.
    #[arg(long, env = "PORTCULLIS_IDLE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=4000))]
    pub idle_seconds: u64,
    /// How long running requests may go on after SIGTERM, in seconds, 0-3600.
    #[arg(long, env = "PORTCULLIS_DRAIN_SECONDS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub drain_seconds: u64,
    /// Ask the front that listens on this port of this machine whether it serves, and exit with 0 if so.
    #[arg(long)]
    pub check: bool,
}

impl Front {
    /// The options.
    pub fn resolve(self) -> FrontOptions {
        FrontOptions {
            addr: SocketAddr::new(self.bind, self.port),
            load_balancer: self.load_balancer,
            max_uploads: self.max_uploads.into(),
            logins_per_second: self.logins_per_second,
            idle: Duration::from_secs(self.idle_seconds),
            drain: Duration::from_secs(self.drain_seconds),
        }
    }

    /// Asks a running front: containers have no other program to ask with.
    ///
    /// # Errors
    /// One sentence: nobody answers, or not with 200.
    pub fn ask(&self) -> Result<(), String> {
        use std::io::{Read, Write};
        const PATIENCE: Duration = Duration::from_secs(4);
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let asked = || {
            let mut stream = std::net::TcpStream::connect_timeout(&here, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("GET {HEALTH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
            let mut head = [0; 12];
            stream.read_exact(&mut head).map(|()| head)
        };
        match asked() {
            Ok(head) if head.ends_with(b" 200") => Ok(()),
            Ok(head) => Err(format!("`{here}` answers `{}`", String::from_utf8_lossy(&head))),
            Err(error) => Err(format!("`{here}`: {error}")),
        }
    }
}

/// Environment keys of the functions, where they are set for this process: they override the template's.
fn overrides() -> BTreeMap<String, String> {
    KEYS.iter().filter_map(|key| Some((key.name.to_owned(), std::env::var(key.name).ok()?))).collect()
}

fn read_rules(path: &std::path::Path) -> Result<Vec<Rule>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("`{}`: {e}", path.display()))?;
    let rules: Vec<Rule> = serde_json::from_str(&text).map_err(|e| format!("`{}`: {e}", path.display()))?;
    Rule::validate_all(&rules)?;
    if rules.is_empty() { Err(format!("`{}` has no rule", path.display())) } else { Ok(rules) }
}
