//! What is known of an analysis that is not over: the results so far, the time used, and what ended its workers.
//!
//! It goes to a worker with the job, grows while the worker tells of itself, and lies in the report bucket between
//! invocations. What always holds: a result counts for a content only if number, size and SHA-256 are the same and the
//! rule and the definitions are; time that was used stays used, so that the limits of the rule hold over all
//! invocations together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::pipeline::{Scanned, Spot};

/// Parts of one submission that may end a worker; after them it is the submission that is given up.
pub const MAX_CULPRITS: usize = 8;
/// Pauses in a row without a further result after which an analysis is given up: the second one had an invocation of its own.
const MAX_STALLS: u32 = 2;
/// Time that running engines have to come to an end once a pause began.
pub(crate) const FINISH: Duration = Duration::from_secs(5);

/// How long parts of the work may take before they count as hanging, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// Budget of one engine on one content, whatever its size.
    pub engine_ms: u64,
    /// What is added to it for every MiB.
    pub engine_ms_per_mib: u64,
    /// Time without a sign of life in which a type is detected, or an extractor gives something.
    pub silence_ms: u64,
    /// What an engine may overrun its budget before its worker is ended.
    pub grace_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { engine_ms: 30_000, engine_ms_per_mib: 250, silence_ms: 30_000, grace_ms: 5_000 }
    }
}

impl Patience {
    /// Budget of one engine for a content of so many bytes.
    pub(crate) fn engine(&self, bytes: usize) -> Duration {
        let mib = u64::try_from(bytes / (1024 * 1024)).unwrap_or(u64::MAX);
        Duration::from_millis(self.engine_ms.saturating_add(mib.saturating_mul(self.engine_ms_per_mib)))
    }

    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.silence_ms)
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// An analysis that is not over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resume {
    /// Results so far, by number.
    pub(crate) done: BTreeMap<usize, Scanned>,
    /// Parts that ended a worker. They are treated as if they had panicked.
    #[serde(default)]
    pub(crate) avoid: Vec<Spot>,
    /// Whether a worker died: from then on everything is done one after the other, so that the next death has one culprit.
    #[serde(default)]
    pub(crate) careful: bool,
    /// Time that earlier runs used, in ms.
    pub(crate) used_ms: u64,
    /// Time after which this run pauses, in ms.
    #[serde(default)]
    pub(crate) pause_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) patience: Patience,
    /// Version of the definitions that the results rest on.
    definitions: String,
    /// Version of the rule that they rest on.
    rule: String,
    #[serde(default)]
    stalls: u32,
}

impl Resume {
    /// The next run pauses after this time; without, it goes on to its end.
    pub fn pause_after(&mut self, time: Option<Duration>) {
        self.pause_after_ms = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    /// Other limits for parts of the work.
    pub fn patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Contents that are done with.
    pub fn finished(&self) -> usize {
        self.done.len()
    }

    /// Version of the definitions that the results rest on; empty before the first run.
    pub fn definitions(&self) -> &str {
        &self.definitions
    }

    /// Whether the analysis does not get any further, however often it is continued.
    pub fn is_stalled(&self) -> bool {
        self.stalls >= MAX_STALLS
    }

    /// Forgets results that rest on another rule or other definitions.
    pub(crate) fn rest_on(&mut self, rule: &str, definitions: &str) {
        if self.rule != rule || self.definitions != definitions {
            self.done.clear();
            (self.rule, self.definitions) = (rule.to_owned(), definitions.to_owned());
        }
    }

    /// Takes results over.
    pub(crate) fn take(&mut self, finished: Vec<Scanned>) {
        self.done.extend(finished.into_iter().map(|scanned| (scanned.index, scanned)));
    }

    /// Counts a pause of a run that began with `before` results.
    pub(crate) fn paused(&mut self, before: usize) {
        self.stalls = if self.done.len() > before { 0 } else { self.stalls + 1 };
    }

    /// Blames a part for the end of a worker; `false` if that does not help any more.
    pub(crate) fn blame(&mut self, spot: Spot) -> bool {
        let news = self.avoid.len() < MAX_CULPRITS && !self.avoid.contains(&spot);
        if news {
            self.avoid.push(spot);
        }
        news
    }

    /// Time that the job has left.
    pub(crate) fn left(&self, job: &Job) -> Duration {
        job.budget().saturating_sub(Duration::from_millis(self.used_ms))
    }

    /// Time in which the next run must have answered, one way or the other.
    pub(crate) fn limit(&self, job: &Job) -> Duration {
        let left = self.left(job);
        self.pause_after_ms.map_or(left, |pause| left.min(Duration::from_millis(pause) + FINISH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Part;
    use portcullis_core::domain::verdict::Code;

    #[test]
    fn results_of_another_rule_or_other_definitions_are_forgotten_and_the_time_is_not() {
        let mut resume = Resume { used_ms: 7, ..Resume::default() };
        resume.rest_on("r", "d");
        resume.take(vec![Scanned::not_scanned(3, Code::Failed, "x")]);
        resume.rest_on("r", "d");
        assert_eq!(resume.finished(), 1);
        resume.rest_on("r", "e");
        assert_eq!((resume.finished(), resume.used_ms), (0, 7));
    }

    #[test]
    fn two_pauses_without_a_result_are_a_stall() {
        let mut resume = Resume::default();
        resume.paused(0);
        assert!(!resume.is_stalled());
        resume.take(vec![Scanned::not_scanned(0, Code::Failed, "x")]);
        resume.paused(0);
        resume.paused(1);
        assert!(!resume.is_stalled());
        resume.paused(1);
        assert!(resume.is_stalled());
    }

    #[test]
    fn a_part_is_blamed_once_and_not_endlessly_many_are() {
        let mut resume = Resume::default();
        let spot = |number| Spot { number, part: Part::Unpack };
        assert!(resume.blame(spot(0)));
        assert!(!resume.blame(spot(0)));
        assert_eq!((1..20).filter(|number| resume.blame(spot(*number))).count(), MAX_CULPRITS - 1);
    }

    #[test]
    fn larger_contents_have_more_time() {
        let patience = Patience::default();
        assert_eq!(patience.engine(0), Duration::from_secs(30));
        assert_eq!(patience.engine(200 * 1024 * 1024), Duration::from_secs(80));
    }
}
