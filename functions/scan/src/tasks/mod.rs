//! Work that does not begin with an object.

mod assemble;
mod download;
mod generate;

use portcullis_core::domain::event::Task;

pub(crate) use download::LIMITS as DOWNLOAD_LIMITS;

use crate::{Scan, ScanFailure};

impl Scan {
    /// Does one task. `ends_at`: when the work must be over, ms since the epoch.
    pub(crate) async fn task(&self, task: Task, ends_at: i64) -> Result<(), ScanFailure> {
        match task {
            Task::Download { data_id } => self.download(&data_id, ends_at).await,
            Task::Assemble { data_id } => self.assemble(&data_id, ends_at).await,
            Task::Rescan { data_id, job } => self.rescan(&data_id, &job, ends_at).await,
            Task::GenerateRules { run } => self.generate_rules(&run, ends_at).await,
        }
    }
}
