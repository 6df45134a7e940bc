//! Reports of an archive's children: in the submission's item while they are few, else in objects of
//! [`CHUNK`] children each, plus one object with the order for listings (worst first).
//!
//! So an archive of 10 000 files costs some twenty writes, and a page of its listing some reads,
//! whatever its size. What always holds: child `n` (1-based) is element `(n - 1) % CHUNK` of object `(n - 1) / CHUNK`.

use std::collections::HashMap;

use super::{StoreError, objects::Objects, scans::Inline};
use crate::domain::{
    id::DataId,
    report::{AnalysisReport, FileReport, worst_first},
    submission::Record,
};

/// Children in one object.
pub const CHUNK: u32 = 500;
/// Children up to this much JSON stay in the item, in bytes: polls read the item, so it must stay small.
const INLINE_BYTES: usize = 24 * 1024;

/// The children's store.
#[derive(Clone, Debug)]
pub struct Children {
    objects: Objects,
    bucket: String,
}

/// A page of an archive's listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Number and report of each child on the page.
    pub children: Vec<(u32, FileReport)>,
}

impl Children {
    /// Over the report bucket.
    pub fn new(objects: Objects, bucket: impl Into<String>) -> Self {
        Self { objects, bucket: bucket.into() }
    }

    /// Stores the children of a finished analysis: of `id`, by the rescan `job` if it is one. Returns those that go into the
    /// item, if they are small enough.
    pub async fn save<'a>(&self, id: &DataId, job: Option<&str>, report: &'a AnalysisReport) -> Result<Option<&'a [FileReport]>, StoreError> {
        if report.children.is_empty() {
            return Ok(None);
        }
        let small = report.children.len() <= 50 && encode(&report.children)?.len() <= INLINE_BYTES;
        if small {
            return Ok(Some(&report.children));
        }
        let folder = folder(id, job);
        let mut uploads = Vec::new();
        for (number, chunk) in report.children.chunks(CHUNK as usize).enumerate() {
            let (key, body) = (chunk_key(&folder, number), encode(&chunk)?);
            uploads.push(async move { self.objects.put_document(&self.bucket, &key, body).await });
        }
        futures::future::try_join_all(uploads).await?;
        self.objects.put_document(&self.bucket, &order_key(&folder), encode(&report.worst_first())?).await?;
        Ok(None)
    }

    /// Entries `first..first + size` of the listing, worst first.
    pub async fn page(&self, record: &Record, inline: &Inline, first: usize, size: usize) -> Result<Page, StoreError> {
        let count = record.outcome.as_ref().map_or(0, |o| o.child_count);
        if count == 0 || size == 0 {
            return Ok(Page::default());
        }
        let folder = folder_of(record);
        if let Some(children) = &inline.children {
            let page = worst_first(children).into_iter().skip(first).take(size);
            let children = page.filter_map(|number| Some((number, children.get(place_in_all(number))?.clone()))).collect();
            return Ok(Page { children });
        }
        let order: Vec<u32> = decode(&self.objects.document(&self.bucket, &order_key(&folder)).await?)?;
        let mut chunks: HashMap<usize, Vec<FileReport>> = HashMap::new();
        let mut children = Vec::new();
        for number in order.into_iter().skip(first).take(size) {
            let chunk = chunk_of(number);
            if let std::collections::hash_map::Entry::Vacant(slot) = chunks.entry(chunk) {
                slot.insert(self.chunk(&folder, chunk).await?);
            }
            if let Some(report) = chunks.get(&chunk).and_then(|c| c.get(place_of(number))) {
                children.push((number, report.clone()));
            }
        }
        Ok(Page { children })
    }

    /// All children of a finished submission, in order of extraction.
    pub async fn all(&self, record: &Record, inline: Inline) -> Result<Vec<FileReport>, StoreError> {
        let count = record.outcome.as_ref().map_or(0, |o| o.child_count);
        if let Some(children) = inline.children {
            return Ok(children);
        }
        let mut children = Vec::new();
        for chunk in 0..count.div_ceil(CHUNK) {
            children.extend(self.chunk(&folder_of(record), chunk as usize).await?);
        }
        if children.len() == count as usize { Ok(children) } else { Err(StoreError::corrupt("read a report", "children are missing")) }
    }

    /// One child by number (from 1).
    pub async fn child(&self, record: &Record, inline: &Inline, number: u32) -> Result<Option<FileReport>, StoreError> {
        let count = record.outcome.as_ref().map_or(0, |o| o.child_count);
        if number == 0 || number > count {
            return Ok(None);
        }
        if let Some(children) = &inline.children {
            return Ok(children.get(place_in_all(number)).cloned());
        }
        let chunk = self.chunk(&folder_of(record), chunk_of(number)).await?;
        Ok(chunk.into_iter().nth(place_of(number)))
    }

    async fn chunk(&self, folder: &str, chunk: usize) -> Result<Vec<FileReport>, StoreError> {
        read(&self.objects, &self.bucket, &chunk_key(folder, chunk)).await
    }
}

/// Whether an object below a folder of reports holds reports, and not their order.
pub(super) fn is_chunk(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(|name| name.starts_with("children-"))
}

/// The reports in an object.
pub(super) async fn read(objects: &Objects, bucket: &str, key: &str) -> Result<Vec<FileReport>, StoreError> {
    decode(&objects.document(bucket, key).await?)
}

const fn chunk_of(number: u32) -> usize {
    (number.saturating_sub(1) / CHUNK) as usize
}

const fn place_in_all(number: u32) -> usize {
    number.saturating_sub(1) as usize
}

const fn place_of(number: u32) -> usize {
    (number.saturating_sub(1) % CHUNK) as usize
}

/// Where the children of a record are. Those of a rescan have a place of their own: who reads the old verdict reads its children.
fn folder_of(record: &Record) -> String {
    folder(&record.submission.id, record.outcome.as_ref().and_then(|outcome| outcome.revision.as_ref()).map(|revision| revision.job.as_str()))
}

fn folder(id: &DataId, job: Option<&str>) -> String {
    match job {
        None => format!("reports/{}", id.group()),
        Some(job) => format!("reports/{}/{job}", id.group()),
    }
}

fn chunk_key(folder: &str, chunk: usize) -> String {
    format!("{folder}/children-{chunk}.json")
}

fn order_key(folder: &str) -> String {
    format!("{folder}/order.json")
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|e| StoreError::corrupt("encode a report", e))
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::corrupt("read a report", e))
}
