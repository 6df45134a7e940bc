//! The document against the code, both ways.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use portcullis_core::domain::verdict::{Code, IN_PROGRESS, IN_PROGRESS_TEXT};
use portcullis_core::http::error::ErrorCode;
use portcullis_core::http::routes::{LEGACY_PREFIX, ROUTES};
use portcullis_openapi::{document, resolve};
use serde_json::Value;

const VERBS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

fn operations() -> impl Iterator<Item = (String, &'static String, &'static Value, &'static Value)> {
    document()["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let verbs = item.as_object().unwrap().iter().filter(|(verb, _)| VERBS.contains(&verb.as_str()));
        verbs.map(move |(verb, operation)| (verb.to_uppercase(), path, item, operation))
    })
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let table: BTreeSet<(String, String)> = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let described: BTreeSet<(String, String)> = operations().map(|(verb, path, ..)| (verb, path.clone())).collect();
    let missing: Vec<_> = table.difference(&described).collect();
    let unknown: Vec<_> = described.difference(&table).collect();
    assert!(missing.is_empty(), "routes that shared/openapi/document does not have: {missing:?}");
    assert!(unknown.is_empty(), "described, but no route: {unknown:?}");
    assert!(document()["servers"].as_array().unwrap().iter().any(|server| server["url"] == LEGACY_PREFIX));
}

#[test]
fn what_is_not_there_yet_says_so() {
    for route in ROUTES.iter().filter(|route| !route.ready) {
        let operation = &document()["paths"][route.path][route.method.to_lowercase()];
        assert!(operation["responses"]["501"].is_object(), "{} {} answers 501", route.method, route.path);
    }
}

#[test]
fn every_parameter_of_a_path_is_described_and_every_operation_has_what_readers_need() {
    let tags: Vec<&Value> = document()["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (verb, path, item, operation) in operations() {
        let what = format!("{verb} {path}");
        assert!(ids.insert(operation["operationId"].as_str().expect(&what)), "{what}: its operationId stands twice");
        assert!(operation["summary"].is_string(), "{what}: summary");
        assert!(operation["tags"].as_array().is_some_and(|own| own.len() == 1 && tags.contains(&&own[0])), "{what}: tag");
        let parameters: Vec<&Value> =
            [&item["parameters"], &operation["parameters"]].into_iter().filter_map(Value::as_array).flatten().map(resolve).collect();
        let of_path: BTreeSet<&str> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let described: BTreeSet<&str> =
            parameters.iter().filter(|parameter| parameter["in"] == "path").map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(of_path, described, "{what}");
        let has_success = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
        assert!(has_success, "{what}: success");
    }
}

/// All responses, with the status they stand under.
fn responses() -> Vec<(u16, &'static Value)> {
    let of = |operation: &'static Value| operation["responses"].as_object().unwrap().iter();
    operations().flat_map(|(_, _, _, operation)| of(operation)).map(|(status, response)| (status.parse().unwrap(), resolve(response))).collect()
}

#[test]
fn every_error_code_is_described_with_its_exact_text_and_no_other_text_is() {
    let coded: BTreeSet<(u16, &str)> = ErrorCode::ALL.iter().map(|code| (code.status(), code.text())).collect();
    let mut described = BTreeSet::new();
    for (status, response) in responses() {
        for (_, example) in response["content"]["application/json"]["examples"].as_object().into_iter().flatten() {
            if let Some(text) = example["value"]["err"].as_str() {
                described.insert((status, text));
            }
        }
    }
    // Nothing is left to later work then.
    let idle = |(status, _): &&(u16, &str)| *status != 501;
    let missing: Vec<_> = coded.difference(&described).filter(idle).collect();
    let unknown: Vec<_> = described.difference(&coded).collect();
    assert!(missing.is_empty(), "error codes that no response of shared/openapi/document has as an example: {missing:?}");
    assert!(unknown.is_empty(), "examples that are no error code: {unknown:?}");
}

#[test]
fn outcome_codes_are_described_with_their_numbers_and_texts() {
    let schemas = &document()["components"]["schemas"];
    let numbers: BTreeSet<u64> = schemas["Code"]["enum"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    let texts: BTreeSet<&str> = schemas["CodeText"]["enum"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let codes: Vec<Code> = (0..=u8::MAX).filter_map(Code::from_value).collect();
    assert_eq!(numbers, codes.iter().map(|code| u64::from(code.value())).chain([IN_PROGRESS.into()]).collect());
    assert_eq!(texts, codes.iter().map(|code| code.text()).chain([IN_PROGRESS_TEXT]).collect());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &'static Value, found: &mut Vec<&'static str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| walk(entry, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document(), &mut found);
    assert!(found.len() > 100);
    for reference in &found {
        assert!(document().pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    // And every shared part is used.
    for kind in ["schemas", "responses", "parameters"] {
        for name in document()["components"][kind].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/{kind}/{name}").as_str()), "nothing uses {kind}/{name}");
        }
    }
}
