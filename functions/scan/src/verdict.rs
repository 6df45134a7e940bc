//! From a report to the record, and what follows a verdict.

use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::{AnalysisReport, Digests, FileReport};
use portcullis_core::domain::submission::{Basis, ObjectRef, Outcome, Record, Source, Submission};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::retention::Retention;
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::Claimed;

use crate::cache::Shared;
use crate::measure::measure;
use crate::{Scan, ScanFailure};

/// Blocked children that can be found by hash, at most: the worst ones.
const INDEXED_CHILDREN: usize = 100;

/// What came out of a scan, however it ended.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) report: AnalysisReport,
    pub(crate) basis: Basis,
    /// Where the same content finds this verdict, if it may.
    pub(crate) shared: Option<Shared>,
    /// The object is not there any more.
    pub(crate) gone: bool,
}

impl Judged {
    /// Of a file that no engine looked at.
    pub(crate) fn unscanned(submission: &Submission, object: &ObjectRef, basis: Basis, verdict: Verdict) -> Self {
        let root = FileReport::unscanned(&submission.name, object.size, verdict);
        Self { report: AnalysisReport { root, children: Vec::new() }, basis, shared: None, gone: false }
    }
}

/// The worst children that are held back: those that are found by hash like files of their own.
pub(crate) fn blocked_children(id: &DataId, report: &AnalysisReport) -> Vec<(DataId, Digests)> {
    report
        .worst_first()
        .into_iter()
        .filter_map(|number| Some((number, report.children.get(number as usize - 1)?)))
        .take_while(|(_, child)| child.verdict.code.is_blocked())
        .take(INDEXED_CHILDREN)
        .map(|(number, child)| (id.child(number), child.digests.clone()))
        .collect()
}

impl Scan {
    /// Writes the verdict and what follows it.
    pub(crate) async fn conclude(&self, claimed: Claimed, judged: Judged) -> Result<(), ScanFailure> {
        if let Some(of) = claimed.record.submission.wishes.rescan_of.clone() {
            return self.conclude_rescan(claimed, judged, &of).await;
        }
        let Judged { report, basis, shared, .. } = judged;
        let (mut record, token) = (claimed.record.clone(), claimed.token.clone());
        let id = record.submission.id.clone();
        let blocked = blocked_children(&id, &report);
        let written = async {
            // Before the verdict: whoever sees a file finished finds it by its hash.
            let sharing = async {
                if let Some(shared) = &shared {
                    self.share(&record.submission, shared, &report).await;
                }
            };
            tokio::join!(self.index(&record.submission, &report.root.digests, blocked), sharing).0?;
            let inline = self.children.save(&id, None, &report).await?;
            let outcome = Outcome {
                child_count: u32::try_from(report.children.len()).unwrap_or(u32::MAX),
                worst_child: report.worst_first().first().copied().unwrap_or_default(),
                started_at: record.started_at.unwrap_or(record.submission.created_at),
                finished_at: now_ms(),
                basis: basis.clone(),
                report: report.root.clone(),
                revision: None,
            };
            self.scans.finish(&record.submission, &token, &outcome, inline).await?;
            Ok::<Outcome, StoreError>(outcome)
        }
        .await;
        match written {
            Ok(outcome) => record.outcome = Some(outcome),
            Err(StoreError::Conflict { .. }) => {
                tracing::warn!(data_id = %id, "another worker's verdict counts");
                return Ok(());
            }
            Err(error) => {
                let _ = self.scans.release(&id, &token).await;
                return Err(error.into());
            }
        }
        self.forget_partial(&claimed).await;
        measure(&report.root, now_ms());
        let verdict = &report.root.verdict;
        tracing::info!(data_id = %id, code = verdict.code.row().tag, result = verdict.result(), detail = verdict.detail, children = report.children.len(), cached = basis.cached_from.is_some(), "verdict");
        self.after_verdict(&record).await
    }

    /// What follows a verdict. When it fails the message comes again, some times; then sweep asks for it.
    async fn after_verdict(&self, record: &Record) -> Result<(), ScanFailure> {
        let followed = self.follow(record).await;
        if followed.is_err() {
            self.scans.untold(&record.submission.id).await;
        }
        followed
    }

    /// The same for a verdict that was there already: what follows it may not have happened.
    pub(crate) async fn after_verdict_again(&self, record: &Record) -> Result<(), ScanFailure> {
        self.after_verdict(record).await?;
        self.scans.told(&record.submission.id).await;
        Ok(())
    }

    /// Tags, quarantine or promotion, event. Every part may happen twice: a message that is delivered again repeats it.
    async fn follow(&self, record: &Record) -> Result<(), ScanFailure> {
        // Of a rescan everything happened before its verdict.
        if record.submission.source == Source::Rescan {
            return Ok(());
        }
        self.tag(record).await?;
        // A rescan may have come to another verdict while this one was written on the object.
        if record.submission.source == Source::Event
            && let Some((now, _)) = self.scans.get(&record.submission.id).await?
            && now.outcome.as_ref().is_some_and(|outcome| outcome.revision.is_some())
        {
            self.tag(&now).await?;
        }
        self.enforce(record).await?;
        self.announcer.ended(record).await?;
        Ok(())
    }

    /// Makes the file, and those `blocked_children` that are found by hash like files of their own, the newest result of their contents.
    pub(crate) async fn index(&self, submission: &Submission, digests: &Digests, blocked_children: Vec<(DataId, Digests)>) -> Result<(), StoreError> {
        let mut files = vec![(submission.id.clone(), digests.clone())];
        files.extend(blocked_children);
        // A file that was never read has no digests.
        files.retain(|(_, digests)| !digests.sha256.is_empty());
        if files.is_empty() {
            return Ok(());
        }
        self.hashes.record(&files, &submission.rule, submission.created_at, self.life_ms().await?).await
    }

    /// How long what a submission leaves behind lives, ms. A setting that can not be read is waited for: it loses no file.
    pub(crate) async fn life_ms(&self) -> Result<i64, StoreError> {
        let kept = Retention::in_force(&self.settings).await;
        kept.map(|kept| kept.life_ms()).map_err(|e| StoreError::Retry { what: "read how long results are kept", source: e.into() })
    }

    /// Verdict tags on the very version that was judged; only in watched buckets. An object without them is not proven clean.
    pub(crate) async fn tag(&self, record: &Record) -> Result<(), ScanFailure> {
        Ok(self.tag_object(record).await?)
    }

    pub(crate) async fn tag_object(&self, record: &Record) -> Result<(), StoreError> {
        let (Some(outcome), Some(object)) = (&record.outcome, &record.object) else { return Ok(()) };
        if record.submission.source != Source::Event {
            return Ok(());
        }
        let verdict = &outcome.report.verdict;
        // Without a version the tag would go to whatever is under the key by now.
        if object.version.is_none() && !verdict.code.is_blocked() {
            tracing::warn!(data_id = %record.submission.id, bucket = object.bucket, "not tagged clean: the bucket has no versions");
            return Ok(());
        }
        match self.objects.tag(object, &Self::verdict_tags(record, outcome)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::error!(data_id = %record.submission.id, error = %portcullis_core::error::chain(&error), "the object could not be tagged");
                Ok(())
            }
        }
    }

    /// What the tags of an object say.
    pub(crate) fn verdict_tags(record: &Record, outcome: &Outcome) -> [(&'static str, String); 5] {
        let code = outcome.report.verdict.code;
        // S3 takes letters, digits, blanks and `+-=._:/@` in values, 256 at most.
        let version = outcome.basis.definitions.chars().filter(|c| c.is_ascii_alphanumeric() || "+-=._:/@ ".contains(*c)).take(256).collect();
        [
            ("portcullis:verdict", if code.is_blocked() { "blocked" } else { "clean" }.to_owned()),
            ("portcullis:code", code.row().tag.to_owned()),
            ("portcullis:data_id", record.submission.id.to_string()),
            ("portcullis:version", version),
            ("portcullis:time", iso(outcome.revision.as_ref().map_or(outcome.finished_at, |revision| revision.at))),
        ]
    }
}
