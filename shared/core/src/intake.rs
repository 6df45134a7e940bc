//! How much is taken in: `/admin/config/scan` (contract §6.6).
//!
//! The scan queue itself has no bound; this one keeps files from waiting so long that their deadline passes.

use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::settings::Settings;

/// The settings of scanning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScanSettings {
    /// Files in the scan queue, waiting or being scanned, from which on new ones are answered 503. Range [`Self::RANGE`].
    pub max_queue_per_agent: u64,
}

impl ScanSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "SCAN";
    /// What `max_queue_per_agent` may be.
    pub const RANGE: std::ops::RangeInclusive<u64> = 1..=1_000_000;

    /// The settings in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }
}

impl Default for ScanSettings {
    /// Two batches of 10 000 files, as a template's 20 scan invocations work off well within the deadline of an hour.
    fn default() -> Self {
        Self { max_queue_per_agent: 20_000 }
    }
}
