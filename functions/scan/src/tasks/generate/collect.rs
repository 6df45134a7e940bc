//! Rule files of all sources onto disk. A source that can not be read ends the generation: without its rules
//! the new set would find less than the one in force, and nobody would notice.

use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};
use portcullis_core::domain::submission::ObjectRef;
use portcullis_core::domain::yara::{GENERAL, S3Prefix, Severity, Source, SourceState, Sources};
use portcullis_core::error::chain;
use portcullis_engines::WorkerPool;
use portcullis_engines::vetting::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, is_usable};

use super::issues::Found;
use super::{Problem, no_room};
use crate::Scan;

/// Objects read side by side.
const PARALLEL: usize = 8;

/// A rule file that may become part of the package.
pub(super) struct Candidate {
    /// The source, as it is configured.
    pub(super) source: String,
    /// Path in the package.
    pub(super) path: String,
    /// Path in the source.
    pub(super) shown: String,
    /// Where it is now.
    pub(super) file: PathBuf,
}

impl Scan {
    /// The rule files of all enabled sources.
    pub(super) async fn collect(
        &self,
        sources: &Sources,
        checker: &WorkerPool,
        scratch: &Path,
        found: &mut Found,
    ) -> Result<Vec<Candidate>, Problem> {
        let (mut candidates, mut unread) = (Vec::new(), Vec::new());
        let enabled = |source: &&Source| source.state == SourceState::Enabled;
        let local = sources.local_sources.iter().filter(enabled).map(|source| (source, true));
        let web = sources.http_sources.iter().filter(enabled).map(|source| (source, false));
        for (number, (Source { source, .. }, is_local)) in local.chain(web).enumerate() {
            let folder = scratch.join(format!("source-{number}"));
            tokio::fs::create_dir(&folder).await.map_err(|e| no_room(&e))?;
            let files =
                if is_local { self.files_in_s3(source, &folder, found).await } else { self.files_on_the_web(source, checker, &folder, found).await };
            match files {
                Ok(files) => {
                    if files.is_empty() {
                        found.add(source, Severity::Warning, "The source has no rule file.");
                    }
                    candidates.extend(files.into_iter().map(|(shown, file)| Candidate {
                        source: source.clone(),
                        path: format!("{number}/{shown}"),
                        shown,
                        file,
                    }));
                }
                Err(problem) => {
                    found.add(source, Severity::Error, format!("The source can not be read: {problem}."));
                    unread.push(source.as_str());
                }
            }
        }
        if !unread.is_empty() {
            return Err(format!("{} of the sources can not be read; the set in force stays.", unread.len()));
        }
        if candidates.len() > MAX_FILES {
            found.add(GENERAL, Severity::Error, format!("{} rule files were found.", candidates.len()));
            return Err(format!("The sources have more than {MAX_FILES} rule files; the set in force stays."));
        }
        Ok(candidates)
    }

    /// Rule files below a prefix: path below it, and where the content is now.
    async fn files_in_s3(&self, source: &str, folder: &Path, found: &mut Found) -> Result<Vec<(String, PathBuf)>, Problem> {
        let S3Prefix { bucket, prefix } = S3Prefix::parse(source).ok_or("it is no S3 prefix")?;
        let mut listed: Vec<(String, ObjectRef)> = Vec::new();
        for object in self.objects.list(&bucket, &prefix).await.map_err(|e| chain(&e))? {
            let shown = object.key.strip_prefix(&prefix).unwrap_or(&object.key).to_owned();
            if !is_rule_file(&shown) {
                continue;
            }
            if !is_usable(&shown) {
                found.add(source, Severity::Error, format!("`{}` is left out: it has no usable name.", shown.escape_debug()));
            } else if object.size > MAX_FILE_BYTES {
                found.add(source, Severity::Error, format!("`{shown}` is left out: it is larger than {MAX_FILE_BYTES} bytes."));
            } else {
                listed.push((shown, object));
            }
        }
        if listed.len() > MAX_FILES || listed.iter().map(|(_, object)| object.size).sum::<u64>() > MAX_TOTAL_BYTES {
            return Err(format!("it has more than {MAX_FILES} rule files or {MAX_TOTAL_BYTES} bytes of rules"));
        }
        let fetched = listed.into_iter().enumerate().map(|(number, (shown, object))| async move {
            let body = self.objects.document(&object.bucket, &object.key).await.map_err(|e| chain(&e))?;
            let file = folder.join(number.to_string());
            tokio::fs::write(&file, &body).await.map_err(|e| no_room(&e))?;
            Ok::<_, Problem>((shown, file))
        });
        stream::iter(fetched).buffered(PARALLEL).try_collect().await
    }

    /// Rule files of a ZIP on the web.
    async fn files_on_the_web(
        &self,
        source: &str,
        checker: &WorkerPool,
        folder: &Path,
        found: &mut Found,
    ) -> Result<Vec<(String, PathBuf)>, Problem> {
        let archive = folder.join("archive");
        self.fetch_rules(source, &archive).await?;
        let into = folder.join("files");
        tokio::fs::create_dir(&into).await.map_err(|e| no_room(&e))?;
        let unpacked = checker.unpack_rules(&archive, &into).await.map_err(|death| format!("its archive could not be opened: {death}"))?;
        if let Some(error) = unpacked.error {
            return Err(error);
        }
        for left_out in unpacked.left_out {
            found.add(source, Severity::Error, format!("Left out: {left_out}"));
        }
        Ok(unpacked.files.into_iter().map(|(shown, number)| (shown, into.join(number.to_string()))).collect())
    }
}

fn is_rule_file(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["yar", "yara"].iter().any(|known| known.eq_ignore_ascii_case(extension)))
}
