//! Hands the files of a rescan out to the scan queue, a minute's share at a time, and none while fresh files wait.
//!
//! What always holds: files are sent before the job says so, so that none is left out when this dies in between; a file
//! that is sent twice is judged and counted once.

use futures::stream::{self, StreamExt, TryStreamExt};
use portcullis_core::domain::event::Task;
use portcullis_core::domain::id::DataId;
use portcullis_core::rescan::{Change, Job, RescanSettings, State};
use portcullis_core::store::StoreError;
use portcullis_core::store::history::SHARDS;
use portcullis_core::wire::engines::VERSION;

use crate::Sweep;

/// With this many messages in the scan queue nothing is handed out: fresh files come first.
const DEEP: u64 = 100;
/// Entries looked at in one run: most of them may be of another rule.
const LOOKED_AT: usize = 5000;
/// Entries of one page of the history.
const PAGE: usize = 200;
/// Messages sent side by side.
const PARALLEL: usize = 16;
/// Time after the last file was handed out in which all must have ended, ms: the deadline of the last, and some.
const PATIENCE_MS: i64 = 2 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

impl Sweep {
    /// Goes on with the rescan, if one runs, or begins one, if definitions changed and that is wanted. Returns the number of
    /// files handed out.
    pub(crate) async fn rescan(&self, now: i64) -> Result<u64, StoreError> {
        let (job, revision) = self.settings.versioned::<Job>(Job::NAME).await?;
        match job {
            Some(job) if job.state == State::Running && job.is_fed() => self.end_rescan(job, revision, now).await.map(|()| 0),
            Some(job) if job.state == State::Running => self.feed(job, revision, now).await,
            last => self.begin_rescan(last, revision, now).await.map(|()| 0),
        }
    }

    async fn feed(&self, mut job: Job, revision: u64, now: i64) -> Result<u64, StoreError> {
        let (share, depth) = (job.share(now), self.scan_queue.depth().await?);
        if share == 0 || depth.total() >= DEEP {
            tracing::info!(job = job.id, share, depth = depth.total(), "the rescan waits");
            return Ok(0);
        }
        let (mut files, mut looked_at): (Vec<DataId>, usize) = (Vec::new(), 0);
        while !job.is_fed() && files.len() < share && looked_at < LOOKED_AT {
            let page = self.history.oldest(job.shard, job.from, job.to, job.after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            let mut is_whole = true;
            for (place, entry) in page {
                if files.len() >= share {
                    is_whole = false;
                    break;
                }
                looked_at += 1;
                job.after = Some(place);
                files.extend(entry.filter(|entry| job.takes(entry)).map(|entry| entry.data_id));
            }
            if is_last && is_whole {
                job.shard = (job.shard + 1).min(SHARDS);
                job.after = None;
            }
        }
        let sent = files.len() as u64;
        let asked = files.into_iter().map(|data_id| self.scan_queue.ask(Task::Rescan { data_id, job: job.id.clone() }));
        stream::iter(asked).buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await?;
        job.fed += sent;
        job.fed_at = now;
        match self.settings.replace(Job::NAME, &job, revision).await {
            Ok(_) => tracing::info!(job = job.id, sent, fed = job.fed, is_fed = job.is_fed(), "rescan"),
            // Stopped meanwhile, or another sweep did the same.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(sent)
    }

    /// Ends a job whose files were all handed out, when all were counted, or some never will be.
    async fn end_rescan(&self, job: Job, revision: u64, now: i64) -> Result<(), StoreError> {
        let counts = self.rescans.counts(&job.id).await?;
        if counts.total() < job.fed && now < job.fed_at + PATIENCE_MS {
            return Ok(());
        }
        let ended = Job { state: State::Done, ended_at: Some(now), ..job };
        match self.settings.replace(Job::NAME, &ended, revision).await {
            Ok(_) => {
                let (changed, cleared) = (counts.of(Change::Changed), counts.of(Change::Cleared));
                tracing::info!(job = ended.id, files = ended.fed, changed, cleared, lost = ended.fed.saturating_sub(counts.total()), "rescan done");
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins a rescan of the last days when the definitions in force are others than at the last one, and the settings want it.
    async fn begin_rescan(&self, last: Option<Job>, revision: u64, now: i64) -> Result<(), StoreError> {
        let settings = RescanSettings::in_force(&self.settings).await?;
        if !settings.automatic {
            return Ok(());
        }
        let Some(definitions) = self.settings.get::<String>(VERSION).await? else { return Ok(()) };
        if last.is_some_and(|last| last.definitions == definitions) {
            return Ok(());
        }
        let days = i64::try_from(settings.days).unwrap_or(1);
        let mut job = Job::new(now - days * DAY_MS, now, definitions, now);
        job.per_minute = u32::try_from(settings.per_minute).unwrap_or(job.per_minute);
        match self.settings.replace(Job::NAME, &job, revision).await {
            Ok(_) => {
                tracing::info!(job = job.id, definitions = job.definitions, days, "the definitions changed: rescan");
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
