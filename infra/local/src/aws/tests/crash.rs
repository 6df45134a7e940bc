//! The promise that matters most: whatever moment the process is killed, what was answered is there, and every object
//! has its event. A second process of this test binary runs the emulator and is killed for real.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;

use super::events::drain;
use super::{Stack, clients, config};
use crate::aws::Emulator;
use crate::aws::s3::{BucketSpec, QueueRule};

/// Folder for the process to be killed; set by the test below only.
const FOLDER: &str = "PORTCULLIS_TEST_CRASH_FOLDER";

/// Not a test by itself: does nothing in a run of its own, and runs the emulator until it is killed for the test below.
#[tokio::test(flavor = "multi_thread")]
async fn emulator_to_be_killed() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let emulator = Emulator::start(config(dir.as_ref())).await.unwrap();
    emulator.queues().ensure("q", [].into()).await.unwrap();
    let rule = QueueRule { queue_arn: emulator.queues().arn("q"), events: vec!["s3:ObjectCreated:*".into()], ..QueueRule::default() };
    let spec = BucketSpec { name: "data".into(), versioned: false, notifications: vec![rule], ..BucketSpec::default() };
    emulator.buckets().ensure(spec).await.unwrap();
    eprintln!("endpoint {}", emulator.endpoint());
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["emulator_to_be_killed", "--nocapture"])
        .env(FOLDER, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let endpoint = lines.find_map(|line| line.unwrap().strip_prefix("endpoint ").map(str::to_owned)).unwrap();
    let (s3, _, _) = clients(&endpoint);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let s3 = s3.clone();
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for n in 0.. {
                    let key = format!("{writer}-{n}");
                    let body = ByteStream::from(vec![1; 3000]);
                    if s3.put_object().bucket("data").key(&key).body(body).send().await.is_err() {
                        break;
                    }
                    answered.push(key);
                }
                answered
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.await.unwrap());
    }
    assert!(!answered.is_empty());

    let stack = Stack::start_in(dir).await;
    let keys = stack.keys("data").await;
    for key in &answered {
        assert!(keys.contains(key), "{key} was answered and is lost");
        assert_eq!(stack.get("data", key).await.len(), 3000);
    }
    let events: Vec<String> = drain(&stack, "q").await.into_iter().filter(|body| body.contains("Records")).collect();
    assert_eq!(events.len(), keys.len(), "one event per object");
    assert_eq!(stack.body_files(), (keys.len(), 0));
}
