//! Judges a stored object again.

use portcullis_core::batch::Failed;
use portcullis_core::domain::id::DataId;

use crate::{Scan, ScanFailure};

impl Scan {
    #[expect(clippy::unused_async, reason = "filled next")]
    pub(super) async fn rescan(&self, _id: &DataId, _ends_at: i64) -> Result<(), ScanFailure> {
        Err(Failed::Permanent("this task is not known yet".into()).into())
    }
}
