//! Sets of definitions that were replaced: kept until no worker can be loading them any more.
//!
//! A worker that begins to load goes to the set that the link leads to then, and reads it file by file; were the set removed
//! under it, it would judge one file by a part of the definitions. What always holds: a set is there for as long as a worker
//! may take to load ([`LOAD_TIME`]), counted from its replacement.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_engines::LOAD_TIME;

/// Beyond the time to load: between the answer to "where does the link lead" and the begin of the clock.
const MARGIN: Duration = Duration::from_secs(10);

/// The sets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Replaced(Vec<(PathBuf, Instant)>);

impl Replaced {
    /// From now on no worker begins to load it.
    pub(crate) fn add(&mut self, set: PathBuf, now: Instant) {
        self.0.push((set, now));
    }

    /// It is in force again.
    pub(crate) fn take_back(&mut self, set: &Path) {
        self.0.retain(|(replaced, _)| replaced != set);
    }

    /// Removes those that nobody can be loading.
    pub(crate) async fn tidy(&mut self, now: Instant) {
        let mut kept = Vec::new();
        for (set, at) in std::mem::take(&mut self.0) {
            if now.saturating_duration_since(at) < LOAD_TIME + MARGIN {
                kept.push((set, at));
            } else if let Err(error) = tokio::fs::remove_dir_all(&set).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(set = %set.display(), %error, "definitions that were replaced stay");
            }
        }
        self.0 = kept;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_set_is_there_for_as_long_as_a_worker_may_take_to_load_it() {
        let base = tempfile::tempdir().unwrap();
        let [first, second, third] = ["set-1", "set-2", "set-3"].map(|name| base.path().join(name));
        for set in [&first, &second, &third] {
            std::fs::create_dir_all(set.join("yara")).unwrap();
        }
        let there = || [&first, &second, &third].map(|set| set.join("yara").is_dir());
        let (mut replaced, begin) = (Replaced::default(), Instant::now());
        replaced.add(first.clone(), begin);
        // Two changes soon after one another: three sets are there.
        replaced.add(second.clone(), begin + LOAD_TIME);
        replaced.tidy(begin + LOAD_TIME).await;
        assert_eq!(there(), [true, true, true]);
        replaced.tidy(begin + LOAD_TIME + MARGIN).await;
        assert_eq!(there(), [false, true, true]);
        // One that is in force again is not removed.
        replaced.take_back(&second);
        replaced.tidy(begin + LOAD_TIME * 4).await;
        assert_eq!(there(), [false, true, true]);
    }
}
