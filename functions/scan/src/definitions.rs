//! The operator's definitions: `yara/` and `hashes/` of the definitions bucket, mirrored into a folder.
//!
//! Looked at once a minute while messages come. What always holds: nothing is scanned before the first
//! look succeeded (a block list that could not be read must not mean "clean"), and workers load from a
//! folder that is complete: a new state is a new folder, switched by one rename.

use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_core::batch::Failed;
use portcullis_core::domain::submission::ObjectRef;
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::Objects;
use portcullis_core::store::settings::Settings;
use portcullis_core::wire::engines::{PUBLISHED, VERSION};
use portcullis_engines::WorkerPool;
use tokio::sync::Mutex;

/// Time between looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Largest definitions, in bytes, all together.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// What is mirrored.
const PREFIXES: [&str; 2] = ["yara/", "hashes/"];

/// The mirror.
#[derive(Debug)]
pub(crate) struct DefinitionsSync {
    objects: Objects,
    bucket: String,
    base: PathBuf,
    current: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    looked: Option<Instant>,
    /// Keys and ETags of what is mirrored; `None` before the first success.
    seen: Option<Vec<(String, String)>>,
}

impl DefinitionsSync {
    pub(crate) fn new(objects: Objects, bucket: String, base: PathBuf) -> Self {
        Self { objects, bucket, current: base.join("current"), base, state: Mutex::default() }
    }

    /// Where workers load from.
    pub(crate) fn folder(&self) -> &Path {
        &self.current
    }

    /// Looks for changes if it is time, and lets the workers know.
    pub(crate) async fn refresh(&self, pool: &WorkerPool, settings: &Settings) -> Result<(), Failed> {
        let mut state = self.state.lock().await;
        if state.looked.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        match self.update(&mut state.seen, pool, settings).await {
            Ok(()) => {}
            Err(failure) if state.seen.is_some() => tracing::error!(%failure, "definitions can not be renewed; the previous ones stay"),
            Err(failure) => return Err(failure),
        }
        state.looked = Some(Instant::now());
        Ok(())
    }

    /// Brings the workers up to what the bucket holds.
    async fn update(&self, seen: &mut Option<Vec<(String, String)>>, pool: &WorkerPool, settings: &Settings) -> Result<(), Failed> {
        let listed = self.list().await.map_err(|error| Failed::Retry(portcullis_core::error::chain(&error)))?;
        let names: Vec<(String, String)> = listed.iter().map(|object| (object.key.clone(), object.etag.clone())).collect();
        if seen.as_ref() == Some(&names) {
            return Ok(());
        }
        self.mirror(&listed).await?;
        let status = pool.reload().await.map_err(|death| Failed::Retry(format!("a worker could not load the definitions: {death}")))?;
        for engine in status.iter().filter(|engine| !engine.issues.is_empty()) {
            tracing::warn!(engine = engine.name, issues = ?engine.issues, "definitions have issues");
        }
        let version = pool.version().await.map_err(|death| Failed::Retry(format!("a worker could not load the definitions: {death}")))?;
        settings.put(PUBLISHED, &status).await.map_err(|error| Failed::Retry(portcullis_core::error::chain(&error)))?;
        settings.put(VERSION, &version).await.map_err(|error| Failed::Retry(portcullis_core::error::chain(&error)))?;
        tracing::info!(files = names.len(), "definitions loaded");
        *seen = Some(names);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<ObjectRef>, StoreError> {
        let mut found = Vec::new();
        for prefix in PREFIXES {
            found.extend(self.objects.list(&self.bucket, prefix).await?);
        }
        // "Folders" that consoles create are empty objects.
        found.retain(|object| !object.key.ends_with('/'));
        Ok(found)
    }

    async fn document(&self, key: &str) -> Result<bytes::Bytes, Failed> {
        self.objects.document(&self.bucket, key).await.map_err(|error| Failed::Retry(portcullis_core::error::chain(&error)))
    }

    /// Writes a complete new folder and switches to it.
    async fn mirror(&self, listed: &[ObjectRef]) -> Result<(), Failed> {
        let retry = |error: std::io::Error| Failed::Retry(format!("definitions can not be written: {error}"));
        if listed.iter().map(|object| object.size).sum::<u64>() > MAX_BYTES {
            return Err(Failed::Retry(format!("definitions are larger than {MAX_BYTES} bytes")));
        }
        tokio::fs::create_dir_all(&self.base).await.map_err(retry)?;
        let folder = tempfile::Builder::new().prefix("set-").tempdir_in(&self.base).map_err(retry)?.keep();
        for object in listed {
            let Some(relative) = safe_path(&object.key) else {
                return Err(Failed::Retry(format!("definition `{}` has no usable name", object.key)));
            };
            let path = folder.join(relative);
            if let Some(parent) = path.parent() {
                tokio::fs::create_dir_all(parent).await.map_err(retry)?;
            }
            tokio::fs::write(&path, self.document(&object.key).await?).await.map_err(retry)?;
        }
        let previous = tokio::fs::read_link(&self.current).await.ok();
        let link = self.base.join("next");
        let _ = tokio::fs::remove_file(&link).await;
        tokio::fs::symlink(&folder, &link).await.map_err(retry)?;
        tokio::fs::rename(&link, &self.current).await.map_err(retry)?;
        if let Some(previous) = previous.filter(|previous| previous.starts_with(&self.base)) {
            let _ = tokio::fs::remove_dir_all(previous).await;
        }
        Ok(())
    }
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
