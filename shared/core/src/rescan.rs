//! Rescans (retro-hunt): stored files are judged again under what is in force now, and what changed is told.
//!
//! A job goes through the history of its time. Sweep hands its files out, a few each minute and none while fresh files
//! wait; the scan function judges each as a submission of its own (claim, deadline, continuation are those of any file)
//! whose verdict is compared with the one of before.
//!
//! | then | now | what happens |
//! |---|---|---|
//! | let through, or held back | held back, with another code | the verdict under the original id is replaced, and told |
//! | held back | let through | counted as `cleared`; replaced and told only if the job says `release` |
//! | whatever | no verdict on the content (failure, a lost password, no time) | counted as `failed`; the verdict of before stays |
//!
//! What always holds: one job at a time; a verdict is only ever replaced by one of a whole analysis; nothing is let through
//! that was held back unless a person asked for exactly that: a rule taken back by mistake must not open a quarantine.

use serde::{Deserialize, Serialize};

use crate::domain::id::DataId;
use crate::domain::verdict::{Code, Verdict};
use crate::store::StoreError;
use crate::store::history::{Cursor, Entry, Filter, SHARDS};
use crate::store::settings::Settings;

/// Files a minute, when nothing is said.
pub const PER_MINUTE: u32 = 60;
/// What a rate may be, in files a minute.
pub const RATES: std::ops::RangeInclusive<u64> = 1..=600;
/// Days that an automatic rescan goes back, at most.
pub const DAYS: std::ops::RangeInclusive<u64> = 1..=365;
/// Longest time of which files are handed out at once, ms: a job that had to wait does not catch up.
const MOST_MS: i64 = 60_000;

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The same verdict.
    Unchanged,
    /// Another verdict: it is the one in force now.
    Changed,
    /// It would be let through now; it stays held back.
    Cleared,
    /// Its record or its object is not there any more.
    Gone,
    /// No verdict on the content was reached.
    Failed,
}

impl Change {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 5] = [Self::Unchanged, Self::Changed, Self::Cleared, Self::Gone, Self::Failed];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Cleared => "cleared",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

/// What a new verdict means beside the one of before.
pub fn compare(before: &Verdict, after: &Verdict) -> Change {
    const SAYS_NOTHING: [Code; 4] = [Code::Failed, Code::NotScanned, Code::Canceled, Code::ExceededArchiveTimeout];
    // Passwords are not kept: what was opened with one stays shut now.
    const SHUT: [Code; 2] = [Code::EncryptedArchive, Code::PasswordProtectedDocument];
    let (old, new) = (before.code, after.code);
    if old == new {
        return Change::Unchanged;
    }
    if SAYS_NOTHING.contains(&new) {
        return Change::Failed;
    }
    if SHUT.contains(&new) && !SHUT.contains(&old) {
        let is_news = |code: &Code| code.is_blocked() && !SHUT.contains(code) && !before.all.contains(code);
        return if after.all.iter().any(is_news) { Change::Changed } else { Change::Failed };
    }
    match (old.is_blocked(), new.is_blocked()) {
        (false, false) => Change::Unchanged,
        (true, false) => Change::Cleared,
        (_, true) => Change::Changed,
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Files are handed out, or the last of them are being judged.
    Running,
    /// All files were judged, or it is clear that some never will be.
    Done,
    /// Somebody stopped it.
    Cancelled,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// Files that ended at this time or later, ms since the epoch.
    pub from: i64,
    /// Files that ended before this time, ms since the epoch.
    pub to: i64,
    /// Only those under this rule.
    pub rule: Option<String>,
    /// Only those with this main outcome.
    pub code: Option<Code>,
    /// Only those held back, or only those let through.
    pub blocked: Option<bool>,
    /// Files handed out a minute, at most. Range [`RATES`].
    pub per_minute: u32,
    /// Whether what was held back is let through when it is found clean.
    pub release: bool,
    /// Who started it; empty: new definitions did.
    pub started_by: String,
    /// The definitions in force at its start.
    pub definitions: String,
    /// Start, ms since the epoch.
    pub created_at: i64,
    /// End, ms since the epoch.
    pub ended_at: Option<i64>,
    /// Files handed out so far.
    pub fed: u64,
    /// When files were handed out last, ms since the epoch.
    pub fed_at: i64,
    /// Part of the history that is being handed out; [`SHARDS`]: all of them were.
    pub shard: u32,
    /// The last entry of that part that was looked at.
    pub after: Option<Cursor>,
}

impl Job {
    /// Name of the setting.
    pub const NAME: &'static str = "RESCAN";

    /// A job that begins, of everything that ended from `from` up to `to`.
    pub fn new(from: i64, to: i64, definitions: String, now: i64) -> Self {
        Self {
            id: uuid::Uuid::new_v4().simple().to_string(),
            state: State::Running,
            from,
            to,
            rule: None,
            code: None,
            blocked: None,
            per_minute: PER_MINUTE,
            release: false,
            started_by: String::new(),
            definitions,
            created_at: now,
            ended_at: None,
            fed: 0,
            // The first minute's share is due at once.
            fed_at: now - MOST_MS,
            shard: 0,
            after: None,
        }
    }

    /// Whether all files were handed out.
    pub const fn is_fed(&self) -> bool {
        self.shard >= SHARDS
    }

    /// Files that may be handed out now.
    pub fn share(&self, now: i64) -> usize {
        let waited = u64::try_from((now - self.fed_at).clamp(0, MOST_MS)).unwrap_or_default();
        usize::try_from(u64::from(self.per_minute) * waited / MOST_MS.unsigned_abs()).unwrap_or_default()
    }

    /// Whether a file is one of those asked for. A file that its owner cancelled is left alone.
    pub fn takes(&self, entry: &Entry) -> bool {
        let filter = Filter { code: self.code, blocked: self.blocked, rule: self.rule.clone(), ..Filter::default() };
        entry.code != Code::Canceled && filter.takes(entry)
    }

    /// The id of the submission that judges a file again: the same for every message that asks for it.
    pub fn scan_id(job: &str, file: &DataId) -> DataId {
        DataId::of_object("rescan", job, file.as_str())
    }
}

/// Rescans that begin by themselves: `/admin/config/rescan` (ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RescanSettings {
    /// Whether files are judged again when the definitions in force are other ones than at the last rescan.
    pub automatic: bool,
    /// Days that it goes back. Range [`DAYS`].
    pub days: u64,
    /// Files a minute. Range [`RATES`].
    pub per_minute: u64,
}

impl RescanSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "RESCANS";

    /// The settings in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }
}

impl Default for RescanSettings {
    /// Off: every change of a hash list would judge a week's files again, which somebody pays for.
    fn default() -> Self {
        Self { automatic: false, days: 7, per_minute: PER_MINUTE.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &[Code], after: &[Code]) -> Change {
        compare(&Verdict::decide(before, &[]), &Verdict::decide(after, &[]))
    }

    #[test]
    fn what_is_held_back_now_replaces_and_what_would_be_let_through_does_not() {
        use Code::{Allowlisted, Infected, NoThreatDetected, Suspicious, YaraRuleMatched};
        assert_eq!(change(&[NoThreatDetected], &[NoThreatDetected]), Change::Unchanged);
        assert_eq!(change(&[NoThreatDetected], &[Allowlisted]), Change::Unchanged);
        assert_eq!(change(&[NoThreatDetected], &[YaraRuleMatched]), Change::Changed);
        assert_eq!(change(&[Allowlisted], &[Code::Blocklisted]), Change::Changed);
        assert_eq!(change(&[Suspicious], &[Infected]), Change::Changed);
        assert_eq!(change(&[Infected], &[Suspicious]), Change::Changed);
        assert_eq!(change(&[Infected], &[NoThreatDetected]), Change::Cleared);
        assert_eq!(change(&[Code::Failed], &[NoThreatDetected]), Change::Cleared);
        assert_eq!(change(&[Code::Failed], &[Infected]), Change::Changed);
    }

    #[test]
    fn failures_and_lost_passwords_are_no_news_but_what_is_found_beside_them_is() {
        use Code::{EncryptedArchive, Infected, NoThreatDetected, PasswordProtectedDocument};
        for nothing in [Code::Failed, Code::NotScanned, Code::ExceededArchiveTimeout] {
            assert_eq!(change(&[NoThreatDetected], &[nothing]), Change::Failed);
            assert_eq!(change(&[Infected], &[nothing]), Change::Failed);
        }
        assert_eq!(change(&[NoThreatDetected], &[EncryptedArchive]), Change::Failed);
        assert_eq!(change(&[Infected], &[EncryptedArchive, Infected]), Change::Failed);
        assert_eq!(change(&[NoThreatDetected], &[EncryptedArchive, Infected]), Change::Changed);
        assert_eq!(change(&[EncryptedArchive], &[PasswordProtectedDocument]), Change::Changed);
        assert_eq!(change(&[EncryptedArchive], &[NoThreatDetected]), Change::Cleared);
    }

    #[test]
    fn a_share_is_the_rate_times_the_time_and_never_more_than_a_minutes() {
        let mut job = Job::new(0, 1, String::new(), 1_000_000);
        job.per_minute = 60;
        assert_eq!(job.share(1_000_000), 60, "the first minute's is due at once");
        job.fed_at = 1_000_000;
        for (later, share) in [(0, 0), (1000, 1), (30_000, 30), (60_000, 60), (3_600_000, 60), (-5000, 0)] {
            assert_eq!(job.share(1_000_000 + later), share, "{later} ms");
        }
    }
}
