//! A folder with rules and lists, mirrored into the definitions bucket: edit a file, and a minute later
//! workers use it, just as an upload to the bucket does when deployed. Rules in the folder `sources` are used
//! once a package was generated of them. Nothing else of the bucket is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::error::chain;
use tokio::sync::watch;

use super::HostError;

/// Time between looks at the folder.
const INTERVAL: Duration = Duration::from_secs(5);
/// What is mirrored, and holds nothing else.
const FOLDERS: [&str; 2] = ["yara", "hashes"];
/// Mirrored as well where it exists; else what is uploaded there stays.
const SOURCES: &str = "sources";

/// The mirror.
pub(super) struct Mirror {
    client: aws_sdk_s3::Client,
    bucket: String,
    folder: PathBuf,
    seen: BTreeMap<String, Vec<u8>>,
}

impl Mirror {
    pub(super) fn new(client: aws_sdk_s3::Client, bucket: String, folder: PathBuf) -> Self {
        Self { client, bucket, folder, seen: BTreeMap::new() }
    }

    /// Brings the bucket up to the folder, whatever it held.
    pub(super) async fn once(&mut self) -> Result<(), HostError> {
        let failed = |problem: String| HostError::Resource { name: self.bucket.clone(), problem };
        let files = read(&self.folder).map_err(|source| HostError::Folder { path: self.folder.clone(), source })?;
        let mut stale = Vec::new();
        for name in mirrored(&self.folder) {
            let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{name}/")).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| failed(chain(&e)))?;
                stale.extend(page.contents.unwrap_or_default().into_iter().filter_map(|o| o.key).filter(|key| !files.contains_key(key)));
            }
        }
        for key in stale {
            self.client.delete_object().bucket(&self.bucket).key(key).send().await.map_err(|e| failed(chain(&e)))?;
        }
        for (key, content) in files.iter().filter(|(key, content)| self.seen.get(*key) != Some(content)) {
            let put = self.client.put_object().bucket(&self.bucket).key(key).body(content.clone().into());
            put.send().await.map_err(|e| failed(chain(&e)))?;
        }
        self.seen = files;
        Ok(())
    }

    /// Looks again and again.
    pub(super) async fn keep(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stopping.changed() => return,
            }
            match read(&self.folder) {
                Ok(files) if files == self.seen => {}
                Ok(_) => {
                    if let Err(error) = self.once().await {
                        tracing::error!(%error, "definitions can not be mirrored");
                    }
                }
                Err(error) => tracing::error!(folder = %self.folder.display(), %error, "definitions can not be read"),
            }
        }
    }
}

/// The folders that are mirrored.
fn mirrored(folder: &Path) -> impl Iterator<Item = &'static str> {
    FOLDERS.into_iter().chain(folder.join(SOURCES).is_dir().then_some(SOURCES))
}

/// All files below them, by their key.
fn read(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut open: Vec<PathBuf> = mirrored(folder).map(|name| folder.join(name)).filter(|path| path.is_dir()).collect();
    if open.is_empty() && !folder.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the folder does not exist"));
    }
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                files.insert(relative.to_string_lossy().into_owned(), std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}
