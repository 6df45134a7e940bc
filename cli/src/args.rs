//! The command line of the client's commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What a client can ask for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Scan files, folders or standard input; the exit code is the verdict (0 all allowed, 1 something blocked, 2 any doubt).
    Scan(ScanArgs),
    /// Show the result of a scan by its id; the exit code is its verdict.
    Result(ResultArgs),
    /// Look up what is known about contents by MD5, SHA-1, SHA-256 or SHA-512; the exit code is the verdict (unknown is 2).
    Hash(HashArgs),
    /// Files that belong together: create, add, status, close, certificate, cancel.
    Batch(BatchArgs),
    /// List the rules that a file can be scanned under.
    Rules(RulesArgs),
    /// Scan what appears in a folder, once its writing ended, and sort it into others.
    Watch(WatchArgs),
    /// Sign in, or check a key, and keep it for later commands.
    Login(LoginArgs),
    /// End the session and forget the key.
    Logout(LogoutArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Which server, and who asks.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// Base URL of the server [default: that of `login`, or http://127.0.0.1:8008].
    #[arg(long, env = "PORTCULLIS_URL", global = true)]
    pub url: Option<String>,
    /// Key, or id of a session [default: that of `login`, if it is for this server]. Others on this machine can see it among
    /// the processes: prefer the environment.
    #[arg(long, env = "PORTCULLIS_APIKEY", hide_env_values = true, global = true)]
    pub apikey: Option<String>,
    /// How often a request is made again while the server is busy (429, 503) or can not be reached.
    #[arg(long, default_value_t = 5, global = true)]
    pub retries: u32,
}

/// How files are submitted.
#[derive(Clone, Debug, Args)]
pub struct Submit {
    /// Rule (workflow) to scan under [default: the server's choice].
    #[arg(long)]
    pub rule: Option<String>,
    /// Name of this client for rules that are bound to one (header `user_agent`).
    #[arg(long)]
    pub user_agent: Option<String>,
    /// Password of archives; may be given several times. Others on this machine can see it among the processes.
    #[arg(long = "password", value_name = "PASSWORD")]
    pub passwords: Vec<String>,
    /// JSON that goes along and comes back in the result.
    #[arg(long, value_name = "JSON")]
    pub metadata: Option<String>,
    /// Seconds until a file's scan is given up (and cancelled on the server), from the end of its upload.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// Files on their way at the same time.
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// How content is sent: `auto` takes a presigned form for files over 4.5 MB where the server offers one.
    #[arg(long, value_enum, default_value_t)]
    pub upload: Way,
}

/// How content is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// `POST /file`; presigned for large files where the server offers it.
    #[default]
    Auto,
    /// `POST /file` only.
    Post,
    /// Presigned forms only (Portcullis).
    Presign,
}

/// What is submitted.
#[derive(Clone, Debug, Args)]
pub struct Targets {
    /// Files, folders (with all that is below them), or `-` for standard input.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub paths: Vec<PathBuf>,
    /// Name to submit standard input, or a single file, under.
    #[arg(long)]
    pub name: Option<String>,
    /// Follow symbolic links inside folders; otherwise they are left out, and counted.
    #[arg(long)]
    pub follow_symlinks: bool,
    /// Leave empty files out instead of failing: servers refuse them.
    #[arg(long)]
    pub skip_empty: bool,
}

/// `scan`.
#[derive(Clone, Debug, Args)]
pub struct ScanArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) targets: Targets,
    #[command(flatten)]
    pub(crate) submit: Submit,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// What is shown.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// Table or JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// With JSON: add the server's whole result of each file.
    #[arg(long)]
    pub full: bool,
    /// No progress bar. (There is none anyway when standard error is no terminal.)
    #[arg(short, long)]
    pub quiet: bool,
}

/// `result`.
#[derive(Clone, Debug, Args)]
pub struct ResultArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// `data_id` of the scan.
    pub(crate) id: String,
    /// Wait for so many seconds at most until the scan ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) wait: u64,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// `hash`.
#[derive(Clone, Debug, Args)]
pub struct HashArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Digests in hexadecimal.
    #[arg(required = true)]
    pub(crate) hashes: Vec<String>,
    /// Only results under this rule.
    #[arg(long)]
    pub(crate) rule: Option<String>,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// `batch`.
#[derive(Clone, Debug, Args)]
pub struct BatchArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(subcommand)]
    pub(crate) action: BatchAction,
}

/// What is done with a batch.
#[derive(Clone, Debug, Subcommand)]
pub enum BatchAction {
    /// Open a batch and print its id.
    Create {
        /// Rule of files that name none.
        #[arg(long)]
        rule: Option<String>,
        /// Name of this client (header `user_agent`).
        #[arg(long)]
        user_agent: Option<String>,
        /// Text that goes along and comes back with the batch; up to 1024 bytes once percent-encoded.
        #[arg(long)]
        user_data: Option<String>,
    },
    /// Scan files in a batch; the exit code is their verdict.
    Add(BatchAdd),
    /// Show a batch and its files; the exit code is its verdict (2 while files are being scanned).
    Status(BatchShow),
    /// Close a batch; the exit code is its verdict. Fails while files are being scanned, unless told to wait.
    Close {
        /// The batch, and how it is shown.
        #[command(flatten)]
        shown: BatchShow,
        /// Wait for so many seconds at most until the files have ended.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
    /// Fetch the signed report of a closed batch.
    Certificate {
        /// Id of the batch.
        id: String,
        /// File to write [default: standard output].
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// End what has not ended, and close the batch.
    Cancel {
        /// Id of the batch.
        id: String,
    },
}

/// `batch add`.
#[derive(Clone, Debug, Args)]
pub struct BatchAdd {
    /// Id of the batch.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) targets: Targets,
    #[command(flatten)]
    pub(crate) submit: Submit,
    #[command(flatten)]
    pub(crate) show: Show,
}

/// `batch status`.
#[derive(Clone, Debug, Args)]
pub struct BatchShow {
    /// Id of the batch.
    pub(crate) id: String,
    /// Table or JSON (the server's own object).
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// `rules`.
#[derive(Clone, Debug, Args)]
pub struct RulesArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Rules for this client (header `user_agent`).
    #[arg(long)]
    pub(crate) user_agent: Option<String>,
    /// Table or JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// `watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Folder to look into. Files in folders below it, hidden ones and symbolic links are left alone.
    pub(crate) dir: PathBuf,
    /// Where what was allowed goes: a copy of exactly the bytes that were scanned, then the file is removed.
    #[arg(long)]
    pub(crate) clean_dir: Option<PathBuf>,
    /// Where what was blocked goes.
    #[arg(long)]
    pub(crate) blocked_dir: Option<PathBuf>,
    /// Seconds for which a file must not change before it counts as written.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) settle: f64,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) interval: f64,
    #[command(flatten)]
    pub(crate) submit: Submit,
    /// One line for each file: a table's row or a JSON object.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// `login`.
#[derive(Clone, Debug, Args)]
pub struct LoginArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Name of the user; asked for when neither it nor a key is given. The password is asked for.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Read the password from standard input (one line).
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// `logout`.
#[derive(Clone, Debug, Args)]
pub struct LogoutArgs {
    #[command(flatten)]
    pub(crate) server: Server,
}
