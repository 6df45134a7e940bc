//! Environment keys: every key that any function reads stands in [`KEYS`], once.
//!
//! A function's configuration is a typed struct built from an [`Env`] at init; all problems are
//! reported together. What always holds: code reads a key only through [`Reader`], which refuses keys
//! that are not in the table for that function, and the template tests compare the table with
//! `template.yaml`.

use std::collections::HashMap;

/// One environment key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name of the variable.
    pub name: &'static str,
    /// What it means, with unit and range.
    pub doc: &'static str,
    /// Value when absent; `None` = required.
    pub default: Option<&'static str>,
    /// Functions that read it.
    pub functions: &'static [&'static str],
}

const ALL: &[&str] = &["auth", "upload", "scan", "results", "admin", "notify", "sweep"];
const API: &[&str] = &["auth", "upload", "results", "admin"];

/// The table.
pub const KEYS: &[Key] = &[
    Key { name: "PORTCULLIS_LOG", doc: "Log filter, e.g. `info` or `portcullis_scan=debug`.", default: Some("info"), functions: ALL },
    Key {
        name: "PORTCULLIS_TABLE",
        doc: "Name of the DynamoDB table.",
        default: None,
        functions: &["auth", "upload", "scan", "results", "admin", "sweep", "notify"],
    },
    Key {
        name: "PORTCULLIS_AUDIT_TABLE",
        doc: "Name of the DynamoDB table of the audit log.",
        default: None,
        functions: &["auth", "upload", "results", "admin", "sweep"],
    },
    Key {
        name: "PORTCULLIS_TRUSTED_PROXIES",
        doc: "Networks of proxies whose X-Forwarded-For is believed, as CIDRs separated by commas; empty = none.",
        default: Some(""),
        functions: API,
    },
    Key {
        name: "PORTCULLIS_UPLOAD_BUCKET",
        doc: "Bucket that submitted files land in; what is released from quarantine goes under `released/`.",
        default: None,
        functions: &["upload", "scan", "results", "admin", "sweep"],
    },
    Key { name: "PORTCULLIS_QUARANTINE_BUCKET", doc: "Bucket that blocked originals are held in.", default: None, functions: &["scan"] },
    Key {
        name: "PORTCULLIS_REPORT_BUCKET",
        doc: "Bucket for reports too large for the table.",
        default: None,
        functions: &["upload", "scan", "results", "notify", "admin", "sweep"],
    },
    Key {
        name: "PORTCULLIS_DEFINITIONS_BUCKET",
        doc: "Bucket with operator definitions under `yara/` and `hashes/`, and YARA packages under `packages/`.",
        default: None,
        functions: &["scan", "admin"],
    },
    Key { name: "PORTCULLIS_SCAN_QUEUE_URL", doc: "URL of the scan queue.", default: None, functions: &["upload", "scan", "admin", "sweep"] },
    Key {
        name: "PORTCULLIS_NOTIFY_QUEUE_URL",
        doc: "URL of the queue that verdict events go to.",
        default: None,
        functions: &["upload", "scan", "sweep", "notify", "results"],
    },
    Key {
        name: "PORTCULLIS_ADMIN_APIKEY_SHA256",
        doc: "Hex SHA-256 of the first administrator's API key; empty = none. Used only until that user exists.",
        default: Some(""),
        functions: API,
    },
    Key {
        name: "PORTCULLIS_ADMIN_PASSWORD_HASH",
        doc: "argon2id PHC string of the first administrator's password; empty = none. Used only until that user exists.",
        default: Some(""),
        functions: API,
    },
    Key { name: "PORTCULLIS_PRESIGN_SECONDS", doc: "Life of a presigned upload, in seconds, 1–900.", default: Some("900"), functions: &["upload"] },
    Key {
        name: "PORTCULLIS_SYNC_SECONDS",
        doc: "How long `POST /file/sync` waits for the verdict, in seconds, 1–28 (API Gateway gives up at 30).",
        default: Some("25"),
        functions: &["upload"],
    },
    Key {
        name: "PORTCULLIS_SCAN_DEADLINE_SECONDS",
        doc: "Time from submission to a terminal state, in seconds, 60–86400; after it the sweep ends the scan as Failed.",
        default: Some("3600"),
        functions: &["upload", "scan"],
    },
    Key { name: "PORTCULLIS_WORKERS", doc: "Worker processes that analyse files side by side, 1–64.", default: Some("2"), functions: &["scan"] },
    Key {
        name: "PORTCULLIS_WORKER_MEMORY_MB",
        doc: "Memory limit of one worker process, in MiB, 256–16384.",
        default: Some("1024"),
        functions: &["scan"],
    },
    Key {
        name: "PORTCULLIS_CLAMD",
        doc: "Where clamd listens, `/path` or `host:port`; empty = the engine ClamAV is left out.",
        default: Some(""),
        functions: &["scan"],
    },
    Key {
        name: "PORTCULLIS_WEBHOOK_SECRET_ID",
        doc: "Name or ARN of the secret that webhooks are signed with: base64 of 24 to 64 bytes, `whsec_` before it or not.",
        default: None,
        functions: &["notify"],
    },
    Key {
        name: "PORTCULLIS_SIGNING_SECRET_ID",
        doc: "Name or ARN of the secret that batch reports are signed with: the Ed25519 seed is its SHA-256.",
        default: None,
        functions: &["results"],
    },
    Key {
        name: "PORTCULLIS_OUTBOUND_ALLOW",
        doc: "Networks that outgoing requests may reach although they are private or special, as CIDRs separated by commas; empty = none.",
        default: Some(""),
        functions: &["upload", "scan", "admin", "notify"],
    },
    Key {
        name: "PORTCULLIS_SCAN_SLICE_MS",
        doc: "Longest time that one invocation works on one file before the rest of it continues through the queue, in ms, 0–900000; 0 = as long as the invocation lasts.",
        default: Some("0"),
        functions: &["scan"],
    },
    Key { name: "PORTCULLIS_SCRATCH_DIR", doc: "Folder for files while they are analysed.", default: Some("/tmp"), functions: &["scan"] },
];

/// Where keys are read from: the process environment in Lambda, the resolved template in the local host.
#[derive(Clone, Debug, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }
    /// `PORTCULLIS_LOG`: needed before there is a place to report problems to.
    pub fn log_filter(&self) -> String {
        self.0.get("PORTCULLIS_LOG").filter(|filter| !filter.is_empty()).cloned().unwrap_or_else(|| "info".to_owned())
    }
    /// Reads the keys of `function`.
    pub fn reader(&self, function: &'static str) -> Reader<'_> {
        Reader { env: self, function, problems: Vec::new() }
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// What is wrong with the configuration, all of it.
#[derive(Debug, thiserror::Error)]
#[error("configuration of `{function}`: {}", .problems.join("; "))]
pub struct ConfigError {
    /// The function whose configuration it is.
    pub function: &'static str,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// Collects values and problems.
#[derive(Debug)]
pub struct Reader<'a> {
    env: &'a Env,
    function: &'static str,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// A text value.
    pub fn text(&mut self, name: &'static str) -> String {
        let Some(key) = KEYS.iter().find(|key| key.name == name && key.functions.contains(&self.function)) else {
            self.problems.push(format!("`{name}` is not declared for this function"));
            return String::new();
        };
        match (self.env.0.get(name).filter(|value| !value.is_empty()), key.default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                self.problems.push(format!("`{name}` is not set ({})", key.doc));
                String::new()
            }
        }
    }

    /// A whole number within a range.
    pub fn number(&mut self, name: &'static str, range: std::ops::RangeInclusive<u64>) -> u64 {
        let text = self.text(name);
        match text.parse::<u64>() {
            Ok(value) if range.contains(&value) => value,
            _ if text.is_empty() => *range.start(),
            _ => {
                self.problems.push(format!("`{name}` is `{text}`, not a number from {} to {}", range.start(), range.end()));
                *range.start()
            }
        }
    }

    /// A value that its own type refuses: `problem` is one sentence.
    pub fn refuse(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The value, or all problems at once.
    pub fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError { function: self.function, problems: self.problems }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_together() {
        let env: Env = [("PORTCULLIS_PRESIGN_SECONDS".to_owned(), "9000".to_owned())].into_iter().collect();
        let mut reader = env.reader("upload");
        reader.text("PORTCULLIS_TABLE");
        reader.number("PORTCULLIS_PRESIGN_SECONDS", 1..=900);
        reader.text("PORTCULLIS_WORKERS");
        let error = reader.finish(()).unwrap_err();
        assert_eq!(error.problems.len(), 3, "{error}");
    }

    #[test]
    fn defaults_apply_and_empty_means_absent() {
        let env: Env = [("PORTCULLIS_LOG".to_owned(), String::new())].into_iter().collect();
        let mut reader = env.reader("upload");
        assert_eq!(reader.text("PORTCULLIS_LOG"), "info");
        assert_eq!(reader.number("PORTCULLIS_PRESIGN_SECONDS", 1..=900), 900);
        assert!(reader.finish(()).is_ok());
    }
}
