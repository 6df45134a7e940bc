//! What follows a verdict for the object itself: held in quarantine, promoted, moved.
//!
//! Every step may happen twice (a message that is delivered again repeats it) and none needs the one before to have
//! happened in the same invocation. What always holds: a version is removed only after S3 has shown that its copy has
//! the bytes that were judged; what can not be copied stays where it is, with its tags, and is told of in log and metric.

use portcullis_core::domain::name::display;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{ObjectRef, Outcome, Record, Source};
use portcullis_core::domain::verdict::Code;
use portcullis_core::error::chain;
use portcullis_core::metrics;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::copies::Copied;
use portcullis_core::store::quarantine::Held;

use crate::Scan;

/// Characters of a name that are listed.
const NAME_CHARS: usize = 200;

impl Scan {
    /// Quarantine and promotion, as the rule says.
    pub(crate) async fn enforce(&self, record: &Record) -> Result<(), StoreError> {
        let (Some(outcome), Some(object)) = (&record.outcome, &record.object) else { return Ok(()) };
        let rule = rules::named(&self.settings, &record.submission.rule).await;
        let rule = rule.map_err(|e| StoreError::Retry { what: "read the rule of a verdict", source: chain(&e).into() })?;
        // A rule that is gone since: what is blocked is held, as by default.
        let rule = rule.unwrap_or_default();
        let is_watched = object.bucket != self.upload_bucket;
        // The verdict of before may have promoted it.
        if is_watched && outcome.revision.is_some() && !rule.s3.promote_to.is_empty() {
            self.tag_promoted(record, outcome, object, &rule).await?;
        }
        let done = if outcome.report.verdict.code.is_blocked() {
            let wanted = if is_watched { rule.s3.quarantine } else { rule.quarantine };
            // What was cancelled, or never read, was not found to be anything.
            let is_judged = outcome.report.verdict.code != Code::Canceled && !outcome.report.digests.sha256.is_empty();
            if !wanted || !is_judged {
                return Ok(());
            }
            self.hold(record, outcome, object, is_watched).await
        } else {
            // Judged again later, it is where it was promoted to already.
            if !is_watched || rule.s3.promote_to.is_empty() || record.submission.source != Source::Event {
                return Ok(());
            }
            self.promote(record, outcome, object, &rule).await
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => Err(error),
            // Its owner changed or removed it, or a delivery before did all of this.
            Err(StoreError::Conflict { .. } | StoreError::Missing { .. }) => {
                tracing::warn!(data_id = %record.submission.id, bucket = object.bucket, "the judged version is not there any more: nothing to enforce");
                Ok(())
            }
            Err(error) => {
                metrics::count("EnforcementFailures", 1);
                tracing::error!(data_id = %record.submission.id, bucket = object.bucket, error = %chain(&error), "the verdict could not be enforced; the object stays where it is");
                Ok(())
            }
        }
    }

    async fn hold(&self, record: &Record, outcome: &Outcome, object: &ObjectRef, moved: bool) -> Result<(), StoreError> {
        let id = &record.submission.id;
        // Listed is not held: the copy itself is looked for before an original goes.
        let is_held = match self.quarantine.get(id).await? {
            Some((held, _)) => self.objects.locked_until(&held.object).await?.is_some(),
            None => false,
        };
        if !is_held {
            let (sha256, key) = (&outcome.report.digests.sha256, id.to_string());
            let to = Copied { bucket: &self.quarantine_bucket, key: &key, sha256, data_id: &key, tags: &[] };
            let copy = self.objects.copy_proven(object, to).await?;
            let verdict = &outcome.report.verdict;
            let held = Held {
                data_id: id.clone(),
                name: display(&record.submission.name).chars().take(NAME_CHARS).collect(),
                size: copy.object.size,
                sha256: sha256.clone(),
                code: verdict.code,
                reason: verdict.detail.clone(),
                rule: record.submission.rule.clone(),
                owner: record.submission.owner.clone(),
                source: record.submission.source,
                origin: object.clone(),
                moved,
                object: copy.object,
                held_at: outcome.finished_at,
                locked_until: copy.locked_until,
                release: None,
                deleting: false,
            };
            self.quarantine.put(&held).await?;
            metrics::count("Quarantined", 1);
            tracing::info!(data_id = %id, code = verdict.code.row().tag, "held in quarantine");
        }
        if moved { self.objects.remove_version(object).await } else { Ok(()) }
    }

    async fn promote(&self, record: &Record, outcome: &Outcome, object: &ObjectRef, rule: &Rule) -> Result<(), StoreError> {
        let (bucket, key) = promoted(object, rule);
        if bucket == object.bucket {
            let problem = "a bucket can not be promoted into itself: the copy would be scanned, and promoted again".into();
            return Err(StoreError::Permanent { what: "promote an object", source: problem });
        }
        let id = record.submission.id.to_string();
        let tags = Self::verdict_tags(record, outcome);
        let to = Copied { bucket, key: &key, sha256: &outcome.report.digests.sha256, data_id: &id, tags: &tags };
        self.objects.copy_proven(object, to).await?;
        tracing::info!(data_id = %id, bucket, "promoted");
        if rule.s3.remove_promoted { self.objects.remove_version(object).await } else { Ok(()) }
    }

    /// Gives the promoted copy the tags of the verdict that is in force now: with the bucket policy nobody reads one that is blocked.
    async fn tag_promoted(&self, record: &Record, outcome: &Outcome, object: &ObjectRef, rule: &Rule) -> Result<(), StoreError> {
        let (bucket, key) = promoted(object, rule);
        let id = record.submission.id.to_string();
        let to = Copied { bucket, key: &key, sha256: &outcome.report.digests.sha256, data_id: &id, tags: &[] };
        let tagged = match self.objects.copy_there(to).await {
            Ok(Some(copy)) => self.objects.tag(&copy.object, &Self::verdict_tags(record, outcome)).await,
            // Never promoted, or something newer is in its place.
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        match tagged {
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                metrics::count("EnforcementFailures", 1);
                tracing::error!(data_id = id, bucket, key, error = %chain(&error), "the promoted copy has the tags of a verdict that is not in force any more");
                Ok(())
            }
            Ok(()) => {
                tracing::warn!(data_id = id, bucket, key, code = outcome.report.verdict.code.row().tag, "a promoted copy has another verdict now");
                Ok(())
            }
        }
    }
}

/// Where an object is promoted to: bucket and key.
fn promoted<'r>(object: &ObjectRef, rule: &'r Rule) -> (&'r str, String) {
    let (bucket, prefix) = rule.s3.promote_to.split_once('/').unwrap_or((&rule.s3.promote_to, ""));
    (bucket, format!("{prefix}{}", object.key))
}
