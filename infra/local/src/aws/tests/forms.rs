//! Browser forms (POST policies): what the policy does not allow is refused, stored nowhere and tells nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use sha2::Sha256;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::events::{drain, notified};
use super::{ACCESS_KEY, REGION, SECRET_KEY, Stack};
use crate::aws::s3::BucketSpec;

fn sign(key: &[u8], data: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The fields of a form signed for `key` with at most `max` bytes, valid for `seconds`.
fn fields(key: &str, max: u64, seconds: i64) -> Vec<(&'static str, String)> {
    fields_at(OffsetDateTime::now_utc(), key, max, seconds)
}

fn fields_at(now: OffsetDateTime, key: &str, max: u64, seconds: i64) -> Vec<(&'static str, String)> {
    let date = now.format(format_description!("[year][month][day]")).unwrap();
    let stamp = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
    let credential = format!("{ACCESS_KEY}/{date}/{REGION}/s3/aws4_request");
    let expiration = (now + Duration::seconds(seconds)).format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z")).unwrap();
    let policy = json!({ "expiration": expiration, "conditions": [
        { "bucket": "data" }, ["eq", "$key", key], ["content-length-range", 1, max],
        { "x-amz-algorithm": "AWS4-HMAC-SHA256" }, { "x-amz-credential": credential }, { "x-amz-date": stamp },
        { "success_action_status": "201" }, ["starts-with", "$Content-Type", ""],
    ]});
    let policy = BASE64.encode(policy.to_string());
    let signing =
        ["s3", "aws4_request"].iter().fold(sign(&sign(format!("AWS4{SECRET_KEY}").as_bytes(), &date), REGION), |key, part| sign(&key, part));
    let signature = hex::encode(sign(&signing, &policy));
    vec![
        ("key", key.to_owned()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", credential),
        ("x-amz-date", stamp),
        ("success_action_status", "201".to_owned()),
        ("Content-Type", "text/plain".to_owned()),
        ("policy", policy),
        ("x-amz-signature", signature),
    ]
}

async fn post(stack: &Stack, fields: Vec<(&'static str, String)>, body: Vec<u8>) -> (u16, String) {
    let form = fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
    let form = form.part("file", Part::bytes(body).file_name("x.bin"));
    let url = format!("{}/data", stack.emulator.endpoint());
    let answer = reqwest::Client::new().post(url).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_form_is_stored_and_announced() {
    let stack = Stack::start().await;
    notified(&stack).await;
    let (status, text) = post(&stack, fields("in/a", 100_000, 60), vec![5; 100_000]).await;
    assert_eq!(status, 201, "{text}");
    assert_eq!(stack.get("data", "in/a").await, vec![5; 100_000]);
    let head = stack.s3.head_object().bucket("data").key("in/a").send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/plain"));
    let events = drain(&stack, "q").await;
    assert!(events.len() == 1 && events[0].contains("ObjectCreated:Post"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_forbids_is_refused_and_stored_nowhere() {
    let stack = Stack::start().await;
    notified(&stack).await;
    let set = |mut fields: Vec<(&'static str, String)>, name: &str, value: &str| {
        for field in &mut fields {
            if field.0 == name {
                value.clone_into(&mut field.1);
            }
        }
        fields
    };
    let cases = [
        ("too large", fields("a", 10, 60), vec![1; 11], 400),
        ("much too large", fields("a", 10, 60), vec![1; 3_000_000], 400),
        ("field nobody signed", [fields("a", 10, 60), vec![("acl", "public-read".into())]].concat(), vec![1], 403),
        ("empty", fields("a", 10, 60), vec![], 400),
        ("expired", fields("a", 10, -60), vec![1], 403),
        ("other key", set(fields("a", 10, 60), "key", "b"), vec![1], 403),
        ("wrong signature", set(fields("a", 10, 60), "x-amz-signature", &"0".repeat(64)), vec![1], 403),
        ("wider policy", set(fields("a", 10, 60), "policy", &fields("a", 99, 60)[6].1), vec![1; 50], 403),
    ];
    for (name, fields, body, wanted) in cases {
        let (status, text) = post(&stack, fields, body).await;
        assert_eq!(status, wanted, "{name}: {text}");
    }
    assert!(stack.keys("data").await.is_empty());
    assert!(drain(&stack, "q").await.is_empty());
    assert_eq!(stack.body_files(), (0, 0));
}

/// Only the policy's own expiry counts, not the age of its signature.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_valid_until_its_policy_expires() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let hour_ago = OffsetDateTime::now_utc() - Duration::HOUR;
    let old = fields_at(hour_ago, "a", 10, 2 * 3600);
    assert_eq!(post(&stack, old, vec![1]).await.0, 201);
    assert_eq!(stack.get("data", "a").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_permitted_origins_may_send_forms_and_see_the_answer() {
    let stack = Stack::start().await;
    let spec = |origins: &[&str]| BucketSpec {
        name: "data".into(),
        form_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        ..BucketSpec::default()
    };
    let url = format!("{}/data", stack.emulator.endpoint());
    let ask = |method: &'static str, origin: &'static str| {
        let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, &url);
        request.header("Origin", origin).header("Access-Control-Request-Method", method).send()
    };
    for (origins, origin, permitted) in [
        (&[][..], "https://a.example", None),
        (&["https://a.example"], "https://a.example", Some("https://a.example")),
        (&["https://a.example"], "https://b.example", None),
        (&["*"], "https://b.example", Some("*")),
    ] {
        stack.emulator.buckets().ensure(spec(origins)).await.unwrap();
        let answer = ask("POST", origin).await.unwrap();
        assert_eq!(answer.status().as_u16(), if permitted.is_some() { 200 } else { 403 }, "{origins:?} {origin}");
        let allowed = |answer: &reqwest::Response| answer.headers().get("access-control-allow-origin").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(allowed(&answer).as_deref(), permitted, "{origins:?} {origin}");
        assert_eq!(ask("PUT", origin).await.unwrap().status().as_u16(), 403);
        let form = fields("key", 100, 60).into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        let form = form.part("file", Part::bytes(b"x".to_vec()).file_name("x.bin"));
        let sent = reqwest::Client::new().post(&url).header("Origin", origin).multipart(form).send().await.unwrap();
        assert_eq!((sent.status().as_u16(), allowed(&sent).as_deref()), (201, permitted), "{origins:?} {origin}");
    }
    stack.emulator.shutdown().await;
}
