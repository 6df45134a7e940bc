//! `infra/policies/clean-only.json` decided statement by statement, as IAM documents it.
//!
//! No emulator at hand enforces bucket policies with tag conditions, so the statements are evaluated here. What matters is
//! what IAM does with a key that is absent: a negated operator holds, any other does not (IAM user guide, "Condition
//! operators"); so an object without the tag is denied. An unknown operator or element fails the test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

const SCAN: &str = "arn:aws:iam::111122223333:role/portcullis-Access-ScanRole-1";
const ADMIN: &str = "arn:aws:iam::111122223333:role/admin";

fn policy() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/clean-only.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace("SCAN_ROLE_ARN", SCAN).replace("BUCKET", "inbox")).unwrap()
}

fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

/// `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(left) = text.strip_prefix(head) else { return false };
            rest.is_empty() || left.char_indices().map(|(at, _)| &left[at..]).chain([""]).any(|tail| like(rest, tail))
        }
    }
}

/// A request with the condition keys it has.
struct Request<'a> {
    action: &'a str,
    resource: &'a str,
    keys: BTreeMap<&'a str, Vec<&'a str>>,
}

impl Request<'_> {
    fn condition_holds(&self, operator: &str, key: &str, wanted: &Value) -> bool {
        let (present, wanted) = (self.keys.get(key), list(wanted));
        let any = |compare: fn(&str, &str) -> bool| present.is_some_and(|values| values.iter().any(|v| wanted.iter().any(|w| compare(w, v))));
        match operator {
            "StringNotEquals" | "ArnNotEquals" => !any(|w, v| w == v),
            "Bool" => any(|w, v| w == v),
            "ForAnyValue:StringLike" => any(like),
            other => panic!("`{other}` is not known here"),
        }
    }

    fn is_denied(&self) -> bool {
        policy()["Statement"].as_array().unwrap().iter().any(|statement| {
            let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
            assert!(statement.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{statement}");
            assert_eq!((&statement["Effect"], &statement["Principal"]), (&"Deny".into(), &"*".into()), "an allowance would widen what IAM gives");
            let mut conditions = statement["Condition"].as_object().into_iter().flatten();
            list(&statement["Action"]).iter().any(|action| like(action, self.action))
                && list(&statement["Resource"]).iter().any(|resource| like(resource, self.resource))
                && conditions
                    .all(|(operator, keys)| keys.as_object().unwrap().iter().all(|(key, wanted)| self.condition_holds(operator, key, wanted)))
        })
    }
}

fn denied(who: &str, action: &str, keys: &[(&str, &str)]) -> bool {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::from([("aws:PrincipalArn", vec![who]), ("aws:SecureTransport", vec!["true"])]);
    for (key, value) in keys {
        all.insert(key, vec![value]);
    }
    Request { action, resource: "arn:aws:s3:::inbox/team/a.pdf", keys: all }.is_denied()
}

const VERDICT: &str = "s3:ExistingObjectTag/portcullis:verdict";

#[test]
fn only_what_is_tagged_clean_is_read() {
    for action in ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes"] {
        assert!(!denied(ADMIN, action, &[(VERDICT, "clean")]), "{action}");
        for keys in [&[][..], &[(VERDICT, "blocked")], &[(VERDICT, "Clean")], &[(VERDICT, "")], &[("s3:ExistingObjectTag/verdict", "clean")]] {
            assert!(denied(ADMIN, action, keys), "{action} {keys:?}");
        }
        assert!(!denied(SCAN, action, &[]), "the scan reads what it judges");
    }
    assert!(denied("arn:aws:iam::111122223333:root", "s3:GetObject", &[]));
}

#[test]
fn nobody_else_makes_an_object_look_clean() {
    for action in ["s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"] {
        assert!(denied(ADMIN, action, &[(VERDICT, "clean")]), "{action}");
        assert!(!denied(SCAN, action, &[]), "{action}");
    }
    assert!(denied(ADMIN, "s3:PutObject", &[("s3:RequestObjectTagKeys", "portcullis:verdict")]), "with the tag on the upload");
    assert!(denied(ADMIN, "s3:ReplicateObject", &[]) && denied(ADMIN, "s3:ReplicateTags", &[]));
}

#[test]
fn files_still_come_in_and_go() {
    for action in ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucket", "s3:GetObjectTagging", "s3:AbortMultipartUpload"] {
        assert!(!denied(ADMIN, action, &[]), "{action}");
    }
    assert!(denied(ADMIN, "s3:PutObject", &[("aws:SecureTransport", "false")]));
}

#[test]
fn the_readers_patterns_mean_what_they_say() {
    assert!(like("s3:*", "s3:GetObject") && like("*", "") && like("a*c", "abc") && !like("a*c", "ab") && !like("a", "ab"));
}
