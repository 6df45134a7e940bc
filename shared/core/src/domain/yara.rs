//! The life of YARA rules: sources → generation → package → in force (contract §6.8).
//!
//! A package holds rule *sources*, never compiled code: whoever uses it compiles it himself. What always
//! holds: a package never changes once it is written; its version is the digest of what is in it, and
//! switching to another one is the replacement of one small document ([`InForce`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Prefixes of the definitions bucket that are no source: `yara/` and `hashes/` are read directly, `packages/` is ours.
const OWN_PREFIXES: [&str; 3] = ["yara", "hashes", "packages"];
/// Prefix of the definitions bucket that is the source as long as nobody configured any.
const DEFAULT_PREFIX: &str = "sources/";
/// Prefix of the definitions bucket that packages are written to.
pub const PACKAGES: &str = "packages/";
/// Sources of both kinds together, at most.
const MAX_SOURCES: usize = 50;
/// Longest source, in bytes (the longest S3 key).
const MAX_LENGTH: usize = 1024;
/// Packages that can be gone back to, at most.
const HISTORY: usize = 20;

/// Whether a source is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// Used.
    Enabled,
    /// Kept, not used.
    Disabled,
}

/// One place that rules come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `s3://bucket/prefix`, or the URL of a ZIP.
    pub source: String,
    /// Whether it is used.
    pub state: SourceState,
}

/// `/admin/config/yara/sources`. The setting [`Sources::SETTING`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sources {
    /// S3 prefixes.
    pub local_sources: Vec<Source>,
    /// ZIPs on the web.
    pub http_sources: Vec<Source>,
}

/// A place in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Prefix {
    /// Bucket.
    pub bucket: String,
    /// Empty, or ending in `/`.
    pub prefix: String,
}

impl S3Prefix {
    /// Reads `s3://bucket/prefix`; a prefix is a folder, with or without the slash at its end.
    pub fn parse(source: &str) -> Option<Self> {
        let rest = source.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(name) || prefix.chars().any(char::is_control) {
            return None;
        }
        let prefix = if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
        Some(Self { bucket: bucket.to_owned(), prefix })
    }
}

impl Sources {
    /// Name of the setting.
    pub const SETTING: &'static str = "YARA_SOURCES";

    /// What is used until somebody configures something: the folder `sources/` of the definitions bucket.
    pub fn default_of(definitions_bucket: &str) -> Self {
        let source = format!("s3://{definitions_bucket}/{DEFAULT_PREFIX}");
        Self { local_sources: vec![Source { source, state: SourceState::Enabled }], http_sources: Vec::new() }
    }

    /// Whether every source names a place that rules can come from. What web addresses are permitted is decided when they are fetched.
    ///
    /// # Errors
    /// One sentence with the source in it.
    pub fn validate(&self, definitions_bucket: &str) -> Result<(), String> {
        let all: Vec<&str> = self.local_sources.iter().chain(&self.http_sources).map(|source| source.source.as_str()).collect();
        if all.len() > MAX_SOURCES {
            return Err(format!("There are {} sources, more than {MAX_SOURCES}.", all.len()));
        }
        for (position, source) in all.iter().enumerate() {
            if source.len() > MAX_LENGTH {
                return Err(format!("A source is longer than {MAX_LENGTH} bytes."));
            }
            if all.iter().take(position).any(|other| other == source) {
                return Err(format!("Source `{source}` stands twice."));
            }
        }
        for Source { source, .. } in &self.local_sources {
            let place = S3Prefix::parse(source).ok_or_else(|| format!("`local_sources`: `{source}` is not `s3://<bucket>/<prefix>`."))?;
            let first = place.prefix.split('/').next().unwrap_or_default();
            if place.bucket == definitions_bucket && (first.is_empty() || OWN_PREFIXES.contains(&first)) {
                return Err(format!(
                    "`local_sources`: `{source}` overlaps `yara/`, `hashes/` or `packages/` of the definitions bucket, which are no sources."
                ));
            }
        }
        for Source { source, .. } in &self.http_sources {
            let is_web = ["https://", "http://"].iter().any(|scheme| source.len() > scheme.len() && source.starts_with(scheme));
            if !is_web || source.chars().any(|c| c.is_control() || c == ' ') {
                return Err(format!("`http_sources`: `{source}` is no URL."));
            }
        }
        Ok(())
    }
}

/// Where a generation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The last one succeeded, or there was none.
    #[default]
    Idle,
    /// The last one changed nothing.
    Error,
    /// One runs.
    InProgress,
}

/// How much an issue matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A file is not in the package, or there is no package.
    Error,
    /// Used all the same.
    Warning,
}

/// What is to be said about a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Issue {
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
}

/// Issues by source, `general` for those of none.
pub type Issues = BTreeMap<String, Vec<Issue>>;
/// Key of [`Issues`] that have no source.
pub const GENERAL: &str = "general";

/// The last generation. The setting [`Generation::SETTING`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generation {
    /// Names the run: a message of an older one changes nothing.
    pub run: String,
    /// Where it stands.
    pub status: Status,
    /// ms since the epoch.
    pub started_at: i64,
    /// What was found.
    pub issues: Issues,
}

impl Generation {
    /// Name of the setting.
    pub const SETTING: &'static str = "YARA_GENERATION";
    /// A run that says nothing for so long is dead, ms. Longer than any invocation.
    pub const LONGEST_MS: i64 = 20 * 60_000;

    /// As it is to be shown at `now`: a dead run is an error.
    #[must_use]
    pub fn at(mut self, now: i64) -> Self {
        if self.status == Status::InProgress && now - self.started_at > Self::LONGEST_MS {
            self.status = Status::Error;
            let message = "The generation did not end; the set in force stays. Generate again.".to_owned();
            self.issues.entry(GENERAL.to_owned()).or_default().push(Issue { severity: Severity::Error, message });
        }
        self
    }
}

/// A package, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRef {
    /// 16 hex characters.
    pub version: String,
    /// When it was made, ms since the epoch.
    pub created_at: i64,
    /// Files in it.
    pub files: usize,
    /// Rules in it.
    pub rules: usize,
}

/// Which package workers use, and which they used before. The setting [`InForce::SETTING`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InForce {
    /// `None`: none, only the bundled rules and those read directly.
    pub active: Option<PackageRef>,
    /// Newest first.
    pub previous: Vec<Option<PackageRef>>,
}

impl InForce {
    /// Name of the setting.
    pub const SETTING: &'static str = "YARA_PACKAGE";

    /// With another package in force; the one before can be gone back to. Nothing changes when it is in force already.
    #[must_use]
    pub fn switched_to(mut self, package: PackageRef) -> Self {
        if self.active.as_ref().is_none_or(|active| active.version != package.version) {
            self.previous.insert(0, self.active.replace(package));
            self.previous.truncate(HISTORY);
        }
        self
    }

    /// With the package before in force; `None` when there was none.
    #[must_use]
    pub fn rolled_back(mut self) -> Option<Self> {
        if self.previous.is_empty() {
            return None;
        }
        self.active = self.previous.remove(0);
        Some(self)
    }
}

/// One rule file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    /// Relative path, its namespace.
    pub path: String,
    /// The source it comes from.
    pub source: String,
    /// Hex SHA-256 of the text.
    pub sha256: String,
    /// The rules.
    pub text: String,
}

impl PackageFile {
    /// A file.
    pub fn new(path: String, source: String, text: String) -> Self {
        Self { sha256: hex::encode(Sha256::digest(text.as_bytes())), path, source, text }
    }
}

/// A package, as it is stored under [`PACKAGES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// 16 hex characters: the digest of paths and contents.
    pub version: String,
    /// When it was made, ms since the epoch.
    pub created_at: i64,
    /// Rules in it.
    pub rules: usize,
    /// Its files.
    pub files: Vec<PackageFile>,
}

impl Package {
    /// Of these files.
    pub fn new(mut files: Vec<PackageFile>, rules: usize, created_at: i64) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { version: version_of(&files), created_at, rules, files }
    }

    /// In one line.
    pub fn reference(&self) -> PackageRef {
        PackageRef { version: self.version.clone(), created_at: self.created_at, files: self.files.len(), rules: self.rules }
    }

    /// Its object's key.
    pub fn key(version: &str) -> String {
        format!("{PACKAGES}{version}.json")
    }

    /// Whether it is, byte for byte, the package of its version.
    pub fn is_sound(&self) -> bool {
        let same = |file: &PackageFile| file.sha256 == hex::encode(Sha256::digest(file.text.as_bytes()));
        self.files.iter().all(same) && self.version == version_of(&self.files)
    }
}

fn version_of(files: &[PackageFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.path.len() as u64).to_le_bytes());
        hash.update(file.path.as_bytes());
        hash.update(file.sha256.as_bytes());
    }
    hex::encode(hash.finalize()).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(source: &str) -> Sources {
        Sources { local_sources: vec![Source { source: source.into(), state: SourceState::Enabled }], http_sources: Vec::new() }
    }

    #[test]
    fn a_source_is_a_folder_in_s3_or_a_url_and_never_one_of_our_own_folders() {
        assert_eq!(Sources::default_of("defs").validate("defs"), Ok(()));
        assert_eq!(local("s3://other-bucket").validate("defs"), Ok(()));
        assert_eq!(S3Prefix::parse("s3://defs/a/b"), Some(S3Prefix { bucket: "defs".into(), prefix: "a/b/".into() }));
        for wrong in ["/mnt/yara", "s3://", "s3://A/x", "s3://defs", "s3://defs/yara", "s3://defs/packages/x", "s3://defs/hashes/", "https://x/y.zip"]
        {
            let problem = local(wrong).validate("defs").unwrap_err();
            assert!(problem.contains(&format!("`{wrong}`")), "{problem}");
        }
        let web = |source: &str| Sources { local_sources: vec![], http_sources: local(source).local_sources };
        assert_eq!(web("https://example.com/rules.zip").validate("defs"), Ok(()));
        for wrong in ["ftp://x/y.zip", "https://", "file:///etc/passwd", "https://x/a b.zip"] {
            assert!(web(wrong).validate("defs").is_err(), "{wrong}");
        }
        let twice = Sources { local_sources: [local("s3://abc/x").local_sources, local("s3://abc/x").local_sources].concat(), http_sources: vec![] };
        assert!(twice.validate("defs").unwrap_err().contains("twice"));
    }

    #[test]
    fn the_version_is_what_is_in_it_and_a_changed_package_is_not_sound() {
        let file = |path: &str, text: &str| PackageFile::new(path.into(), "s".into(), text.into());
        let package = Package::new(vec![file("b", "2"), file("a", "1")], 2, 5);
        assert_eq!(package.version, Package::new(vec![file("a", "1"), file("b", "2")], 2, 9).version);
        assert_ne!(package.version, Package::new(vec![file("a", "1"), file("b", "3")], 2, 5).version);
        assert!(package.is_sound());
        let mut changed = package.clone();
        changed.files[0].text.push('x');
        assert!(!changed.is_sound());
        let mut fewer = package;
        fewer.files.pop();
        assert!(!fewer.is_sound());
    }

    #[test]
    fn back_leads_to_what_was_in_force_before() {
        let package = |version: &str| PackageRef { version: version.into(), created_at: 0, files: 1, rules: 1 };
        let second = InForce::default().switched_to(package("1")).switched_to(package("2")).switched_to(package("2"));
        let first = second.rolled_back().unwrap();
        assert_eq!(first.active, Some(package("1")));
        let none = first.rolled_back().unwrap();
        assert_eq!(none.active, None);
        assert_eq!(none.rolled_back(), None);
    }

    #[test]
    fn a_run_that_never_ended_is_an_error_that_says_so() {
        let run = Generation { status: Status::InProgress, started_at: 0, ..Generation::default() };
        assert_eq!(run.clone().at(60_000).status, Status::InProgress);
        let dead = run.at(Generation::LONGEST_MS + 1);
        assert_eq!((dead.status, dead.issues[GENERAL].len()), (Status::Error, 1));
    }
}
