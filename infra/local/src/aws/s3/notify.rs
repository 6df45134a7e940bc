//! S3 event notifications to queues.
//!
//! What always holds: an event is sent through the connection that makes the object visible, so it commits or
//! vanishes with it; its shape is that of the S3 user guide ("Event message structure", version 2.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::Connection;
use s3s::dto::{FilterRule, NotificationConfiguration, QueueConfiguration};
use s3s::{S3Result, s3_error};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::error::Failure;
use super::rows::{BucketRow, Change, NewObject};
use crate::aws::ACCOUNT_ID;
use crate::aws::db::now_ms;
use crate::aws::sqs::store::{self, NewMessage};
use crate::aws::sqs::{MessageAttributes, SqsError};

/// What an event says about the service that sends it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) region: String,
}

/// How an object came to be: the last part of the event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    Put,
    Post,
    Copy,
    CompleteMultipartUpload,
}

impl Created {
    fn event(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Post => "ObjectCreated:Post",
            Self::Copy => "ObjectCreated:Copy",
            Self::CompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
        }
    }
}

/// Checks a configuration and gives every rule an id; rules that are the same as before keep theirs.
pub(crate) fn prepared(mut wanted: NotificationConfiguration, previous: &NotificationConfiguration) -> S3Result<NotificationConfiguration> {
    let others = wanted.lambda_function_configurations.as_ref().is_some_and(|list| !list.is_empty())
        || wanted.topic_configurations.as_ref().is_some_and(|list| !list.is_empty());
    if others {
        return Err(s3_error!(InvalidArgument, "The local host notifies queues only"));
    }
    let before = previous.queue_configurations.as_deref().unwrap_or_default();
    for rule in wanted.queue_configurations.iter_mut().flatten() {
        for event in &rule.events {
            if !event.as_ref().starts_with("s3:") {
                return Err(s3_error!(InvalidArgument, "The event `{}` is not supported for notifications", event.as_ref()));
            }
        }
        for filter in filters(rule) {
            let name = filter.name.as_ref().map(|name| name.as_str().to_ascii_lowercase());
            if !matches!(name.as_deref(), Some("prefix" | "suffix")) {
                return Err(s3_error!(InvalidArgument, "filter rule name must be either prefix or suffix"));
            }
        }
        if rule.id.is_none() {
            let same = before.iter().find(|old| QueueConfiguration { id: None, ..(*old).clone() } == *rule);
            rule.id = same.and_then(|old| old.id.clone()).or_else(|| Some(Uuid::new_v4().to_string()));
        }
    }
    Ok(wanted)
}

/// Tells every queue of the configuration that it is one; answers their names. A queue that does not exist is refused.
pub(crate) fn send_test_events(conn: &Connection, bucket: &str, configuration: &NotificationConfiguration) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for rule in configuration.queue_configurations.iter().flatten() {
        let queue = queue_name(&rule.queue_arn);
        let body = json!({
            "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": timestamp(now_ms()), "Bucket": bucket,
            "RequestId": request_id(), "HostId": Uuid::new_v4().to_string(),
        });
        match store::send(conn, queue, &message(body.to_string())) {
            Ok(_) => told.push(queue.to_owned()),
            Err(SqsError::QueueDoesNotExist) => {
                return Err(s3_error!(InvalidArgument, "Unable to validate the following destination configurations: `{}`", rule.queue_arn).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(told)
}

/// Sends the event of a new object to every queue whose rule fits; answers their names.
pub(crate) fn send(
    conn: &Connection,
    context: &Context,
    bucket: &BucketRow,
    object: &NewObject,
    change: &Change,
    seq: i64,
) -> Result<Vec<String>, Failure> {
    let configuration = configuration(bucket)?;
    let mut sent = Vec::new();
    for rule in configuration.queue_configurations.iter().flatten().filter(|rule| fits(rule, object)) {
        let queue = queue_name(&rule.queue_arn);
        let body = event(context, rule, object, change, seq);
        match store::send(conn, queue, &message(body.to_string())) {
            Ok(_) => sent.push(queue.to_owned()),
            // As on AWS: the queue went away after the rule was made; the object is stored all the same.
            Err(SqsError::QueueDoesNotExist) => tracing::warn!(queue, "a bucket notifies a queue that does not exist"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// The stored configuration; empty when none was put.
pub(crate) fn configuration(bucket: &BucketRow) -> Result<NotificationConfiguration, Failure> {
    Ok(bucket.notification.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default())
}

fn fits(rule: &QueueConfiguration, object: &NewObject) -> bool {
    let name = object.how.event();
    let event = rule
        .events
        .iter()
        .filter_map(|event| event.as_ref().strip_prefix("s3:"))
        .any(|wanted| wanted == name || wanted.strip_suffix('*').is_some_and(|start| name.starts_with(start)));
    let key = filters(rule).all(|filter| {
        let value = filter.value.as_deref().unwrap_or_default();
        match filter.name.as_ref().map(|name| name.as_str().to_ascii_lowercase()).as_deref() {
            Some("prefix") => object.key.starts_with(value),
            Some("suffix") => object.key.ends_with(value),
            _ => false,
        }
    });
    event && key
}

fn filters(rule: &QueueConfiguration) -> impl Iterator<Item = &FilterRule> {
    rule.filter.iter().filter_map(|filter| filter.key.as_ref()).filter_map(|key| key.filter_rules.as_ref()).flatten()
}

fn event(context: &Context, rule: &QueueConfiguration, object: &NewObject, change: &Change, seq: i64) -> serde_json::Value {
    let mut described = json!({
        "key": event_key(&object.key), "size": object.size, "eTag": object.etag, "sequencer": format!("{seq:018X}"),
    });
    if let Some(version) = &change.version_id {
        described["versionId"] = json!(version);
    }
    json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": context.region,
        "eventTime": timestamp(change.modified_ms),
        "eventName": object.how.event(),
        "userIdentity": { "principalId": format!("AWS:{ACCOUNT_ID}") },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": request_id(), "x-amz-id-2": Uuid::new_v4().to_string() },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule.id,
            "bucket": {
                "name": object.bucket,
                "ownerIdentity": { "principalId": ACCOUNT_ID },
                "arn": format!("arn:aws:s3:::{}", object.bucket),
            },
            "object": described,
        },
    }] })
}

/// Form encoding as AWS does it in events: a space is `+`, the slash stays.
fn event_key(key: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');
    percent_encode(key.as_bytes(), KEPT).to_string().replace(' ', "+")
}

fn queue_name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or_default()
}

fn message(body: String) -> NewMessage {
    NewMessage { body, attributes: MessageAttributes::new(), delay_seconds: None }
}

fn request_id() -> String {
    Uuid::new_v4().simple().to_string()[..16].to_ascii_uppercase()
}

/// `2026-01-31T12:00:00.000Z`.
fn timestamp(ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_in_events_of_aws() {
        assert_eq!(event_key("a b/c+d~ä"), "a+b/c%2Bd%7E%C3%A4");
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(timestamp(1_767_225_600_007), "2026-01-01T00:00:00.007Z");
    }
}
