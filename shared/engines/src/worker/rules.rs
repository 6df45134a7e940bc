//! What a pool does for a new set of rules: the files are hostile until they were looked at in a worker.

use std::path::Path;
use std::time::Duration;

use super::{Request, Response, WorkerDeath, WorkerPool};
use crate::vetting::{CheckedRules, UnpackedRules};

/// Time for compiling one file and trying it on the samples. A set of thousands of rules in one file takes some seconds.
const CHECK: Duration = Duration::from_secs(45);
/// Time for one archive.
const UNPACK: Duration = Duration::from_secs(60);

impl WorkerPool {
    /// Whether a rule file is fit to be used. A death is the file's doing unless [`WorkerDeath::on_job`] says otherwise.
    pub async fn check_rules(&self, file: &Path) -> Result<CheckedRules, WorkerDeath> {
        match self.ask(&Request::CheckRules(file.to_owned()), CHECK).await? {
            Response::Checked(checked) => Ok(checked),
            _ => Err(WorkerDeath::out_of_turn()),
        }
    }

    /// Writes the rule files of an archive into a folder, each under its number.
    pub async fn unpack_rules(&self, archive: &Path, into: &Path) -> Result<UnpackedRules, WorkerDeath> {
        match self.ask(&Request::UnpackRules { archive: archive.to_owned(), into: into.to_owned() }, UNPACK).await? {
            Response::Unpacked(unpacked) => Ok(unpacked),
            _ => Err(WorkerDeath::out_of_turn()),
        }
    }
}
