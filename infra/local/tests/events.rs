//! The fixtures in `events/`: each is what its function would really receive, and each is used.
//!
//! `.ci/fidelity/answers.json` says what every fixture is answered with; the fidelity lane runs them all
//! under Lambda's runtime interface emulator, and `sam local invoke -e` takes the same files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use md5::{Digest as _, Md5};
use portcullis_core::config::KEYS;
use portcullis_core::domain::event::{Task, TaskRequest};
use portcullis_core::http::routes::{LEGACY_PREFIX, ROUTES};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `<function>/<case>.json` → content.
fn fixtures() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for folder in std::fs::read_dir(repository().join("events")).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(repository().join("events")).unwrap().display().to_string();
            found.insert(name, json(&file));
        }
    }
    found
}

#[test]
fn every_fixture_has_an_expected_answer_and_every_function_a_fixture() {
    let fixtures = fixtures();
    let answers = json(&repository().join(".ci/fidelity/answers.json"));
    let answered: BTreeSet<_> = answers.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fixtures.keys().cloned().collect::<BTreeSet<_>>(), answered, "left the fixtures, right the answers");
    let folders: BTreeSet<_> = fixtures.keys().map(|name| name.split('/').next().unwrap()).collect();
    assert_eq!(folders, KEYS.iter().flat_map(|key| key.functions).copied().collect());
}

#[test]
fn api_fixtures_follow_the_route_table() {
    for (name, event) in fixtures() {
        let (function, _) = name.split_once('/').unwrap();
        if !["auth", "upload", "results", "admin"].contains(&function) {
            continue;
        }
        let http = &event["requestContext"]["http"];
        let (method, path) = (http["method"].as_str().unwrap(), event["rawPath"].as_str().unwrap());
        assert_eq!(
            (&event["version"], &http["path"], &event["requestContext"]["routeKey"]),
            (&"2.0".into(), &path.into(), &event["routeKey"]),
            "{name}"
        );
        if event["routeKey"] == "$default" {
            assert_eq!(function, "results", "{name}");
            continue;
        }
        let (verb, pattern) = event["routeKey"].as_str().unwrap().split_once(' ').unwrap();
        let pattern_here = pattern.strip_prefix(LEGACY_PREFIX).unwrap_or(pattern);
        let route =
            ROUTES.iter().find(|route| route.method == verb && route.path == pattern_here).unwrap_or_else(|| panic!("{name}: {verb} {pattern}"));
        assert_eq!((method, format!("{:?}", route.function).to_lowercase().as_str()), (verb, function), "{name}");
        let parameters = event["pathParameters"].as_object().cloned().unwrap_or_default();
        let filled = parameters.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value.as_str().unwrap()));
        assert_eq!(filled, path, "{name}");
    }
}

#[test]
fn queue_fixtures_are_messages_of_sqs() {
    for (name, event) in fixtures() {
        if name.starts_with("scan/") || name.starts_with("notify/") {
            let event: SqsEvent = serde_json::from_value(event).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!event.records.is_empty(), "{name}");
            let ids: BTreeSet<_> = event.records.iter().map(|message| message.message_id.clone().unwrap()).collect();
            assert_eq!(ids.len(), event.records.len(), "{name}: message ids name the messages that failed");
        }
    }
}

/// Its name in messages. A task that is new here needs a fixture.
const fn name_of(task: &Task) -> &'static str {
    match task {
        Task::Download { .. } => "download",
        Task::Assemble { .. } => "assemble",
        Task::Rescan { .. } => "rescan",
        Task::GenerateRules { .. } => "generate_rules",
    }
}

#[test]
fn every_task_of_the_scan_function_has_a_fixture_named_after_it() {
    let fixtures = fixtures();
    for task in ["download", "assemble", "rescan", "generate_rules"] {
        let event = &fixtures[&format!("scan/task-{}.json", task.replace('_', "-"))];
        let event: SqsEvent = serde_json::from_value(event.clone()).unwrap();
        let [message] = event.records.as_slice() else { panic!("{task}: one message") };
        let request: TaskRequest = serde_json::from_str(message.body.as_ref().unwrap()).unwrap();
        assert_eq!(name_of(&request.task), task);
    }
    // What is no task is told apart from what is, message by message.
    let poison: SqsEvent = serde_json::from_value(fixtures["scan/task-poison.json"].clone()).unwrap();
    let refused = poison.records.iter().filter(|message| serde_json::from_str::<TaskRequest>(message.body.as_ref().unwrap()).is_err());
    let refused: Vec<_> = refused.map(|message| serde_json::json!({ "itemIdentifier": message.message_id })).collect();
    let answers = json(&repository().join(".ci/fidelity/answers.json"));
    assert_eq!(answers["scan/task-poison.json"]["batchItemFailures"].as_array(), Some(&refused));
}

#[test]
fn every_message_has_the_digest_of_its_body() {
    for (name, event) in fixtures() {
        for message in event["Records"].as_array().into_iter().flatten() {
            let digest = Md5::digest(message["body"].as_str().unwrap());
            assert_eq!(message["md5OfBody"].as_str().unwrap(), hex::encode(digest), "{name}");
        }
    }
}

#[test]
fn the_schedule_fixture_is_an_event_of_eventbridge() {
    let event: EventBridgeEvent<Value> = serde_json::from_value(fixtures().remove("sweep/schedule.json").unwrap()).unwrap();
    assert_eq!((event.source.as_str(), event.detail_type.as_str()), ("aws.events", "Scheduled Event"));
}
