//! Quarantine past its time (`quarantine` of the settings of keeping).
//!
//! What always holds: an item leaves the list only after its object is gone; what is locked stays until its lock ends.

use portcullis_core::aws::Clients;
use portcullis_core::error::chain;
use portcullis_core::retention::Retention;
use portcullis_core::store::StoreError;
use portcullis_core::store::objects::Objects;
use portcullis_core::store::quarantine::{Held, Quarantine};
use portcullis_core::store::settings::Settings;

/// Items looked at in one run: every minute has its turn.
const BATCH: usize = 100;

/// Removes what is past its time.
#[derive(Debug)]
pub(crate) struct Cleaner {
    quarantine: Quarantine,
    objects: Objects,
    settings: Settings,
}

impl Cleaner {
    pub(crate) fn new(clients: &Clients, table: &str) -> Self {
        Self {
            quarantine: Quarantine::new(clients.dynamodb().clone(), table),
            objects: Objects::new(clients.s3().clone()),
            settings: Settings::new(clients.dynamodb().clone(), table),
        }
    }

    /// One run as of a time, ms since the epoch.
    pub(crate) async fn run(&self, now: i64) -> Result<(), StoreError> {
        let Some(cutoff) = Retention::hours_before(Retention::in_force(&self.settings).await?.quarantine, now) else { return Ok(()) };
        let old = self.quarantine.oldest(cutoff, BATCH).await?;
        for held in old.iter().filter(|held| held.locked_until <= now) {
            if let Err(error) = self.remove(held).await {
                tracing::warn!(data_id = %held.data_id, error = %chain(&error), "stays in quarantine");
            }
        }
        Ok(())
    }

    async fn remove(&self, held: &Held) -> Result<(), StoreError> {
        self.objects.remove_version(&held.object).await?;
        self.quarantine.remove(&held.data_id).await?;
        tracing::info!(data_id = %held.data_id, "left quarantine: its time is over");
        Ok(())
    }
}
