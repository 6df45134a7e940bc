//! A file of a rescan: made a submission of its own, scanned as any other, and compared with its original.
//!
//! What always holds: what follows a comparison may happen twice and is the same both times, up to the count, which is
//! made once; only then does the submission of the rescan end. So a worker that dies anywhere loses and doubles nothing.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::{AnalysisReport, Digests};
use portcullis_core::domain::submission::{ObjectRef, Outcome, Record, RescanOf, Revision, Source, Submission, Wishes};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::rescan::{Change, Job, State, compare};
use portcullis_core::store::StoreError;
use portcullis_core::store::rescans::News;
use portcullis_core::store::scans::Claimed;
use portcullis_core::wire::engines::VERSION;

use crate::message::Request;
use crate::verdict::{Judged, blocked_children};
use crate::{Scan, ScanFailure};

/// Sweep looks at the submission of a rescan after this time, ms.
const FIRST_CHECK_MS: i64 = 120_000;
/// Longest time that a file waits for its verdict, ms: a job waits for its last file.
const DEADLINE_MS: i64 = 3_600_000;
/// How long the submission of a rescan is kept, ms: its webhook may be tried that long.
const KEPT_MS: i64 = 7 * 86_400_000;

impl Scan {
    /// Begins, or goes on, to judge a file again.
    pub(crate) async fn rescan(&self, file: &DataId, job: &str, ends_at: i64) -> Result<(), ScanFailure> {
        let current = self.settings.versioned::<Job>(Job::NAME).await?.0;
        let is_on = current.is_some_and(|current| current.id == job && current.state == State::Running);
        if !is_on || self.rescans.is_counted(job, file).await? {
            tracing::info!(data_id = %file, job, "not judged again: counted, or its job is over");
            return Ok(());
        }
        let original = self.scans.get(file).await?.map(|(record, _)| record);
        let Some((original, object)) =
            original.and_then(|record| record.outcome.is_some().then(|| record.object.clone()).flatten().map(|o| (record, o)))
        else {
            return Ok(self.rescans.count(job, file, Change::Gone, None).await?);
        };
        self.look_for(job).await?;
        let submission = self.submission_of_rescan(&original.submission, &object, job);
        let now = submission.created_at;
        match self.scans.create(&submission, &[], now + FIRST_CHECK_MS, now + KEPT_MS).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // Boxed: a scan may end in the assembly of parts, which scans.
        Box::pin(self.scan(Request { id: Some(submission.id), object }, ends_at)).await
    }

    /// The definitions are looked at anew for each job: it was started because there are newer ones, and this process may
    /// not have them yet. So they are when another process published others.
    async fn look_for(&self, job: &str) -> Result<(), ScanFailure> {
        let mut looked_for = self.looked_for.lock().await;
        let published: Option<String> = self.settings.get(VERSION).await?;
        if *looked_for == job && published == self.pool.version().await.ok() {
            return Ok(());
        }
        self.definitions.refresh_now(&self.pool, &self.settings).await?;
        job.clone_into(&mut looked_for);
        Ok(())
    }

    /// The same file of the same owner, under an id that follows from job and file.
    fn submission_of_rescan(&self, of: &Submission, object: &ObjectRef, job: &str) -> Submission {
        let now = now_ms();
        let wishes = Wishes {
            callback_url: of.wishes.callback_url.clone(),
            engines_metadata: of.wishes.engines_metadata.clone(),
            rescan_of: Some(RescanOf { data_id: of.id.clone(), job: job.to_owned() }),
            ..Wishes::default()
        };
        Submission {
            id: Job::scan_id(job, &of.id),
            source: Source::Rescan,
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            created_at: now,
            deadline_at: now + self.deadline_ms.min(DEADLINE_MS),
            size: object.size,
            wishes,
            ..of.clone()
        }
    }

    /// Compares the verdict with that of the original, and ends the rescan of the file.
    pub(crate) async fn conclude_rescan(&self, claimed: Claimed, judged: Judged, of: &RescanOf) -> Result<(), ScanFailure> {
        let (record, token) = (&claimed.record, &claimed.token);
        let verdict = judged.report.root.verdict.clone();
        let concluded = async {
            let (change, before) = self.compared(record, judged, of).await?;
            let is_news = matches!(change, Change::Changed | Change::Cleared);
            let news = before.filter(|_| is_news).map(|before| News { data_id: of.data_id.clone(), before, after: verdict.code, change });
            self.rescans.count(&of.job, &of.data_id, change, news.as_ref()).await?;
            tracing::info!(data_id = %of.data_id, job = of.job, change = change.word(), after = verdict.code.row().tag, "judged again");
            let outcome = Outcome::unscanned(record, verdict.clone(), now_ms());
            self.scans.finish(&record.submission, token, &outcome, None).await
        }
        .await;
        match concluded {
            Ok(()) => {
                self.forget_partial(&claimed).await;
                Ok(())
            }
            // Another worker has it, and does the same.
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => {
                let _ = self.scans.release(&record.submission.id, token).await;
                Err(error.into())
            }
        }
    }

    /// What the verdict means, done; and the code of before.
    async fn compared(&self, rescan: &Record, judged: Judged, of: &RescanOf) -> Result<(Change, Option<Code>), StoreError> {
        let Some((original, _)) = self.scans.get(&of.data_id).await? else { return Ok((Change::Gone, None)) };
        let Some(outcome) = &original.outcome else { return Ok((Change::Gone, None)) };
        // Written by a worker that died then: what follows may not have happened.
        if let Some(revision) = outcome.revision.as_ref().filter(|revision| revision.job == of.job) {
            self.told(&original, &rescan.submission.id).await?;
            return Ok((Change::Changed, Some(revision.before)));
        }
        if judged.gone {
            return Ok((Change::Gone, None));
        }
        let before = outcome.report.verdict.code;
        let change = match compare(&outcome.report.verdict, &judged.report.root.verdict) {
            Change::Cleared if self.releases(&of.job).await? => Change::Changed,
            change => change,
        };
        if change == Change::Changed {
            let revised = self.revise(&original, judged, &of.job).await?;
            self.told(&revised, &rescan.submission.id).await?;
        }
        Ok((change, Some(before)))
    }

    /// Whether the job lets through what it finds clean.
    async fn releases(&self, job: &str) -> Result<bool, StoreError> {
        let current = self.settings.versioned::<Job>(Job::NAME).await?.0;
        Ok(current.is_some_and(|current| current.id == job && current.release))
    }

    /// Puts a verdict in the place of the one of before.
    async fn revise(&self, original: &Record, judged: Judged, job: &str) -> Result<Record, StoreError> {
        let Judged { report, basis, .. } = judged;
        let (id, submission) = (&original.submission.id, &original.submission);
        let Some(before) = &original.outcome else { return Err(StoreError::Missing { what: "revise a verdict" }) };
        self.index(submission, &report.root.digests, blocked_children(id, &report)).await?;
        let inline = self.children.save(id, Some(job), &report).await?;
        let outcome = Outcome {
            child_count: u32::try_from(report.children.len()).unwrap_or(u32::MAX),
            worst_child: report.worst_first().first().copied().unwrap_or_default(),
            basis,
            revision: Some(Revision { job: job.to_owned(), at: now_ms(), before: before.report.verdict.code }),
            report: report.root.clone(),
            ..before.clone()
        };
        // Somebody else was there first: the message comes again, and finds what he wrote.
        let written = self.scans.revise(original, &outcome, inline).await;
        if let Err(StoreError::Conflict { .. }) = written {
            return Err(StoreError::Retry { what: "revise a verdict", source: "the record has another verdict by now".into() });
        }
        written?;
        self.overrule(submission, &report).await?;
        tracing::warn!(
            data_id = %id, job, before = before.report.verdict.code.row().tag, after = outcome.report.verdict.code.row().tag, "a verdict changed"
        );
        Ok(Record { outcome: Some(outcome), ..original.clone() })
    }

    /// Where a newer submission of the same content, whose object is gone, is let through under its hash, this one is found instead.
    async fn overrule(&self, submission: &Submission, report: &AnalysisReport) -> Result<(), StoreError> {
        let root = report.root.verdict.code.is_blocked().then(|| (submission.id.clone(), report.root.digests.clone()));
        for (id, digests) in root.into_iter().chain(blocked_children(&submission.id, report)).filter(|(_, digests)| !digests.sha256.is_empty()) {
            if !self.is_held_back(&id, &digests).await? {
                self.hashes.overrule(&id, &digests, &submission.rule, submission.created_at, self.life_ms().await?).await?;
            }
        }
        Ok(())
    }

    /// Whether what is found under a content's hash is held back, or is `id`.
    async fn is_held_back(&self, id: &DataId, digests: &Digests) -> Result<bool, StoreError> {
        let Some(newest) = self.hashes.newest(&digests.sha256, None).await?.filter(|newest| newest != id) else { return Ok(true) };
        let Some((record, inline)) = self.scans.get(&newest).await? else { return Ok(false) };
        let is_blocked = |verdict: &Verdict| verdict.code.is_blocked();
        match record.submission.id.number_of(&newest) {
            0 => Ok(record.outcome.as_ref().is_some_and(|outcome| is_blocked(&outcome.report.verdict))),
            number => Ok(self.children.child(&record, &inline, number).await?.is_some_and(|child| is_blocked(&child.verdict))),
        }
    }

    /// What follows a verdict that changed: the tags of a watched object, the batch, events.
    async fn told(&self, revised: &Record, by: &DataId) -> Result<(), StoreError> {
        self.tag_object(revised).await?;
        self.enforce(revised).await?;
        self.announcer.revised(revised, by).await
    }
}
