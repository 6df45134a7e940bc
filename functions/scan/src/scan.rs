//! One object: claim, fetch, analyse, verdict.

use std::time::Duration;

use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::parts::{self, Position};
use portcullis_core::domain::submission::{Basis, ObjectRef, Owner, Source, Submission, Wishes};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::overrides::Overrides;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::UPLOAD_PREFIX;
use portcullis_core::store::scans::{Claim, Claimed, LEASE_MS, MAX_TRIES, RENEW_MS};
use portcullis_engines::Resume;

use crate::message::Request;
use crate::verdict::Judged;
use crate::work::Plan;
use crate::{Scan, ScanFailure};

/// Sweep looks at a submission made by an S3 event after this time, ms.
const FIRST_CHECK_MS: i64 = 120_000;

/// How an analysis ended.
pub(crate) enum Ended {
    Judged(Box<Judged>),
    /// Something is left to do: what was done, if anything was.
    Paused(Option<Box<Resume>>),
    /// The claim was lost: somebody else's verdict counts.
    LostClaim,
}

impl Scan {
    pub(crate) async fn scan(&self, request: Request, ends_at: i64) -> Result<(), ScanFailure> {
        let object = request.object;
        if object.bucket == self.upload_bucket && object.key.starts_with(parts::PREFIX) {
            return match Position::of_key(&object.key) {
                Some((id, _)) => self.assemble(&id, ends_at).await,
                None => Ok(()),
            };
        }
        let uploaded = (object.bucket == self.upload_bucket).then(|| object.key.strip_prefix(UPLOAD_PREFIX).and_then(DataId::parse)).flatten();
        let known = request.id.or(uploaded);
        let id = known.clone().unwrap_or_else(|| {
            let version = object.version.as_deref().unwrap_or(&object.etag);
            DataId::of_object(&object.bucket, &object.key, version)
        });
        let claim = match self.scans.claim(&id, &object).await? {
            Claim::Missing if known.is_none() => {
                self.announce(&id, &object).await?;
                self.scans.claim(&id, &object).await?
            }
            claim => claim,
        };
        match claim {
            Claim::Won(claimed) => self.judge(*claimed, &object, ends_at).await,
            // Delivered again after the verdict, or asked for by sweep.
            Claim::Done(record) => self.after_verdict_again(&record).await,
            Claim::Held { until } => Err(ScanFailure::Held { until }),
            Claim::OtherObject => {
                tracing::warn!(data_id = %id, "the object was replaced after its submission; only the first is judged");
                Ok(())
            }
            Claim::Missing => {
                tracing::warn!(data_id = %id, "no submission for this object: its upload was reported as failed");
                Ok(())
            }
        }
    }

    /// The record of an object in a watched bucket. Only roles that see all results may read it.
    async fn announce(&self, id: &DataId, object: &ObjectRef) -> Result<(), ScanFailure> {
        let rules = rules::in_force(&self.settings).await.map_err(|e| Failed::Retry(portcullis_core::error::chain(&e)))?;
        let rule = rules::for_object(&rules, &object.bucket, &object.key).map(|rule| rule.name.clone()).unwrap_or_default();
        let now = now_ms();
        let submission = Submission {
            id: id.clone(),
            name: format!("{}/{}", object.bucket, object.key),
            rule,
            user_agent: String::new(),
            owner: Some(Owner { user_id: 0, username: format!("S3/{}", object.bucket) }),
            metadata: None,
            source: Source::Event,
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            created_at: now,
            deadline_at: now + self.deadline_ms,
            size: object.size,
            wishes: Wishes::default(),
        };
        match self.scans.create(&submission, &[], now + FIRST_CHECK_MS, now + self.life_ms().await?).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything under the claim. Whatever happens, it ends in a verdict, or the claim is given back.
    async fn judge(&self, claimed: Claimed, object: &ObjectRef, ends_at: i64) -> Result<(), ScanFailure> {
        let id = claimed.record.submission.id.clone();
        match self.analyse(&claimed, object, ends_at).await {
            Ok(Ended::Judged(judged)) => self.conclude(claimed, *judged).await,
            Ok(Ended::Paused(resume)) => self.pause(claimed, object, resume).await,
            Ok(Ended::LostClaim) => self.lost(&id).await,
            Err(failure) => {
                if let Err(error) = self.scans.release(&id, &claimed.token).await {
                    tracing::warn!(data_id = %id, %error, "the claim could not be given back; it ends by itself");
                }
                Err(failure)
            }
        }
    }

    /// The claim went to another worker, or the scan was cancelled. A watched object is told of its cancelled scan here:
    /// who cancels can not reach its tags.
    pub(crate) async fn lost(&self, id: &DataId) -> Result<(), ScanFailure> {
        tracing::warn!(data_id = %id, "the claim was lost while scanning");
        match self.scans.get(id).await? {
            Some((record, _)) if record.submission.source == Source::Event => self.tag(&record).await,
            _ => Ok(()),
        }
    }

    async fn analyse(&self, claimed: &Claimed, object: &ObjectRef, ends_at: i64) -> Result<Ended, ScanFailure> {
        let submission = &claimed.record.submission;
        let failed = |detail: String| Ok(failed(submission, object, Basis::default(), detail));
        if claimed.record.attempts > MAX_TRIES {
            return failed(format!("The file ended its worker {MAX_TRIES} times."));
        }
        if now_ms() >= submission.deadline_at {
            return failed(submission.overdue().into());
        }
        self.definitions.refresh(&self.pool, &self.settings).await?;
        // Rules that can not be read stop scans until somebody mends them; they lose none.
        let rule = rules::named(&self.settings, &submission.rule).await.map_err(|e| Failed::Retry(portcullis_core::error::chain(&e)))?;
        let Some(rule) = rule else {
            return failed(format!("Rule `{}` does not exist any more.", submission.rule));
        };
        let overrides = Overrides::in_force(&self.settings).await.map_err(|e| Failed::Retry(portcullis_core::error::chain(&e)))?;
        let basis = Basis { rule: rule.version(), ..Basis::default() };
        let failed = |detail: String| Ok(self::failed(submission, object, basis.clone(), detail));
        if object.size > rule.max_file_size {
            return failed(format!("The file has {} bytes, more than the {} that rule `{}` permits.", object.size, rule.max_file_size, rule.name));
        }
        let left = Duration::from_millis((submission.deadline_at - now_ms()).try_into().unwrap_or_default());
        let beat = self.keep_claim(&submission.id, &claimed.token);
        tokio::pin!(beat);
        tokio::select! {
            // The claim ended under us: stop working on a file that is not ours any more.
            () = &mut beat => Ok(Ended::LostClaim),
            // Dropping the work ends its worker process.
            () = tokio::time::sleep(left) => failed(submission.overdue().into()),
            ended = self.run_worker(claimed, object, Plan { rule, overrides }, ends_at) => ended,
        }
    }

    /// Renews the claim until it is lost.
    async fn keep_claim(&self, id: &DataId, token: &str) {
        let mut lost_at = now_ms() + LEASE_MS;
        loop {
            tokio::time::sleep(Duration::from_millis(RENEW_MS)).await;
            match self.scans.renew(id, token).await {
                Ok(()) => lost_at = now_ms() + LEASE_MS,
                Err(StoreError::Conflict { .. }) => return,
                Err(error) => {
                    tracing::warn!(data_id = %id, %error, "the claim could not be renewed");
                    if now_ms() >= lost_at {
                        return;
                    }
                }
            }
        }
    }
}

/// Ends without an analysis.
pub(crate) fn failed(submission: &Submission, object: &ObjectRef, basis: Basis, detail: String) -> Ended {
    Ended::Judged(Box::new(Judged::unscanned(submission, object, basis, Verdict::failed(detail))))
}
