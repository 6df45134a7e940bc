//! Files that kill their worker: they end as `Failed`, and what is beside them lives, in the same archive too.

use std::time::Instant;

use crate::process::Process;
use crate::support::client::verdict;
use crate::support::files::{eicar, unique, zip};

#[tokio::test]
async fn files_that_kill_their_worker_end_as_failed_and_cost_their_neighbours_nothing() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &[("PORTCULLIS_TEST_HOOKS", "1"), ("PORTCULLIS_WORKER_MEMORY_MB", "512")]);
    let client = &process.client;
    let mut deadly = Vec::new();
    let mut neighbours = Vec::new();
    let started = Instant::now();
    for hook in ["abort", "overflow", "hog"] {
        neighbours.push((client.submit(unique("neighbour"), &[]).await, 0));
        let content = format!("PORTCULLIS-TEST-HOOK:{hook}");
        deadly.push((hook, client.submit(content.into_bytes(), &[("filename", "deadly.txt")]).await));
        neighbours.push((client.submit(eicar(), &[]).await, 1));
    }
    for (id, code) in neighbours {
        assert_eq!(verdict(&client.result(&id).await).0, code);
    }
    for (hook, id) in deadly {
        let result = client.result(&id).await;
        assert_eq!(verdict(&result), (3, "Blocked", "Failed"), "{hook}");
        assert!(result["process_info"]["blocked_reasons"].to_string().contains("the engine ended its worker"), "{hook}: {result}");
        assert_eq!(result["scan_results"]["scan_details"]["YARA-X"]["scan_result_i"], 0, "the other engines looked: {result}");
    }
    assert!(started.elapsed().as_secs() < 60, "it does not loop");
    let archive = zip(&[("deadly.txt", b"PORTCULLIS-TEST-HOOK:abort"), ("eicar.com", &eicar()), ("fine.txt", b"fine")]);
    let result = client.scan(archive, &[("filename", "a.zip")]).await;
    assert_eq!(verdict(&result), (3, "Blocked", "Failed"));
    let children = result["extracted_files"]["files_in_archive"].as_array().unwrap();
    let codes: Vec<_> = children.iter().map(|child| child["scan_all_result_i"].as_u64().unwrap()).collect();
    assert_eq!(codes, [1, 3, 0], "worst first: {result}");
    // A panic is the engine's own failure, not a death.
    let result = client.scan(b"PORTCULLIS-TEST-HOOK:panic".to_vec(), &[]).await;
    assert_eq!((verdict(&result).0, verdict(&result).1), (3, "Blocked"));
}
