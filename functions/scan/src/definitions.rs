//! What workers load: `yara/` and `hashes/` of the definitions bucket, read directly, and the YARA package in
//! force ([`InForce`]), mirrored into a folder.
//!
//! The two do not replace each other. `yara/` is for a few rules of one's own: what is put there works half a
//! minute later, unchecked but for its syntax. A package is made of the configured sources, checked, and can be
//! taken back ([`crate::tasks`]). Looked at while messages come, the package every few seconds. What always
//! holds: nothing is scanned before the first look succeeded (a block list that could not be read must not mean
//! "clean"), and workers load from a folder that is complete: a new state is a new folder, switched by one
//! rename, and switched back when they can not load it. The folders belong to this process alone ([`crate::room`]), and one
//! that was replaced stays while a worker may be loading it ([`crate::replaced`]). What is pinned ([`Pinned`]) is read from its copies
//! instead, and its package is the one that was in force then.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_core::batch::Failed;
use portcullis_core::domain::engine::{EngineIdentity, HASH_REPUTATION, YARA_X};
use portcullis_core::domain::submission::ObjectRef;
use portcullis_core::domain::yara::{InForce, Package};
use portcullis_core::overrides::{EngineStates, Pinned};
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::Objects;
use portcullis_core::store::settings::Settings;
use portcullis_core::wire::engines::{PUBLISHED, VERSION};
use portcullis_engines::WorkerPool;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::replaced::Replaced;
use crate::room::Room;

/// Time between looks at what is read directly.
const INTERVAL: Duration = Duration::from_secs(30);
/// Largest definitions, in bytes, all together.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// What is mirrored, and whose definitions it is.
const PREFIXES: [(&str, EngineIdentity); 2] = [("yara/", YARA_X), ("hashes/", HASH_REPUTATION)];

/// The mirror.
#[derive(Debug)]
pub(crate) struct DefinitionsSync {
    objects: Objects,
    bucket: String,
    /// Where the folders are.
    room: Room,
    current: PathBuf,
    /// Where a clamd listens, if there is one: its database is a part of the definitions that comes and goes by itself.
    clamd: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    looked: Option<Instant>,
    /// Whether the last look led to nothing: then the next one waits its time.
    failed: bool,
    /// What is mirrored; `None` before the first success.
    seen: Option<Seen>,
    /// Folders before the one in force.
    replaced: Replaced,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Keys and ETags.
    names: Vec<(String, String)>,
    wanted: Wanted,
    /// What clamd last said of itself. While it is silent, that stays: what fails now is not remembered as a verdict.
    clamd: Option<String>,
}

/// What settings say is to be in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Version of the package.
    package: Option<String>,
    /// What stays as it was, by engine id.
    pins: BTreeMap<String, Pinned>,
}

impl Wanted {
    fn new(in_force: Option<InForce>, states: Option<EngineStates>) -> Self {
        let pins = states.unwrap_or_default().pins();
        let active = match pins.get(YARA_X.id) {
            Some(pinned) => pinned.package.clone(),
            None => in_force.unwrap_or_default().active,
        };
        Self { package: active.map(|package| package.version), pins }
    }
}

/// An object, and its place in the folder of definitions.
struct Listed {
    name: String,
    object: ObjectRef,
}

fn retry(error: &(dyn std::error::Error + 'static)) -> Failed {
    Failed::Retry(portcullis_core::error::chain(error))
}

fn disk(error: &std::io::Error) -> Failed {
    Failed::Retry(format!("definitions can not be written: {error}"))
}

impl DefinitionsSync {
    pub(crate) fn new(objects: Objects, bucket: String, shared: PathBuf, clamd: Option<String>) -> Self {
        let room = Room::new(shared);
        Self { objects, bucket, current: room.folder().join("current"), room, clamd, state: Mutex::default() }
    }

    /// Where workers load from.
    pub(crate) fn folder(&self) -> &Path {
        &self.current
    }

    /// The definitions bucket.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Looks for changes if it is time, and lets the workers know.
    pub(crate) async fn refresh(&self, pool: &WorkerPool, settings: &Settings) -> Result<(), Failed> {
        let mut state = self.state.lock().await;
        let recent = state.looked.is_some_and(|at| at.elapsed() < INTERVAL);
        let result = match tokio::try_join!(settings.get(InForce::SETTING), settings.get(EngineStates::SETTING)) {
            Ok((in_force, states)) => {
                let wanted = Wanted::new(in_force, states);
                if recent && (state.failed || state.seen.as_ref().is_some_and(|seen| seen.wanted == wanted)) {
                    return Ok(());
                }
                self.update(&mut state, wanted, pool, settings).await
            }
            Err(_) if recent => return Ok(()),
            Err(error) => Err(retry(&error)),
        };
        state.failed = result.is_err();
        match result {
            Ok(()) => {}
            Err(failure) if state.seen.is_some() => tracing::error!(%failure, "definitions can not be renewed; the previous ones stay"),
            Err(failure) => return Err(failure),
        }
        state.looked = Some(Instant::now());
        Ok(())
    }

    /// Looks now, and says when what is there can not be used.
    pub(crate) async fn refresh_now(&self, pool: &WorkerPool, settings: &Settings) -> Result<(), Failed> {
        let mut state = self.state.lock().await;
        let (in_force, _) = settings.versioned(InForce::SETTING).await.map_err(|error| retry(&error))?;
        let (states, _) = settings.versioned(EngineStates::SETTING).await.map_err(|error| retry(&error))?;
        let result = self.update(&mut state, Wanted::new(in_force, states), pool, settings).await;
        (state.looked, state.failed) = (Some(Instant::now()), result.is_err());
        result
    }

    /// Brings the workers up to what the bucket holds.
    async fn update(&self, state: &mut State, wanted: Wanted, pool: &WorkerPool, settings: &Settings) -> Result<(), Failed> {
        state.replaced.tidy(Instant::now()).await;
        let listed = self.list(&wanted).await.map_err(|error| retry(&error))?;
        let names = listed.iter().map(|listed| (listed.object.key.clone(), listed.object.etag.clone())).collect();
        let clamd = self.clamd_version().await.or_else(|| state.seen.as_ref()?.clamd.clone());
        let now = Seen { names, wanted, clamd };
        if state.seen.as_ref() == Some(&now) {
            return Ok(());
        }
        let folder = self.mirror(&listed, now.wanted.package.as_deref()).await?;
        let previous = tokio::fs::read_link(&self.current).await.ok();
        self.switch(&folder).await?;
        if let Some(previous) = previous.clone() {
            state.replaced.add(previous, Instant::now());
        }
        let status = match pool.reload().await {
            Ok(status) => status,
            Err(death) => {
                if let Some(previous) = &previous {
                    self.switch(previous).await?;
                    state.replaced.take_back(previous);
                    state.replaced.add(folder, Instant::now());
                    pool.reload().await.map_err(|death| Failed::Retry(format!("a worker could not go back to the previous definitions: {death}")))?;
                }
                return Err(Failed::Retry(format!("a worker could not load the definitions: {death}")));
            }
        };
        for engine in status.iter().filter(|engine| !engine.issues.is_empty()) {
            tracing::warn!(engine = engine.name, issues = ?engine.issues, "definitions have issues");
        }
        let version = pool.version().await.map_err(|death| Failed::Retry(format!("a worker could not load the definitions: {death}")))?;
        settings.put(PUBLISHED, &status).await.map_err(|error| retry(&error))?;
        settings.put(VERSION, &version).await.map_err(|error| retry(&error))?;
        tracing::info!(files = now.names.len(), package = now.wanted.package, "definitions loaded");
        state.seen = Some(now);
        Ok(())
    }

    async fn clamd_version(&self) -> Option<String> {
        let address = self.clamd.clone()?;
        tokio::task::spawn_blocking(move || portcullis_engines::clamd_version(&address)).await.ok().flatten()
    }

    async fn list(&self, wanted: &Wanted) -> Result<Vec<Listed>, StoreError> {
        let mut found = Vec::new();
        for (prefix, engine) in PREFIXES {
            let folder = wanted.pins.get(engine.id).map_or("", |pinned| pinned.folder.as_str());
            for object in self.objects.list(&self.bucket, &format!("{folder}{prefix}")).await? {
                // "Folders" that consoles create are empty objects.
                if let Some(name) = object.key.strip_prefix(folder).filter(|name| !name.ends_with('/')) {
                    found.push(Listed { name: name.to_owned(), object });
                }
            }
        }
        Ok(found)
    }

    async fn document(&self, key: &str) -> Result<bytes::Bytes, Failed> {
        self.objects.document(&self.bucket, key).await.map_err(|error| retry(&error))
    }

    /// Copies an object into a folder of definitions. Hash lists have hundreds of megabytes: they never are in memory.
    async fn fetch(&self, folder: &Path, listed: &Listed) -> Result<(), Failed> {
        let Listed { name, object } = listed;
        let Some(last) = object.size.checked_sub(1) else { return write(folder, name, b"").await };
        write(folder, name, b"").await?;
        let mut file = tokio::fs::OpenOptions::new().append(true).open(folder.join(name)).await.map_err(|e| disk(&e))?;
        let mut body = self.objects.read(object, 0, last).await.map_err(|error| retry(&error))?;
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| Failed::Retry(format!("definition `{name}` broke off: {error}")))?;
            file.write_all(&part).await.map_err(|e| disk(&e))?;
        }
        file.flush().await.map_err(|e| disk(&e))?;
        match file.metadata().await.map_err(|e| disk(&e))?.len() {
            size if size == object.size => Ok(()),
            size => Err(Failed::Retry(format!("definition `{name}` has {size} bytes instead of {}", object.size))),
        }
    }

    /// Writes a complete new folder.
    async fn mirror(&self, listed: &[Listed], package: Option<&str>) -> Result<PathBuf, Failed> {
        if listed.iter().map(|listed| listed.object.size).sum::<u64>() > MAX_BYTES {
            return Err(Failed::Retry(format!("definitions are larger than {MAX_BYTES} bytes")));
        }
        self.room.enter().await.map_err(|e| disk(&e))?;
        let folder = tempfile::Builder::new().prefix("set-").tempdir_in(self.room.folder()).map_err(|e| disk(&e))?;
        for listed in listed {
            self.fetch(folder.path(), listed).await?;
        }
        if let Some(version) = package {
            let body = self.document(&Package::key(version)).await?;
            let package: Package = serde_json::from_slice(&body).map_err(|e| Failed::Retry(format!("package `{version}` can not be read: {e}")))?;
            if package.version != version || !package.is_sound() {
                return Err(Failed::Retry(format!("package `{version}` was changed after it was made")));
            }
            write_package(folder.path(), &package).await?;
        }
        Ok(folder.keep())
    }

    /// Makes `folder` the one that workers load from.
    async fn switch(&self, folder: &Path) -> Result<(), Failed> {
        let link = self.room.folder().join("next");
        let _ = tokio::fs::remove_file(&link).await;
        tokio::fs::symlink(folder, &link).await.map_err(|e| disk(&e))?;
        tokio::fs::rename(&link, &self.current).await.map_err(|e| disk(&e))
    }
}

/// Writes the files of a package into a folder of definitions.
pub(crate) async fn write_package(folder: &Path, package: &Package) -> Result<(), Failed> {
    for file in &package.files {
        write(folder, &format!("package/{}", file.path), file.text.as_bytes()).await?;
    }
    Ok(())
}

async fn write(folder: &Path, name: &str, content: &[u8]) -> Result<(), Failed> {
    let Some(relative) = safe_path(name) else {
        return Err(Failed::Retry(format!("definition `{name}` has no usable name")));
    };
    let path = folder.join(relative);
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(|e| disk(&e))?;
    }
    tokio::fs::write(&path, content).await.map_err(|e| disk(&e))
}

/// A key as a relative path that stays inside the folder.
fn safe_path(key: &str) -> Option<PathBuf> {
    let path = Path::new(key);
    path.components().all(|part| matches!(part, Component::Normal(_))).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_lead_out_of_the_folder() {
        assert!(safe_path("yara/team/a.yar").is_some());
        for key in ["yara/../../etc/passwd", "/etc/passwd", "yara/./../x"] {
            assert!(safe_path(key).is_none(), "{key}");
        }
    }
}
