//! The AmazonSQS JSON 1.0 protocol: one POST per call, the operation in `X-Amz-Target`.
//!
//! What always holds: an answer is the operation's JSON or an error with `__type` and `x-amzn-query-error`, as the
//! AWS SDKs expect; batch calls answer per entry.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::store::NewMessage;
use super::{Attributes, Message, MessageAttributes, Queues, Sent, SqsError, message, settings};

/// Prefix of `X-Amz-Target`.
pub(crate) const TARGET: &str = "AmazonSQS.";
/// Content type of requests and answers.
const JSON: &str = "application/x-amz-json-1.0";

/// Answers one call.
pub(crate) async fn handle(queues: &Queues, operation: &str, body: &[u8]) -> Response<Bytes> {
    match dispatch(queues, operation, body).await {
        Ok(value) => response(StatusCode::OK, &value),
        Err(error) => failure(&error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    #[serde(default)]
    queue_url: Option<String>,
    #[serde(default)]
    queue_name: Option<String>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    receipt_handle: Option<String>,
    #[serde(default)]
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    queue_name_prefix: String,
    #[serde(default)]
    max_results: Option<usize>,
    #[serde(default)]
    next_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sending {
    #[serde(default)]
    id: String,
    #[serde(default)]
    queue_url: Option<String>,
    #[serde(default)]
    message_body: String,
    #[serde(default)]
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: MessageAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receiving {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<E> {
    #[serde(default)]
    queue_url: Option<String>,
    #[serde(default = "Vec::new")]
    entries: Vec<E>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handled {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: Option<i64>,
}

async fn dispatch(queues: &Queues, operation: &str, body: &[u8]) -> Result<Value, SqsError> {
    match operation {
        "CreateQueue" => {
            let call: OfQueue = parse(body)?;
            let name = call.queue_name.ok_or(SqsError::MissingParameter("QueueName"))?;
            Ok(json!({ "QueueUrl": queues.create(&name, call.attributes).await? }))
        }
        "GetQueueUrl" => {
            let call: OfQueue = parse(body)?;
            let name = call.queue_name.ok_or(SqsError::MissingParameter("QueueName"))?;
            queues.depth(&name).await?;
            Ok(json!({ "QueueUrl": queues.url(&name) }))
        }
        "ListQueues" => list(queues, &parse(body)?).await,
        "GetQueueAttributes" => {
            let call: OfQueue = parse(body)?;
            let mut all = queues.attributes(queue(call.queue_url.as_ref())?).await?;
            if !call.attribute_names.iter().any(|name| name == "All") {
                all.retain(|name, _| call.attribute_names.contains(name));
            }
            Ok(json!({ "Attributes": all }))
        }
        "SetQueueAttributes" => {
            let call: OfQueue = parse(body)?;
            queues.set_attributes(queue(call.queue_url.as_ref())?, call.attributes).await?;
            Ok(json!({}))
        }
        "SendMessage" => {
            let call: Sending = parse(body)?;
            let name = queue(call.queue_url.as_ref())?.to_owned();
            Ok(sent(&queues.send_message(&name, new_message(call)).await?))
        }
        "SendMessageBatch" => send_batch(queues, parse(body)?).await,
        "ReceiveMessage" => receive(queues, &parse(body)?).await,
        "DeleteMessage" => {
            let call: OfQueue = parse(body)?;
            let handle = call.receipt_handle.ok_or(SqsError::MissingParameter("ReceiptHandle"))?;
            queues.delete(queue(call.queue_url.as_ref())?, &handle).await?;
            Ok(json!({}))
        }
        "ChangeMessageVisibility" => {
            let call: OfQueue = parse(body)?;
            let handle = call.receipt_handle.ok_or(SqsError::MissingParameter("ReceiptHandle"))?;
            let seconds = call.visibility_timeout.ok_or(SqsError::MissingParameter("VisibilityTimeout"))?;
            queues.change_visibility_seconds(queue(call.queue_url.as_ref())?, &handle, seconds).await?;
            Ok(json!({}))
        }
        "DeleteMessageBatch" => {
            let batch: Batch<Handled> = parse(body)?;
            handled_batch(queues, batch, "DeleteMessageBatchRequestEntry", Change::Delete).await
        }
        "ChangeMessageVisibilityBatch" => {
            let batch: Batch<Handled> = parse(body)?;
            handled_batch(queues, batch, "ChangeMessageVisibilityBatchRequestEntry", Change::Visibility).await
        }
        "PurgeQueue" => {
            let call: OfQueue = parse(body)?;
            queues.purge(queue(call.queue_url.as_ref())?).await?;
            Ok(json!({}))
        }
        "DeleteQueue" => {
            let call: OfQueue = parse(body)?;
            queues.delete_queue(queue(call.queue_url.as_ref())?).await?;
            Ok(json!({}))
        }
        other => Err(SqsError::UnsupportedOperation(other.to_owned())),
    }
}

async fn list(queues: &Queues, call: &Listing) -> Result<Value, SqsError> {
    let limit = call.max_results.unwrap_or(1000).clamp(1, 1000);
    let names = queues.list_after(&call.queue_name_prefix, &call.next_token, limit).await?;
    let urls: Vec<String> = names.iter().map(|name| queues.url(name)).collect();
    let mut answer = json!({ "QueueUrls": urls });
    if let Some(last) = names.last().filter(|_| names.len() == limit && call.max_results.is_some()) {
        answer["NextToken"] = json!(last);
    }
    Ok(answer)
}

async fn send_batch(queues: &Queues, batch: Batch<Sending>) -> Result<Value, SqsError> {
    let name = queue(batch.queue_url.as_ref())?;
    check_batch(batch.entries.iter().map(|entry| entry.id.as_str()), "SendMessageBatchRequestEntry")?;
    let bytes: usize = batch.entries.iter().map(|e| message::size(&e.message_body, &e.message_attributes)).sum();
    if bytes > settings::MAX_MESSAGE_BYTES {
        return Err(SqsError::BatchRequestTooLong(bytes));
    }
    let (ids, messages): (Vec<String>, Vec<NewMessage>) =
        batch.entries.into_iter().map(|mut entry| (std::mem::take(&mut entry.id), new_message(entry))).unzip();
    let outcomes = queues.send_each(name, messages).await?;
    let mut answer = BatchAnswer::default();
    for (id, outcome) in ids.iter().zip(outcomes) {
        answer.add(id, outcome.map(|message| sent(&message)));
    }
    Ok(answer.into_json())
}

#[derive(Clone, Copy)]
enum Change {
    Delete,
    Visibility,
}

async fn handled_batch(queues: &Queues, batch: Batch<Handled>, kind: &'static str, change: Change) -> Result<Value, SqsError> {
    let name = queue(batch.queue_url.as_ref())?;
    check_batch(batch.entries.iter().map(|entry| entry.id.as_str()), kind)?;
    let mut answer = BatchAnswer::default();
    for entry in &batch.entries {
        let outcome = match change {
            Change::Delete => queues.delete(name, &entry.receipt_handle).await,
            Change::Visibility => match entry.visibility_timeout {
                Some(seconds) => queues.change_visibility_seconds(name, &entry.receipt_handle, seconds).await,
                None => Err(SqsError::MissingParameter("VisibilityTimeout")),
            },
        };
        if let Err(SqsError::QueueDoesNotExist) = outcome {
            return Err(SqsError::QueueDoesNotExist);
        }
        answer.add(&entry.id, outcome.map(|()| json!({})));
    }
    Ok(answer.into_json())
}

async fn receive(queues: &Queues, call: &Receiving) -> Result<Value, SqsError> {
    let name = queue(call.queue_url.as_ref())?;
    let max = in_range("MaxNumberOfMessages", call.max_number_of_messages, 1, 10)?.unwrap_or(1);
    let visibility = in_range("VisibilityTimeout", call.visibility_timeout, 0, 43_200)?;
    let wait = match in_range("WaitTimeSeconds", call.wait_time_seconds, 0, 20)? {
        Some(seconds) => seconds,
        None => queues.wait_seconds(name).await?,
    };
    let messages = queues.receive(name, u32::try_from(max).unwrap_or(1), Duration::from_secs(wait), visibility.map(Duration::from_secs)).await?;
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let messages: Vec<Value> = messages.into_iter().map(|message| received(message, call)).collect();
    Ok(json!({ "Messages": messages }))
}

fn received(message: Message, call: &Receiving) -> Value {
    let asked = |name: &str| {
        let names = call.message_system_attribute_names.iter().chain(&call.attribute_names);
        names.into_iter().any(|wanted| wanted == "All" || wanted == name)
    };
    let system: BTreeMap<_, _> = message.attributes.into_iter().filter(|(name, _)| asked(name)).collect();
    let wanted = |name: &str| call.message_attribute_names.iter().any(|pattern| matches(pattern, name));
    let own: MessageAttributes = message.message_attributes.into_iter().filter(|(name, _)| wanted(name)).collect();
    let mut answer = Map::new();
    answer.insert("MessageId".into(), message.message_id.into());
    answer.insert("ReceiptHandle".into(), message.receipt_handle.into());
    answer.insert("MD5OfBody".into(), message.md5_of_body.into());
    answer.insert("Body".into(), message.body.into());
    if !system.is_empty() {
        answer.insert("Attributes".into(), json!(system));
    }
    if let Some(md5) = message::md5_of_attributes(&own) {
        answer.insert("MD5OfMessageAttributes".into(), md5.into());
        answer.insert("MessageAttributes".into(), json!(own));
    }
    answer.into()
}

/// `All`, `.*`, a name, or a prefix as `prefix.*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern == "All" || pattern == name || pattern.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
}

#[derive(Default)]
struct BatchAnswer {
    successful: Vec<Value>,
    failed: Vec<Value>,
}

impl BatchAnswer {
    fn add(&mut self, id: &str, outcome: Result<Value, SqsError>) {
        match outcome {
            Ok(mut value) => {
                value["Id"] = json!(id);
                self.successful.push(value);
            }
            Err(error) => self.failed.push(json!({
                "Id": id, "SenderFault": error.is_sender_fault(),
                "Code": error.query_code(), "Message": error.to_string(),
            })),
        }
    }

    fn into_json(self) -> Value {
        json!({ "Successful": self.successful, "Failed": self.failed })
    }
}

fn check_batch<'a>(ids: impl ExactSizeIterator<Item = &'a str>, kind: &'static str) -> Result<(), SqsError> {
    match ids.len() {
        0 => return Err(SqsError::EmptyBatchRequest(kind)),
        11.. => return Err(SqsError::TooManyEntriesInBatchRequest(ids.len())),
        _ => {}
    }
    let mut seen = HashSet::new();
    for id in ids {
        let letters = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !letters || !(1..=80).contains(&id.len()) {
            return Err(SqsError::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(SqsError::BatchEntryIdsNotDistinct(id.to_owned()));
        }
    }
    Ok(())
}

fn new_message(call: Sending) -> NewMessage {
    NewMessage { body: call.message_body, attributes: call.message_attributes, delay_seconds: call.delay_seconds }
}

fn sent(sent: &Sent) -> Value {
    let mut answer = json!({ "MessageId": sent.message_id, "MD5OfMessageBody": sent.md5_of_body });
    if let Some(md5) = &sent.md5_of_attributes {
        answer["MD5OfMessageAttributes"] = json!(md5);
    }
    answer
}

/// The queue's name: the last part of its URL; host and account are not looked at.
fn queue(url: Option<&String>) -> Result<&str, SqsError> {
    let url = url.ok_or(SqsError::MissingParameter("QueueUrl"))?;
    let name = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name.is_empty() { Err(SqsError::QueueDoesNotExist) } else { Ok(name) }
}

fn in_range(name: &str, value: Option<i64>, low: u64, high: u64) -> Result<Option<u64>, SqsError> {
    let Some(value) = value else { return Ok(None) };
    let inside = u64::try_from(value).ok().filter(|number| (low..=high).contains(number));
    inside.map(Some).ok_or_else(|| {
        SqsError::InvalidParameterValue(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {low} and {high}, if provided."
        ))
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| SqsError::Serialization(error.to_string()))
}

fn failure(error: &SqsError) -> Response<Bytes> {
    let (status, side) = if error.is_sender_fault() {
        (StatusCode::BAD_REQUEST, "Sender")
    } else {
        tracing::error!(?error, "a queue operation failed");
        (StatusCode::INTERNAL_SERVER_ERROR, "Receiver")
    };
    let kind = format!("com.amazonaws.sqs#{}", error.shape());
    let mut response = response(status, &json!({ "__type": kind, "message": error.to_string() }));
    if let Ok(value) = HeaderValue::try_from(format!("{};{side}", error.query_code())) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

fn response(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    if let Ok(id) = HeaderValue::try_from(uuid::Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
