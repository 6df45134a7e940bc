//! A whole set on samples, loaded as workers load it: the bundled rules and the package.

use std::path::Path;

use portcullis_core::domain::engine::YARA_X;
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::verdict::Code;
use portcullis_core::domain::yara::Package;
use portcullis_core::overrides::Overrides;
use portcullis_engines::vetting::{Sample, known_bad, known_clean};
use portcullis_engines::{Job, WorkerConfig, WorkerPool};

use super::{Problem, no_room};
use crate::Scan;
use crate::definitions::write_package;

/// Time for one sample, ms.
const TIME_MS: u64 = 30_000;

impl Scan {
    /// Whether the package leaves clean samples alone and hides none that must be found.
    pub(super) async fn try_on_samples(&self, package: &Package, scratch: &Path) -> Result<(), Problem> {
        let folder = scratch.join("trial");
        write_package(&folder, package).await.map_err(|e| e.to_string())?;
        let pool = WorkerPool::new(WorkerConfig { workers: 1, definitions_dir: Some(folder), ..self.worker.clone() });
        let status = pool.status().await.map_err(|death| format!("The rules can not be loaded together: {death}."))?;
        let mut issues = status.iter().filter(|engine| engine.name == YARA_X.name).flat_map(|engine| &engine.issues);
        // A cache that can not be written is no fault of the rules.
        if let Some(issue) = issues.find(|issue| !issue.contains("could not be cached")) {
            return Err(format!("The rules can not be used together: {issue}"));
        }
        for sample in known_clean() {
            match self.try_on(sample, &pool, scratch).await? {
                Code::NoThreatDetected => {}
                code => return Err(format!("The rules together do not leave a known-clean sample alone: {} is `{}`.", sample.name, code.text())),
            }
        }
        for sample in &known_bad() {
            if self.try_on(sample, &pool, scratch).await? != Code::Infected {
                return Err(format!("The rules together do not find {} any more.", sample.name));
            }
        }
        Ok(())
    }

    /// What YARA-X says of a sample.
    async fn try_on(&self, sample: &Sample, pool: &WorkerPool, scratch: &Path) -> Result<Code, Problem> {
        let path = scratch.join("sample");
        tokio::fs::write(&path, &sample.content).await.map_err(|e| no_room(&e))?;
        let job = Job {
            path,
            name: "sample".into(),
            passwords: Vec::new(),
            rule: Rule { engines: vec![YARA_X.name.into()], ..Rule::default() },
            time_budget_ms: TIME_MS,
            scratch_dir: pool.scratch_dir().to_owned(),
            overrides: Overrides::default(),
        };
        let report = pool.analyse(job).await.map_err(|death| format!("A worker did not survive the sample `{}`: {death}.", sample.name))?;
        Ok(report.root.engines.iter().find(|row| row.name == YARA_X.name).map_or(Code::NotScanned, |row| row.code))
    }
}
