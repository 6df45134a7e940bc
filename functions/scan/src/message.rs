//! What a message of the scan queue asks for.

use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use portcullis_core::batch::Failed;
use portcullis_core::domain::event::{ScanRequest, Task, TaskRequest};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::name::decode_header;
use portcullis_core::domain::submission::ObjectRef;
use serde_json::Value;

/// One object to scan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The submission, when the sender knew it.
    pub(crate) id: Option<DataId>,
    pub(crate) object: ObjectRef,
}

/// What a message asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Objects to scan; none for messages that ask for nothing.
    Scan(Vec<Request>),
    /// Something else.
    Task(Task),
}

/// Reads a message: an S3 notification of any bucket, S3's test message (asks for nothing), a request of sweep, or a task.
///
/// # Errors
/// `Permanent` for anything else: it ends in the dead-letter queue, where a person finds it.
pub(crate) fn parse(body: &str) -> Result<Message, Failed> {
    let value: Value = serde_json::from_str(body).map_err(|_| Failed::Permanent("the message is no JSON".into()))?;
    // The first message of every wired bucket. It has no `Records`.
    if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Message::Scan(Vec::new()));
    }
    if value.get("scan_request").is_some() {
        let request: ScanRequest =
            serde_json::from_value(value).map_err(|e| Failed::Permanent(format!("the scan request has the wrong shape: {e}")))?;
        return Ok(Message::Scan(vec![Request { id: Some(request.scan_request), object: request.object }]));
    }
    if value.get("task").is_some() {
        let request: TaskRequest = serde_json::from_value(value).map_err(|e| Failed::Permanent(format!("the task has the wrong shape: {e}")))?;
        return Ok(Message::Task(request.task));
    }
    let event: S3Event = serde_json::from_value(value).map_err(|e| Failed::Permanent(format!("the message is no S3 notification: {e}")))?;
    let created = event.records.into_iter().filter(|record| record.event_name.as_deref().is_some_and(|name| name.contains("ObjectCreated")));
    created.map(request).collect::<Result<_, _>>().map(Message::Scan)
}

fn request(record: S3EventRecord) -> Result<Request, Failed> {
    let missing = |what: &str| Failed::Permanent(format!("the S3 notification has no {what}"));
    let object = record.s3.object;
    // S3 writes keys like a form: `+` for a blank, the rest percent-encoded.
    let key = object.key.ok_or_else(|| missing("object key"))?;
    let key = decode_header(key.replace('+', " ").as_bytes());
    Ok(Request {
        id: None,
        object: ObjectRef {
            bucket: record.s3.bucket.name.ok_or_else(|| missing("bucket"))?,
            key,
            version: object.version_id.filter(|version| !version.is_empty() && version != "null"),
            etag: object.e_tag.ok_or_else(|| missing("ETag"))?.trim_matches('"').to_owned(),
            size: object.size.and_then(|size| u64::try_from(size).ok()).ok_or_else(|| missing("size"))?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(body: &str) -> Vec<Request> {
        match parse(body).unwrap() {
            Message::Scan(requests) => requests,
            Message::Task(task) => panic!("{task:?}"),
        }
    }

    fn notification(name: &str) -> String {
        format!(
            r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-01-15T09:12:20.076Z",
            "eventName":"{name}","userIdentity":{{"principalId":"x"}},"requestParameters":{{"sourceIPAddress":"127.0.0.1"}},
            "responseElements":{{}},"s3":{{"s3SchemaVersion":"1.0","configurationId":"c","bucket":{{"name":"b","ownerIdentity":{{"principalId":"x"}},
            "arn":"arn:aws:s3:::b"}},"object":{{"key":"a+folder/gr%C3%BCn.txt","size":3,"eTag":"abc","versionId":"v1","sequencer":"0"}}}}}}]}}"#
        )
    }

    #[test]
    fn an_object_that_was_created_is_a_request_with_its_key_decoded() {
        let got = requests(&notification("ObjectCreated:Put"));
        let [Request { id: None, object }] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!((object.key.as_str(), object.version.as_deref(), object.size), ("a folder/grün.txt", Some("v1"), 3));
    }

    #[test]
    fn a_removed_object_and_the_test_message_ask_for_nothing() {
        assert!(requests(&notification("ObjectRemoved:Delete")).is_empty());
        assert!(requests(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#).is_empty());
    }

    #[test]
    fn a_request_of_sweep_names_the_submission() {
        let body = r#"{"scan_request":"0123456789abcdef0123456789abcdef","object":{"bucket":"b","key":"k","version":null,"etag":"e","size":1}}"#;
        assert_eq!(requests(body).first().unwrap().id.as_ref().unwrap().as_str(), "0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn a_task_is_told_by_its_name() {
        let body = r#"{"task":{"download":{"data_id":"0123456789abcdef0123456789abcdef"}}}"#;
        assert!(matches!(parse(body), Ok(Message::Task(Task::Download { .. }))));
        assert!(matches!(parse(r#"{"task":{"dance":{}}}"#), Err(Failed::Permanent(_))));
    }

    #[test]
    fn poison_is_permanent() {
        for body in ["", "not json", "{}", "[]", r#"{"Records":[{}]}"#, r#"{"scan_request":"../x","object":{}}"#] {
            assert!(matches!(parse(body), Err(Failed::Permanent(_))), "{body}");
        }
    }
}
