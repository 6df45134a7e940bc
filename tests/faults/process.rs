//! A `portcullis` process that can be killed and started again on the same state.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::client::Client;

pub const KEY: &str = "faults-administrator-key-0123456789";

pub struct Process {
    child: Child,
    log: PathBuf,
    pub client: Client,
}

impl Process {
    /// Starts on `data_dir` and waits until it answers.
    pub fn start(data_dir: &Path, environment: &[(&str, &str)]) -> Self {
        let log = data_dir.join("stderr.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["--port", "0", "--admin-apikey", KEY, "--data-dir"]).arg(data_dir);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let rest = line.strip_prefix("Portcullis listens on ")?;
            rest.split_whitespace().next().map(str::to_owned)
        });
        let client = Client::new(url.expect("it says where it listens"), Some(KEY));
        // The pipe must be read, or a full one would stop the process.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, log, client }
    }

    /// What it logged since it was started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its worker processes that are alive, by process id.
    pub fn workers(&self) -> Vec<u32> {
        let parent = self.child.id();
        let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |pid: &u32| {
            // `pid (name) state parent …`; a zombie does not work any more.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.next().is_some_and(|state| state != "Z") && fields.next() == Some(parent.to_string().as_str())
        };
        numbers.filter(is_ours).collect()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
