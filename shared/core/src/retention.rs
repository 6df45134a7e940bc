//! How long things are kept: `/admin/config/scanhistory`, `/auditlog`, `/quarantine` and `/sanitize` (contract §6.1, §9 U17).
//!
//! One document, so that one read tells all and a change of one is a change against a known revision. What always holds:
//! 0 keeps for ever; a setting that is lowered counts for what is there already as for what comes. One that is raised counts for
//! what comes: items know their end ([`Retention::life_ms`]), which is the last resort where the sweep does not get to them.

use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::settings::Settings;

/// The settings of keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Ended submissions with all that belongs to them, in hours from their end; 0 = for ever. Range [`Self::HOURS`].
    pub scanhistory: u64,
    /// Entries of the audit log, in hours; 0 = for ever. Range [`Self::HOURS`].
    pub auditlog: u64,
    /// Files in quarantine, in hours; 0 = for ever. Range [`Self::HOURS`].
    pub quarantine: u64,
    /// Sanitised files, in minutes; 0 = for ever. Range [`Self::MINUTES`].
    pub sanitize: u64,
}

impl Retention {
    /// Name of the setting.
    pub const NAME: &'static str = "RETENTION";
    /// What `cleanuprange` may be, in hours.
    pub const HOURS: std::ops::RangeInclusive<u64> = 0..=87_600;
    /// What `maxage` may be, in minutes.
    pub const MINUTES: std::ops::RangeInclusive<u64> = 0..=525_600;

    /// The settings in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }

    /// How long what a submission leaves behind lives without being removed, in ms from the submission: a little longer than it
    /// is kept, so that the sweep, which also removes what has no time of its own, comes first.
    pub fn life_ms(&self) -> i64 {
        const FOR_EVER: u64 = 100 * 366 * 24;
        const GRACE: u64 = 3 * 24;
        let hours = if self.scanhistory == 0 { FOR_EVER } else { self.scanhistory.saturating_add(GRACE) };
        i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(3_600_000)
    }

    /// What ended before this time (ms since the epoch) is no longer kept, of a setting in hours; `None`: everything is.
    pub fn hours_before(hours: u64, now: i64) -> Option<i64> {
        (hours > 0).then(|| now.saturating_sub(i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(3_600_000)))
    }
}

impl Default for Retention {
    /// Results and quarantine for 30 days, the audit log for a year, sanitised files for a day.
    fn default() -> Self {
        Self { scanhistory: 720, auditlog: 8760, quarantine: 720, sanitize: 1440 }
    }
}

#[cfg(test)]
mod tests {
    use super::Retention;

    #[test]
    fn nothing_is_too_old_for_ever() {
        assert_eq!(Retention::hours_before(0, 5), None);
        assert_eq!(Retention::hours_before(1, 3_600_005), Some(5));
        assert!(Retention::hours_before(u64::MAX, 5).is_some_and(|at| at < 0));
        let life = |scanhistory| Retention { scanhistory, ..Retention::default() }.life_ms();
        assert!(life(0) > life(*Retention::HOURS.end()) && life(1) > 2 * 86_400_000);
    }
}
