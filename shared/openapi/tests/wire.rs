//! Every field that the code can send against every property of the document: samples in which nothing is left out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::domain::batch::{Batch, BatchEntry, BatchFile, BatchState, FileEnd, Tally};
use portcullis_core::domain::engine::EngineStatus;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::{EngineReport, FileReport, YaraHit};
use portcullis_core::domain::rule::Rule;
use portcullis_core::domain::submission::{Basis, Fetched, Outcome, Owner, Record, Revision, Source, State, Submission, Wishes};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::overrides::EngineStates;
use portcullis_core::wire::{batch, engines, result};
use portcullis_openapi::{document, resolve};
use serde_json::{Value, json};

/// The differences between the fields of a value and the properties of its schema, all the way down.
fn differences(value: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    let schema = if schema.get("$ref").is_some() { resolve(schema) } else { schema };
    match value {
        Value::Object(fields) => {
            if let Some(properties) = schema["properties"].as_object() {
                let sent: BTreeSet<&String> = fields.keys().collect();
                let described: BTreeSet<&String> = properties.keys().collect();
                found.extend(sent.difference(&described).map(|name| format!("{place}/{name} is sent and not described")));
                found.extend(described.difference(&sent).map(|name| format!("{place}/{name} is described and not sent")));
            }
            for (name, field) in fields {
                let of_field = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                differences(field, of_field, &format!("{place}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                differences(item, &schema["items"], &format!("{place}/{n}"), found);
            }
        }
        _ => {}
    }
}

fn assert_same(value: impl serde::Serialize, schema: &str) {
    let mut found = Vec::new();
    differences(&serde_json::to_value(value).unwrap(), &document()["components"]["schemas"][schema], schema, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn report() -> FileReport {
    let engine = EngineReport {
        name: "YARA-X".into(),
        id: "yarax_1_linux".into(),
        code: Code::Infected,
        threat: "a threat".into(),
        def_time: "2026-01-15T06:00:00.000Z".into(),
        scan_ms: 1,
        wait_ms: 2,
    };
    FileReport {
        engines: vec![engine],
        yara: vec![YaraHit { rule: "a_rule".into(), description: "what it is for".into() }],
        is_archive: true,
        ..FileReport::unscanned("a.zip", 3, Verdict::decide(&[Code::Infected], &[]))
    }
}

fn record() -> Record {
    let submission = Submission {
        id: DataId::random(),
        name: "a.zip".into(),
        rule: "File process".into(),
        user_agent: "webscan".into(),
        owner: Some(Owner { user_id: 2, username: "LOCAL/admin".into() }),
        metadata: Some(json!({ "client_ip": "10.0.1.100" })),
        source: Source::Download,
        bucket: "b".into(),
        key: "k".into(),
        created_at: 1000,
        deadline_at: 9000,
        size: 3,
        wishes: Wishes { download_url: Some("https://example.com/a.zip".into()), ..Wishes::default() },
    };
    let outcome = Outcome {
        report: report(),
        child_count: 1,
        worst_child: 1,
        started_at: 1200,
        finished_at: 1500,
        basis: Basis::default(),
        revision: Some(Revision { job: "a job".into(), at: 1600, before: Code::NoThreatDetected }),
    };
    Record {
        submission,
        state: State::Done,
        attempts: 1,
        started_at: Some(1200),
        object: None,
        fetched: Some(Fetched::default()),
        outcome: Some(outcome),
    }
}

#[test]
fn results_have_the_fields_of_the_document() {
    let record = record();
    let listing = result::listing(&record, vec![(1, report())], 0, 50);
    let mut result = serde_json::to_value(result::of_record(&record, listing).outdated(vec!["configuration"])).unwrap();
    // Only what lies in another file has this one.
    result["parent_data_id"] = json!(DataId::random());
    assert_same(result, "AnalysisResult");
}

#[test]
fn batches_have_the_fields_of_the_document() {
    let record = record();
    let entry = BatchEntry { index: 0, file: BatchFile::of(&record.submission), end: Some(FileEnd::of(record.outcome.as_ref().unwrap())) };
    let facts = Batch {
        id: DataId::random(),
        rule: "File process".into(),
        user_agent: String::new(),
        user_data: String::new(),
        owner: None,
        created_at: 1000,
        expires_at: 2000,
    };
    let state = BatchState {
        batch: facts,
        closed: true,
        canceled: false,
        callback_url: None,
        concluded_by: None,
        told: false,
        files: 1,
        seats: 1,
        tally: Tally { finished: 1, codes: BTreeMap::from([(1, 1)]), total_ms: 5 },
    };
    assert_same(batch::of_batch(&state, vec![entry], 0, 50), "BatchResult");
}

#[test]
fn engines_and_nodes_have_the_fields_of_the_document() {
    let status = EngineStatus { name: "YARA-X".into(), version: "1".into(), def_time: String::new(), active: true, issues: Vec::new() };
    let decided = EngineStates::default();
    for engine in engines::list(std::slice::from_ref(&status), &decided) {
        assert_same(engine, "Engine");
    }
    let node = json!({ "engines": engines::list_of_node(&[status], &decided) });
    let schema = &document()["components"]["schemas"]["Nodes"]["properties"]["statuses"]["items"]["properties"]["engines"];
    let mut found = Vec::new();
    differences(&node["engines"], schema, "engines", &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn rules_have_the_fields_of_the_document() {
    assert_same(Rule::default(), "RuleInForce");
    let schema = &document()["components"]["schemas"]["RulesChange"]["properties"]["rules"]["items"];
    let mut found = Vec::new();
    differences(&serde_json::to_value(Rule::default()).unwrap(), schema, "rule", &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
