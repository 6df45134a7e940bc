//! Makes a new YARA package from the configured sources and puts it in force (contract §6.8).
//!
//! collect → every file on its own in a worker ([`portcullis_engines::vetting`]) → the whole set on samples,
//! clean and bad, loaded as workers load it → package → switch. What always holds: the set in force changes in
//! one write, at the very end; a source that could not be read, a sample that was judged wrongly or no usable
//! file at all leave it as it is; a file that is left out is named.

mod collect;
mod issues;
mod trial;
mod web;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::yara::{GENERAL, Generation, InForce, Package, PackageFile, PackageRef, Severity, SourceState, Sources, Status};
use portcullis_core::error::chain;
use portcullis_core::store::StoreError;
use portcullis_engines::vetting::{MAX_FILES, MAX_TOTAL_BYTES};
use portcullis_engines::{WorkerConfig, WorkerPool};

use self::collect::Candidate;
use self::issues::Found;
use crate::{Scan, ScanFailure};

/// Tries of a change that somebody else was faster with.
const TRIES: usize = 5;

/// Why there is no new package: one sentence, for the operator.
type Problem = String;

impl Scan {
    /// Does the run if it is still the one that is waited for, and says how it ended.
    pub(super) async fn generate_rules(&self, run: &str, ends_at: i64) -> Result<(), ScanFailure> {
        let (generation, revision) = self.settings.versioned::<Generation>(Generation::SETTING).await?;
        let Some(generation) = generation.filter(|generation| generation.run == run && generation.status == Status::InProgress) else {
            tracing::info!(run, "an old generation is not done again");
            return Ok(());
        };
        // One worker less for files, so that the memory of all workers together stays what it is.
        let _slot = self.slots.acquire().await.map_err(|_| Failed::Retry("the scan function is ending".into()))?;
        let mut found = Found::default();
        let left = Duration::from_millis(u64::try_from(ends_at - now_ms()).unwrap_or_default());
        let ended = tokio::time::timeout(left, self.generate(&mut found)).await;
        let status = match ended.unwrap_or_else(|_| Err(format!("The generation did not end within {} s.", left.as_secs()))) {
            Ok(package) => {
                tracing::info!(run, version = package.version, files = package.files, rules = package.rules, "rules generated");
                Status::Idle
            }
            Err(problem) => {
                tracing::error!(run, problem, "no rules generated; the set in force stays");
                found.add(GENERAL, Severity::Error, problem);
                Status::Error
            }
        };
        match self.settings.replace(Generation::SETTING, &Generation { status, issues: found.told(), ..generation }, revision).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn generate(&self, found: &mut Found) -> Result<PackageRef, Problem> {
        let bucket = self.definitions.bucket();
        let stored = self.settings.versioned::<Sources>(Sources::SETTING).await.map_err(|e| format!("The sources are unknown: {}.", chain(&e)))?.0;
        let sources = stored.unwrap_or_else(|| Sources::default_of(bucket));
        tokio::fs::create_dir_all(&self.scratch).await.map_err(|e| no_room(&e))?;
        let scratch = tempfile::Builder::new().prefix("rules-").tempdir_in(&self.scratch).map_err(|e| no_room(&e))?;
        let checker = WorkerPool::new(WorkerConfig { workers: 1, definitions_dir: None, ..self.worker.clone() });

        let candidates = self.collect(&sources, &checker, scratch.path(), found).await?;
        let (files, rules) = check(&candidates, &checker, found).await?;
        drop(checker);
        let is_used = |state: SourceState| state == SourceState::Enabled;
        if files.is_empty() && sources.local_sources.iter().chain(&sources.http_sources).any(|source| is_used(source.state)) {
            return Err("The sources have no usable rule file; the set in force stays.".into());
        }
        let package = Package::new(files, rules, now_ms());
        self.try_on_samples(&package, scratch.path()).await?;
        let body = serde_json::to_vec(&package).map_err(|e| e.to_string())?;
        let stored = self.objects.put_document(bucket, &Package::key(&package.version), body).await;
        stored.map_err(|e| format!("The package could not be stored: {}.", chain(&e)))?;
        self.put_in_force(&package).await?;
        Ok(package.reference())
    }

    /// Switches to the package, here at once and everywhere within a minute; back, if it can not be loaded here.
    async fn put_in_force(&self, package: &Package) -> Result<(), Problem> {
        let before = self.switch(|in_force| Some(in_force.switched_to(package.reference()))).await?;
        if let Err(failure) = self.definitions.refresh_now(&self.pool, &self.settings).await {
            if before.active.as_ref().is_none_or(|active| active.version != package.version) {
                self.switch(|in_force| if in_force.active == Some(package.reference()) { in_force.rolled_back() } else { None }).await?;
            }
            return Err(format!("The package could not be loaded beside the other definitions: {failure}."));
        }
        Ok(())
    }

    /// Changes which package is in force; returns what was before. `None` leaves it.
    async fn switch(&self, change: impl Fn(InForce) -> Option<InForce>) -> Result<InForce, Problem> {
        let failed = |error: &StoreError| format!("The package could not be put in force: {}.", chain(error));
        for _ in 0..TRIES {
            let (in_force, revision) = self.settings.versioned::<InForce>(InForce::SETTING).await.map_err(|e| failed(&e))?;
            let before = in_force.unwrap_or_default();
            let Some(after) = change(before.clone()).filter(|after| *after != before) else { return Ok(before) };
            match self.settings.replace(InForce::SETTING, &after, revision).await {
                Ok(_) => return Ok(before),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Err("The package could not be put in force: others change it all the time.".into())
    }
}

fn no_room(error: &std::io::Error) -> Problem {
    format!("There is no room for the rules: {error}.")
}

/// The files that are fit to be used, and how many rules they have.
async fn check(candidates: &[Candidate], pool: &WorkerPool, found: &mut Found) -> Result<(Vec<PackageFile>, usize), Problem> {
    let (mut files, mut rules, mut bytes, mut paths) = (Vec::new(), 0, 0, BTreeSet::new());
    for Candidate { source, path, shown, file } in candidates {
        let mut left_out = |why: &str| found.add(source, Severity::Error, format!("`{shown}` is left out: {why}."));
        if !is_free(&paths, path) {
            left_out("another file is where its folder would be");
            continue;
        }
        let checked = match pool.check_rules(file).await {
            Ok(checked) => checked,
            Err(death) if death.on_job => {
                left_out(&format!("the compiler did not survive it ({})", death.reason));
                continue;
            }
            Err(death) => return Err(format!("Rules can not be checked: {death}.")),
        };
        if let Some(error) = &checked.error {
            left_out(&format!("it {error}"));
            continue;
        }
        for warning in &checked.warnings {
            found.add(source, Severity::Warning, format!("`{shown}`: {warning}"));
        }
        let text = tokio::fs::read_to_string(file).await.map_err(|e| no_room(&e))?;
        bytes += text.len() as u64;
        if bytes > MAX_TOTAL_BYTES || files.len() >= MAX_FILES {
            return Err(format!("The sources have more than {MAX_FILES} rule files or {MAX_TOTAL_BYTES} bytes of rules; the set in force stays."));
        }
        rules += checked.rules;
        paths.insert(path.clone());
        files.push(PackageFile::new(path.clone(), source.clone(), text));
    }
    Ok((files, rules))
}

/// Whether a file of this path fits beside the others: no path is another one's folder.
fn is_free(paths: &BTreeSet<String>, path: &str) -> bool {
    let below = format!("{path}/");
    let is_folder = paths.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below));
    let in_a_file = Path::new(path).ancestors().filter_map(Path::to_str).any(|ancestor| paths.contains(ancestor));
    !is_folder && !in_a_file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_another_ones_folder() {
        let paths = BTreeSet::from(["1/a.yar".to_owned(), "1/dir.yar/b.yar".to_owned()]);
        assert!(is_free(&paths, "1/b.yar"));
        assert!(is_free(&paths, "2/a.yar"));
        assert!(is_free(&paths, "1/dir.yar/c.yar"));
        for taken in ["1/a.yar", "1/a.yar/c.yar", "1/dir.yar"] {
            assert!(!is_free(&paths, taken), "{taken}");
        }
    }
}
