//! The hash cache: the verdict on a content is taken over for the same content again.
//!
//! What always holds: only what another analysis would find again is taken over ([`reuse`]), under the same settings of
//! the rule, the same definitions and a name that is judged alike, from an analysis and never from a copy of one, and no
//! longer than the rule permits. A cache that can not be read costs an analysis, never a verdict. Nothing of the other
//! submission is shown but what was found in the content.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::AnalysisReport;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Basis, Record, Source, Submission};
use portcullis_core::error::chain;
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::Claimed;
use portcullis_engines::reuse;

use crate::Scan;

const HOUR_MS: i64 = 3_600_000;

/// Under what a verdict can be shared.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    sha256: String,
    /// Rule, definitions and the judged part of the name, as one text; the store keeps its digest.
    key: String,
    life_ms: i64,
}

/// Whether the verdict on this submission may come from another, or be given to another.
pub(crate) fn is_shared(claimed: &Claimed, rule: &Rule) -> bool {
    let submission = &claimed.record.submission;
    rule.hash_cache_hours > 0
        // Other passwords open other children, and hints may change what engines do. A rescan is asked for to look again.
        && claimed.passwords.is_empty()
        && submission.wishes.engines_metadata.is_none()
        && submission.source != Source::Rescan
}

/// The place of a content in the cache.
pub(crate) fn place(submission: &Submission, rule: &Rule, basis: &Basis, sha256: String) -> Shared {
    let name = reuse::judged_name(&submission.name);
    let key = reuse::digest(&[&basis.rule, &basis.definitions, &name]);
    Shared { sha256, key, life_ms: i64::try_from(rule.hash_cache_hours).unwrap_or_default().saturating_mul(HOUR_MS) }
}

impl Scan {
    /// The report that may be taken over, under the submission's own name, and whose it is.
    pub(crate) async fn taken_over(&self, shared: &Shared, basis: &Basis, submission: &Submission) -> Option<(AnalysisReport, DataId)> {
        match self.look_up(shared, basis, submission).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(data_id = %submission.id, error = %chain(&error), "the hash cache could not be used");
                None
            }
        }
    }

    async fn look_up(&self, shared: &Shared, basis: &Basis, submission: &Submission) -> Result<Option<(AnalysisReport, DataId)>, StoreError> {
        let Some(id) = self.hashes.remembered(&shared.sha256, &shared.key).await? else { return Ok(None) };
        let Some((record, inline)) = self.scans.get(&id).await? else { return Ok(None) };
        if id == submission.id || !is_source(&record, shared, basis) {
            return Ok(None);
        }
        let children = self.children.all(&record, inline).await?;
        let Some(outcome) = record.outcome else { return Ok(None) };
        let mut report = AnalysisReport { root: outcome.report, children };
        report.root.timing = portcullis_core::domain::report::Timing::default();
        let usable = reuse::is_repeatable(&report) && reuse::rename(&mut report, &submission.name);
        Ok(usable.then_some((report, id)))
    }

    /// Lets the same content have this verdict. Called before the verdict is written: an entry that leads to none is no use, and no harm.
    pub(crate) async fn share(&self, submission: &Submission, shared: &Shared, report: &AnalysisReport) {
        if report.root.digests.sha256 != shared.sha256 || !reuse::is_repeatable(report) {
            return;
        }
        let remembered = async {
            let expires_at = (now_ms() + shared.life_ms).min(submission.created_at + self.life_ms().await?);
            self.hashes.remember(&shared.sha256, &shared.key, &submission.id, expires_at).await
        };
        if let Err(error) = remembered.await {
            tracing::warn!(data_id = %submission.id, error = %chain(&error), "the verdict could not be put into the hash cache");
        }
    }
}

/// Whether a record holds what its entry in the cache says.
fn is_source(record: &Record, shared: &Shared, basis: &Basis) -> bool {
    record.outcome.as_ref().is_some_and(|outcome| {
        outcome.basis == *basis && outcome.report.digests.sha256 == shared.sha256 && outcome.finished_at >= now_ms() - shared.life_ms
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::domain::submission::Wishes;

    fn claimed(change: impl FnOnce(&mut Claimed)) -> Claimed {
        let submission = Submission {
            id: DataId::random(),
            name: "a.pdf".into(),
            rule: "r".into(),
            user_agent: String::new(),
            owner: None,
            metadata: None,
            source: Source::Api,
            bucket: "b".into(),
            key: "k".into(),
            created_at: 0,
            deadline_at: 0,
            size: 1,
            wishes: Wishes::default(),
        };
        let record = Record {
            submission,
            state: portcullis_core::domain::submission::State::Processing,
            attempts: 1,
            started_at: None,
            object: None,
            fetched: None,
            outcome: None,
        };
        let mut claimed = Claimed { record, token: String::new(), passwords: Vec::new(), partial: None };
        change(&mut claimed);
        claimed
    }

    #[test]
    fn passwords_hints_rescans_and_the_rule_keep_a_verdict_to_itself() {
        let rule = Rule::default();
        assert!(is_shared(&claimed(|_| {}), &rule));
        assert!(!is_shared(&claimed(|c| c.passwords.push("p".into())), &rule));
        assert!(!is_shared(&claimed(|c| c.record.submission.wishes.engines_metadata = Some(true.into())), &rule));
        assert!(!is_shared(&claimed(|c| c.record.submission.source = Source::Rescan), &rule));
        assert!(!is_shared(&claimed(|_| {}), &Rule { hash_cache_hours: 0, ..rule }));
    }

    #[test]
    fn rule_definitions_and_judged_name_make_the_key() {
        let key = |name: &str, rule: &str, definitions: &str| {
            let mut submission = claimed(|_| {}).record.submission;
            submission.name = name.into();
            let basis = Basis { rule: rule.into(), definitions: definitions.into(), cached_from: None };
            place(&submission, &Rule::default(), &basis, "s".into()).key
        };
        let one = key("a.pdf", "r", "d");
        assert_eq!(one, key("other.pdf", "r", "d"));
        for other in [key("a.txt", "r", "d"), key("a.pdf", "rd", ""), key("a.pdf", "r", "e"), key("a.pdf.exe", "r", "d")] {
            assert_ne!(one, other);
        }
    }
}
