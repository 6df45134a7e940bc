//! One object in an invocation: fetched, found in the hash cache or analysed, and continued later if time runs out.
//!
//! What always holds: an analysis that is not over is in the queue again with everything that was done, its claim is free,
//! and no try is counted; a file that ends its worker is tried again without what ended it.

use std::time::Duration;

use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::event::ScanRequest;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Basis, ObjectRef};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::error::chain;
use portcullis_core::overrides::Overrides;
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::{Claimed, MAX_TRIES};
use portcullis_engines::{Analysis, Job, Resume, WorkerDeath};

use crate::scan::{Ended, failed};
use crate::verdict::Judged;
use crate::{Scan, ScanFailure, cache, fetch};

/// Below this much time, in ms, an analysis is not begun: it goes back to the queue for a fresh invocation.
const LEAST_MS: i64 = 15_000;
/// Kept back for a run that pauses: what is running ends, or is ended (5 s each).
const PAUSE_MS: i64 = 10_000;

/// What decides about a file, read once.
pub(crate) struct Plan {
    pub(crate) rule: Rule,
    pub(crate) overrides: Overrides,
}

impl Scan {
    /// Everything that needs the object itself.
    pub(crate) async fn run_worker(&self, claimed: &Claimed, object: &ObjectRef, plan: Plan, ends_at: i64) -> Result<Ended, ScanFailure> {
        let Plan { rule, overrides } = plan;
        let submission = &claimed.record.submission;
        let _slot = self.slots.acquire().await.map_err(|_| Failed::Retry("the scan function is ending".into()))?;
        // Others had the slot: no fault of this file, so its message does not count as failed.
        if ends_at - now_ms() < LEAST_MS {
            return Ok(Ended::Paused(None));
        }
        let definitions = self.pool.version().await.map_err(|death| Failed::Retry(death.to_string()))?;
        let basis = Basis { rule: rule.version(), definitions: overrides.definitions(&definitions), cached_from: None };
        let file = match fetch::to_disk(&self.objects, object, self.pool.scratch_dir()).await {
            Ok(file) => file,
            Err(StoreError::Conflict { .. } | StoreError::Missing { .. }) => {
                let verdict = Verdict::failed("The object was changed or removed before it could be scanned.");
                return Ok(Ended::Judged(Box::new(Judged { gone: true, ..Judged::unscanned(submission, object, basis, verdict) })));
            }
            Err(error) => return Err(error.into()),
        };
        let mut sha256 = None;
        if cache::is_shared(claimed, &rule) {
            let digest = fetch::sha256(file.path()).await?;
            let place = cache::place(submission, &rule, &basis, digest.clone());
            if let Some((report, from)) = self.taken_over(&place, &basis, submission).await {
                let basis = Basis { cached_from: Some(from), ..basis };
                return Ok(Ended::Judged(Box::new(Judged { report, basis, shared: None, gone: false })));
            }
            sha256 = Some(digest);
        }
        let job = Job {
            path: file.path().to_owned(),
            name: submission.name.clone(),
            passwords: claimed.passwords.clone(),
            // The limits of the rule; the deadline of the submission and the end of the invocation are watched here.
            time_budget_ms: rule.timeout_seconds.saturating_mul(1000),
            scratch_dir: self.pool.scratch_dir().to_owned(),
            rule,
            overrides,
        };
        let mut resume = self.resume(claimed).await?;
        loop {
            let left = ends_at - now_ms();
            if left < LEAST_MS {
                return Ok(Ended::Paused(Some(Box::new(resume))));
            }
            resume.pause_after(Some(self.slice(left)));
            let run = self.pool.run(&job, &mut resume).await;
            // What it really rests on: the definitions may have been switched since.
            let basis = Basis { definitions: job.overrides.definitions(resume.definitions()), ..basis.clone() };
            match run {
                Ok(Analysis::Report(report)) => {
                    let shared = sha256.map(|sha256| cache::place(submission, &job.rule, &basis, sha256));
                    return Ok(Ended::Judged(Box::new(Judged { report: *report, basis, shared, gone: false })));
                }
                Ok(Analysis::Paused) if resume.is_stalled() => {
                    return Ok(Ended::Judged(Box::new(Judged::unscanned(submission, object, basis, stalled(&resume)))));
                }
                Ok(Analysis::Paused) => return Ok(Ended::Paused(Some(Box::new(resume)))),
                // A worker that could not even start says nothing about the file.
                Err(death) if !death.on_job => return Err(Failed::Retry(death.to_string()).into()),
                Err(death) => {
                    if let Some(ended) = self.count(claimed, object, &basis, &death).await? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// Time until a run pauses.
    fn slice(&self, left_ms: i64) -> Duration {
        let left = Duration::from_millis(u64::try_from(left_ms - PAUSE_MS).unwrap_or_default());
        if self.slice.is_zero() { left } else { left.min(self.slice) }
    }

    /// Counts a death. One with a known culprit does not count: the next try goes without it, and there are not endlessly many.
    async fn count(&self, claimed: &Claimed, object: &ObjectRef, basis: &Basis, death: &WorkerDeath) -> Result<Option<Ended>, ScanFailure> {
        let submission = &claimed.record.submission;
        if death.blamed {
            tracing::error!(data_id = %submission.id, %death, "a worker died on a part of the file; it goes on without it");
            return Ok(None);
        }
        let tries = match self.scans.count_death(&submission.id, &claimed.token).await {
            Ok(tries) => tries,
            Err(StoreError::Conflict { .. }) => return Ok(Some(Ended::LostClaim)),
            Err(error) => return Err(error.into()),
        };
        tracing::error!(data_id = %submission.id, %death, tries, "a worker died on the file");
        let detail = || format!("The file ended its worker {MAX_TRIES} times.");
        Ok((tries > MAX_TRIES).then(|| failed(submission, object, basis.clone(), detail())))
    }

    /// Where an earlier invocation stopped.
    async fn resume(&self, claimed: &Claimed) -> Result<Resume, ScanFailure> {
        let Some(key) = &claimed.partial else { return Ok(Resume::default()) };
        let id = &claimed.record.submission.id;
        let kept = match self.partials.read(key).await {
            Ok(kept) => kept,
            // It is done again from the start; the deadline of the submission holds all the same.
            Err(error) if !error.is_retryable() => {
                tracing::warn!(data_id = %id, error = %chain(&error), "what was done before is not there any more");
                return Ok(Resume::default());
            }
            Err(error) => return Err(error.into()),
        };
        Ok(serde_json::from_slice(&kept).unwrap_or_else(|error| {
            tracing::warn!(data_id = %id, %error, "what was done before can not be read");
            Resume::default()
        }))
    }

    /// Keeps what was done, gives the claim back and asks for another invocation.
    pub(crate) async fn pause(&self, claimed: Claimed, object: &ObjectRef, resume: Option<Box<Resume>>) -> Result<(), ScanFailure> {
        let (id, token) = (&claimed.record.submission.id, &claimed.token);
        let finished = resume.as_ref().map(|resume| resume.finished());
        let paused = async {
            match resume {
                Some(resume) => {
                    let body = serde_json::to_vec(&resume).map_err(|e| StoreError::Permanent { what: "keep what was done", source: e.into() })?;
                    drop(resume);
                    let key = self.partials.save(id, token, body).await?;
                    self.scans.pause(id, token, &key).await?;
                    self.forget_partial(&claimed).await;
                }
                None => self.scans.release(id, token).await?,
            }
            let request = ScanRequest { scan_request: id.clone(), object: object.clone() };
            let body = serde_json::to_string(&request).map_err(|e| StoreError::Permanent { what: "encode a scan request", source: e.into() })?;
            self.scan_queue.send(body).await
        }
        .await;
        match paused {
            Ok(()) => {
                tracing::info!(data_id = %id, finished, "the analysis continues through the queue");
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => self.lost(id).await,
            Err(error) => {
                let _ = self.scans.release(id, token).await;
                Err(error.into())
            }
        }
    }

    /// Removes what an earlier invocation kept. If that fails, the bucket's lifecycle does it.
    pub(crate) async fn forget_partial(&self, claimed: &Claimed) {
        let Some(key) = &claimed.partial else { return };
        if let Err(error) = self.partials.remove(key).await {
            tracing::warn!(data_id = %claimed.record.submission.id, error = %chain(&error), "what was done before could not be removed");
        }
    }
}

/// The verdict on an analysis that does not get any further.
fn stalled(resume: &Resume) -> Verdict {
    let detail = "The analysis did not get any further within an invocation.";
    // More than the submitted file itself: it is what came out of it that takes so long.
    let code = if resume.finished() > 1 { Code::ExceededArchiveTimeout } else { Code::Failed };
    Verdict { detail: detail.into(), ..Verdict::decide(&[code], &[]) }
}
