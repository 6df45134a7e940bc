//! The hash cache, and what tells that a verdict is outdated.

use std::time::{Duration, Instant};

use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::Outcome;
use portcullis_core::store::scans::Scans;
use portcullis_core::store::settings::Settings;
use portcullis_core::wire::engines::VERSION;
use serde_json::{Value, json};

use crate::support::client::{Client, verdict};
use crate::support::files::{eicar, encrypted_zip, unique, zip};
use crate::target::Target;

/// The stored outcome: where a verdict came from is not shown to clients.
async fn outcome(id: &str) -> Outcome {
    let target = Target::get();
    let scans = Scans::new(target.clients().dynamodb().clone(), &target.table);
    let (record, _) = scans.get(&DataId::parse(id).unwrap()).await.unwrap().unwrap();
    record.outcome.unwrap()
}

fn settings() -> Settings {
    let target = Target::get();
    Settings::new(target.clients().dynamodb().clone(), &target.table)
}

/// Whether the first verdict was taken over for the second submission. New definitions may come between the two.
async fn shares(client: &Client, content: &[u8], first: &[(&str, &str)], second: &[(&str, &str)]) -> (bool, Value, Value) {
    loop {
        let one = client.scan(content.to_vec(), first).await;
        let two = client.scan(content.to_vec(), second).await;
        let id = |result: &Value| result["data_id"].as_str().unwrap().to_owned();
        let (origin, copy) = (outcome(&id(&one)).await, outcome(&id(&two)).await);
        assert!(!two.to_string().contains(&id(&one)[..24]), "ids of others are not shown: {two}");
        if origin.basis.definitions == copy.basis.definitions {
            return (copy.basis.cached_from.is_some(), one, two);
        }
    }
}

/// The same until it was taken over: functions take new definitions up one after the other, so that for half a minute
/// two of them may ask for verdicts of different versions.
async fn shares_soon(client: &Client, content: &[u8], first: &[(&str, &str)], second: &[(&str, &str)]) -> (bool, Value, Value) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = shares(client, content, first, second).await;
        if answer.0 || Instant::now() >= end {
            return answer;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn the_same_content_again_gets_the_last_verdict_under_its_own_name_and_ids() {
    let client = Target::client();
    let (fine, bad) = (unique("fine"), [unique("bad"), eicar()].concat());
    let filler: Vec<(String, Vec<u8>)> = (0..60).map(|n| (format!("f{n}.txt"), unique("filler"))).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("fine.txt", &fine), ("eicar.com", &bad)];
    let eicar = eicar();
    files.push(("eicar2.com", &eicar));
    files.extend(filler.iter().map(|(name, content)| (name.as_str(), content.as_slice())));
    let archive = zip(&files);
    let (shared, one, two) = shares_soon(&client, &archive, &[("filename", "one.zip")], &[("filename", "in/two.zip")]).await;
    assert!(shared);
    assert_eq!(verdict(&one), (1, "Blocked", "Infected"));
    assert_eq!(verdict(&two), (1, "Blocked", "Infected"));
    assert_eq!(two["file_info"]["sha512"], one["file_info"]["sha512"]);
    assert_eq!(two["file_info"]["display_name"], "in/two.zip");
    assert_eq!(two["scan_results"]["scan_details"], one["scan_results"]["scan_details"]);
    let listed = |result: &Value| result["extracted_files"]["files_in_archive"].as_array().unwrap().clone();
    let (ones, twos) = (listed(&one), listed(&two));
    assert_eq!(ones.len(), files.len());
    assert_eq!(twos.len(), ones.len());
    for (child, origin) in twos.iter().zip(&ones) {
        let inside = |child: &Value, root: &str| child["display_name"].as_str().unwrap().strip_prefix(root).unwrap().to_owned();
        assert_eq!(inside(child, "in/two.zip/"), inside(origin, "one.zip/"));
        let [own, first] = [child, origin].map(|child| child["data_id"].as_str().unwrap().to_owned());
        assert_eq!(own[..24], two["data_id"].as_str().unwrap()[..24]);
        let result = client.result(&own).await;
        assert_eq!(result["file_info"]["sha256"], client.result(&first).await["file_info"]["sha256"]);
    }
    // The newest result of the content, and of its blocked child, is the copy.
    let by_hash = client.get(&format!("/hash/{}", two["file_info"]["sha256"].as_str().unwrap())).await;
    assert_eq!(by_hash.json["data_id"], two["data_id"]);
}

#[tokio::test]
async fn names_rules_and_passwords_that_matter_are_not_shared() {
    let client = Target::client();
    let text = unique("shared");
    assert!(shares_soon(&client, &text, &[("filename", "a.txt")], &[("filename", "b.txt")]).await.0);
    let deceptive = shares(&client, &unique("shared"), &[("filename", "a.txt")], &[("filename", "a.pdf.exe")]).await;
    assert!(!deceptive.0);
    assert_eq!((verdict(&deceptive.1).0, verdict(&deceptive.2).0), (0, 2), "the second name deceives");
    assert!(!shares(&client, &unique("shared"), &[("filename", "a.txt")], &[("filename", "a.txt"), ("rule", "Tolerant")]).await.0);
    assert!(!shares(&client, &unique("shared"), &[("rule", "No cache")], &[("rule", "No cache")]).await.0);
    let locked = encrypted_zip("x.txt", &unique("locked"), "secret");
    let (shared, one, two) = shares(&client, &locked, &[("filename", "l.zip")], &[("filename", "l.zip"), ("archivepwd", "secret")]).await;
    assert!(!shared);
    assert_eq!((verdict(&one).0, verdict(&two).0), (12, 0));
    assert!(!shares(&client, &locked, &[("filename", "l.zip"), ("archivepwd", "secret")], &[("filename", "l.zip")]).await.0);
    assert!(!shares(&client, &locked, &[("filename", "l.zip")], &[("filename", "l.zip")]).await.0, "what was locked may be opened next time");
}

/// Polls until `outdated_data` is this; before it `enginedefinitions`, when those in force are not `definitions`: new ones of
/// another test may come at any time.
async fn until_outdated(client: &Client, id: &str, definitions: &str, wanted: &[&str]) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let published: String = settings().get(VERSION).await.unwrap().unwrap();
        let newer = (published != definitions).then_some("enginedefinitions");
        let expected = json!(newer.iter().chain(wanted).collect::<Vec<_>>());
        let result = client.result(id).await;
        let outdated = result["process_info"].get("outdated_data").cloned().unwrap_or(json!([]));
        if outdated == expected {
            return;
        }
        assert!(Instant::now() < end, "{outdated} is not {expected}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_changed_rule_is_told_and_definitions_are_published_under_their_version() {
    let client = Target::client();
    let result = client.scan(zip(&[("a.txt", &unique("outdated"))]), &[("rule", "Changing"), ("filename", "a.zip")]).await;
    let id = result["data_id"].as_str().unwrap();
    let basis = outcome(id).await.basis;
    assert_eq!((basis.rule.len(), basis.definitions.len()), (16, 32), "{basis:?}");
    until_outdated(&client, id, &basis.definitions, &[]).await;
    let mut rules: Value = settings().get(portcullis_core::rules::SETTING).await.unwrap().unwrap();
    let changing = rules.as_array_mut().unwrap().iter_mut().find(|rule| rule["name"] == "Changing").unwrap();
    changing["timeout_seconds"] = json!(123);
    settings().put(portcullis_core::rules::SETTING, &rules).await.unwrap();
    until_outdated(&client, id, &basis.definitions, &["configuration"]).await;
    let child = result["extracted_files"]["files_in_archive"][0]["data_id"].as_str().unwrap();
    until_outdated(&client, child, &basis.definitions, &["configuration"]).await;
}
