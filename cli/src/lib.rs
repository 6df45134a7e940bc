//! The commands of a client, against any server that speaks MetaDefender Core's REST API.
//!
//! Only routes of the contract are used; `POST /file/presign` is asked for where a file may be too large for a
//! `POST`, and done without where the server does not offer it. What always holds: a scan that did not end, or whose
//! result is not about the very bytes that were sent, is a failure, and the exit code is not 0.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | everything was allowed (or done) |
//! | 1 | something was blocked |
//! | 2 | usage, transport, or any doubt: at least one file has no verdict |
//! | 130, 143 | interrupted; the scans that ran were cancelled on the server |
//!
//! | module | what it is for |
//! |---|---|
//! | `args` | what can be said on the command line |
//! | `http`, `api` | requests with retries, and the routes |
//! | `content`, `form` | a file on its way: streamed, hashed, checked for changes |
//! | `judge` | from the server's JSON to allowed, blocked or doubt |
//! | `submit` | one file from disk to verdict |
//! | `scan`, `batch`, `lookup`, `account`, `watch` | the commands |
//! | `session` | the stored key |
//! | `output`, `progress` | what people and programs see |

mod account;
mod api;
pub mod args;
mod batch;
mod content;
mod error;
mod files;
mod form;
mod generate;
mod http;
mod interrupt;
mod judge;
mod lookup;
mod output;
mod place;
mod progress;
mod scan;
mod session;
mod submit;
mod watch;

use std::io::Write;

pub use args::{Command, Format};
pub use generate::{Completions, Man};
pub use output::printable;

use error::Error;
use interrupt::Running;

/// Everything was allowed, or done.
pub const ALLOWED: u8 = 0;
/// Something was blocked.
pub const BLOCKED: u8 = 1;
/// Usage, transport, or any doubt.
pub const DOUBT: u8 = 2;

impl Command {
    /// Does it; the exit code. Problems are told on standard error, in one sentence each.
    pub fn run(self) -> u8 {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return told(&Error::Said(format!("No threads can be started: {error}."))),
        };
        let code = runtime.block_on(async {
            let running = Running::default();
            tokio::select! {
                done = self.perform(&running) => done.unwrap_or_else(|error| told(&error)),
                code = interrupt::signal() => {
                    running.cancel().await;
                    code
                }
            }
        });
        // Standard input may be waited for in a thread that nothing wakes.
        runtime.shutdown_background();
        code
    }

    async fn perform(self, running: &Running) -> Result<u8, Error> {
        match self {
            Self::Scan(args) => scan::run(args, running).await,
            Self::Result(args) => lookup::result(args).await,
            Self::Hash(args) => lookup::hashes(args).await,
            Self::Batch(args) => batch::run(args, running).await,
            Self::Rules(args) => account::rules(args).await,
            Self::Watch(args) => watch::run(args, running).await,
            Self::Login(args) => account::login(args).await,
            Self::Logout(args) => account::logout(args).await,
        }
    }
}

fn told(error: &Error) -> u8 {
    let _ = writeln!(std::io::stderr(), "portcullis: {error}");
    DOUBT
}
