//! `kill -9` in the middle of scans.

use std::time::Duration;

use crate::process::Process;
use crate::support::client::verdict;
use crate::support::files::{eicar, unique, zip};

#[tokio::test]
async fn a_kill_in_the_middle_of_scans_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &[]);
    let mut expected = Vec::new();
    // Enough work that some of it is running and some waiting when the process dies.
    let filler = vec![b'a'; 3_000_000];
    for n in 0..12 {
        let bad = n % 3 == 0;
        let inner = if bad { eicar() } else { unique("clean") };
        let archive = zip(&[("filler.bin", &filler), ("inner", &inner)]);
        let id = process.client.submit(archive, &[("filename", "a.zip")]).await;
        expected.push((id, u64::from(bad)));
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    process.kill();

    let process = Process::start(data.path(), &[]);
    for (id, code) in &expected {
        assert_eq!(verdict(&process.client.result(id).await).0, *code, "{id}");
    }
    // And once more, now that all is done: verdicts stay.
    process.kill();
    let process = Process::start(data.path(), &[]);
    for (id, code) in &expected {
        assert_eq!(verdict(&process.client.result(id).await).0, *code, "{id}");
    }
}
