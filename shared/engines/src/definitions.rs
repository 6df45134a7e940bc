//! Rules and lists, loaded once per process and shared by all threads.
//!
//! Layout of a definitions directory: `yara/**/*.yar|.yara`, `package/**` alike, `hashes/{allow,block,skip}*.txt|csv|hashlist`.
//! What always holds: loading never fails. The bundled rules are always active, and whatever could not
//! be loaded is told by [`Definitions::status`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use portcullis_core::domain::engine::{ARCHIVE, CATALOGUE, EngineIdentity, EngineStatus, FILE_TYPE};

use crate::engine::Engine;
use crate::engine::clamav::ClamAv;
use crate::engine::hashes::HashReputation;
use crate::engine::yara::Yara;
use crate::engine::{documents, executables, pdf, scripts};

/// Most definition files read below one directory.
const MAX_FILES: usize = 20_000;
/// Deepest directory below a definitions directory.
const MAX_LEVELS: usize = 16;
/// Date of this version, for engines whose definitions are their code.
pub(crate) const BUILT_AT: &str = "2026-11-22T00:00:00.000Z";

/// Everything engines need, immutable.
pub struct Definitions {
    engines: Vec<Box<dyn Engine>>,
    version: String,
}

impl Definitions {
    /// Loads the definitions of `dir` on top of the bundled ones; compiled rules are cached in `cache_dir`,
    /// which must be private to this user (a compiled pack is executable code).
    pub fn load(dir: Option<&Path>, cache_dir: Option<&Path>) -> Self {
        Self::load_with(dir, cache_dir, None)
    }

    /// The same, with ClamAV behind the address of a clamd (`/path` or `host:port`).
    pub fn load_with(dir: Option<&Path>, cache_dir: Option<&Path>, clamd: Option<&str>) -> Self {
        // A link to the current set may be switched meanwhile: everything comes from one set.
        let dir = dir.map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
        let dir = dir.as_deref();
        let mut engines: Vec<Box<dyn Engine>> = vec![
            Box::new(Yara::load(dir, cache_dir)),
            Box::new(HashReputation::load(dir)),
            Box::new(documents::ENGINE),
            Box::new(pdf::ENGINE),
            Box::new(scripts::ENGINE),
            Box::new(executables::ENGINE),
        ];
        if let Some(address) = clamd {
            engines.push(Box::new(ClamAv::new(address)));
        }
        let version = version(&engines, dir);
        Self { engines, version }
    }

    /// Version of everything the engines use, 32 hex characters: the code, the bundled rules, every definition file, and
    /// what the engines say of themselves. Equal on every machine that judges alike.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The engines that have rows.
    pub fn engines(&self) -> impl Iterator<Item = &dyn Engine> {
        self.engines.iter().map(AsRef::as_ref)
    }

    /// What every engine of the catalogue that is there says of itself, in the catalogue's order.
    pub fn status(&self) -> Vec<EngineStatus> {
        CATALOGUE.iter().filter_map(|identity| self.status_of(identity)).collect()
    }

    fn status_of(&self, identity: &EngineIdentity) -> Option<EngineStatus> {
        if let Some(engine) = self.engines().find(|engine| engine.identity() == *identity) {
            return Some(engine.status());
        }
        (!identity.is_optional()).then(|| EngineStatus {
            name: identity.name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            def_time: BUILT_AT.into(),
            active: *identity == ARCHIVE || *identity == FILE_TYPE,
            issues: Vec::new(),
        })
    }
}

/// See [`Definitions::version`]. A file counts whether an engine can use it or not: rather another version than a wrong one.
fn version(engines: &[Box<dyn Engine>], dir: Option<&Path>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(env!("PORTCULLIS_ENGINES_BUILD").as_bytes());
    for engine in engines {
        part(engine.identity().name.as_bytes());
        part(engine.version().as_bytes());
    }
    let (mut files, mut issues) = (Vec::new(), Vec::new());
    if let Some(dir) = dir {
        files_below(dir, &[], &mut files, &mut issues);
        for file in files {
            part(file.strip_prefix(dir).unwrap_or(&file).to_string_lossy().as_bytes());
            part(content_digest(&file).as_deref().unwrap_or(b"unreadable"));
        }
    }
    hex::encode(hash.finalize()).chars().take(32).collect()
}

fn content_digest(path: &Path) -> Option<Vec<u8>> {
    let (mut file, mut hash, mut buffer) = (File::open(path).ok()?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hash.finalize().to_vec()),
            read => hash.update(buffer.get(..read)?),
        }
    }
}

/// Regular files below `dir` with one of the extensions (all if none is given), sorted. A missing directory is no issue.
pub(crate) fn files_below(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>, issues: &mut Vec<String>) {
    walk(dir, extensions, found, issues, 0);
    found.sort();
    if found.len() > MAX_FILES {
        found.truncate(MAX_FILES);
        issues.push(format!("Only the first {MAX_FILES} files below `{}` are read.", dir.display()));
    }
}

/// Whether the name ends in one of the extensions, in whatever case.
pub(crate) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

fn walk(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>, issues: &mut Vec<String>, level: usize) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return issues.push(format!("Directory `{}` could not be read: {error}.", dir.display())),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && level < MAX_LEVELS {
            walk(&path, extensions, found, issues, level + 1);
        } else if (extensions.is_empty() || has_extension(&path, extensions)) && path.is_file() {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_of_the_catalogue_has_a_status_and_is_active() {
        let status = Definitions::load(None, None).status();
        let names: Vec<_> = status.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, CATALOGUE.iter().filter(|i| !i.is_optional()).map(|i| i.name).collect::<Vec<_>>());
        assert!(status.iter().all(|s| s.active && s.issues.is_empty() && s.def_time.ends_with('Z')));
    }

    #[test]
    fn the_version_follows_the_content_of_the_definitions_and_nothing_else() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&one, &other] {
            std::fs::create_dir_all(dir.path().join("hashes")).unwrap();
            std::fs::write(dir.path().join("hashes/block.txt"), "# none\n").unwrap();
        }
        let version = |dir: &Path| Definitions::load(Some(dir), None).version().to_owned();
        let first = version(one.path());
        assert_eq!(first.len(), 32);
        assert_eq!(first, version(other.path()), "the same set in another folder, written at another time");
        std::fs::write(other.path().join("hashes/block.txt"), format!("{}\n", "ab".repeat(32))).unwrap();
        assert_ne!(first, version(other.path()));
        assert_ne!(first, Definitions::load(None, None).version());
    }

    #[test]
    fn a_missing_directory_leaves_the_bundled_rules() {
        let status = Definitions::load(Some(Path::new("/nonexistent")), None).status();
        assert!(status.iter().all(|s| s.active && s.issues.is_empty()), "{status:?}");
    }
}
