//! Verdict events (SQS) → metrics in CloudWatch's embedded metric format, and webhooks.
//!
//! What always holds: one line of metrics per event, on standard output, where Lambda's log agent reads it; an event
//! of a file or batch with a callback becomes a message of its own, so that a slow receiver holds up nobody else.
//! Source of the format: CloudWatch embedded metric format specification, version 0 of the schema.

mod sign;
mod webhook;

use std::io::Write;
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use portcullis_core::aws::Clients;
use portcullis_core::batch::{self, Failed};
use portcullis_core::clock::now_ms;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::domain::event::{BatchEvent, Revised, VerdictEvent};
use portcullis_core::error::chain;
use portcullis_core::store::{
    batches::Batches, children::Children, deliveries::Deliveries, objects::Objects, queue::Queue, scans::Scans, secrets::Secrets, settings::Settings,
    stats::Stats,
};
use portcullis_core::webhook::{Subject, Webhook};
use portcullis_outbound::{Client, Limits, Policy};
use serde::Deserialize;
use serde_json::{Value, json};

/// Namespace of the metrics.
pub const NAMESPACE: &str = "Portcullis";

/// What the handler shares over its life.
pub struct Notify {
    out: Mutex<Box<dyn Write + Send>>,
    queue: Queue,
    scans: Scans,
    children: Children,
    batches: Batches,
    deliveries: Deliveries,
    settings: Settings,
    stats: Stats,
    secrets: Secrets,
    /// Name or ARN of the secret that webhooks are signed with.
    secret_id: String,
    client: Client,
}

/// What may be in the queue.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Incoming {
    Webhook { webhook: Webhook },
    Batch(BatchEvent),
    Verdict(Box<VerdictEvent>),
}

impl Notify {
    /// From the environment. `out` takes the metric lines: standard output in Lambda.
    ///
    /// # Errors
    /// All problems of the configuration, together.
    pub fn new(env: &Env, clients: &Clients, out: Box<dyn Write + Send>) -> Result<Self, ConfigError> {
        let mut reader = env.reader("notify");
        let table = reader.text("PORTCULLIS_TABLE");
        let reports = reader.text("PORTCULLIS_REPORT_BUCKET");
        let queue = reader.text("PORTCULLIS_NOTIFY_QUEUE_URL");
        let secret_id = reader.text("PORTCULLIS_WEBHOOK_SECRET_ID");
        let policy = Policy::read(&mut reader);
        let dynamodb = clients.dynamodb();
        reader.finish(Self {
            out: Mutex::new(out),
            queue: Queue::new(clients.sqs().clone(), queue),
            scans: Scans::new(dynamodb.clone(), &table),
            children: Children::new(Objects::new(clients.s3().clone()), reports),
            batches: Batches::new(dynamodb.clone(), &table),
            deliveries: Deliveries::new(dynamodb.clone(), &table),
            settings: Settings::new(dynamodb.clone(), &table),
            stats: Stats::new(dynamodb.clone(), &table),
            secrets: Secrets::new(clients.secrets().clone()),
            secret_id,
            client: Client::new(policy, Limits::default()),
        })
    }

    /// Handles a batch.
    pub async fn handle(self: Arc<Self>, event: SqsEvent) -> SqsBatchResponse {
        batch::run(self, event, |notify, message| Box::pin(async move { notify.message(&message).await })).await
    }

    async fn message(&self, message: &SqsMessage) -> Result<(), Failed> {
        let body = message.body.as_deref().unwrap_or_default();
        let incoming = serde_json::from_str(body).map_err(|e| Failed::Permanent(format!("the message is neither verdict nor webhook: {e}")))?;
        match incoming {
            Incoming::Webhook { webhook } => self.attempt(webhook).await,
            Incoming::Batch(event) => Ok(self.ask(Webhook::first(event.batch_id, Subject::Batch, now_ms())).await?),
            Incoming::Verdict(event) => {
                if event.callback {
                    // A verdict that took the place of another is told under an id of its own.
                    let id = event.revised.as_ref().map_or(&event.data_id, |revised| &revised.by);
                    self.ask(Webhook::first(id.clone(), Subject::File, now_ms())).await?;
                }
                // A count that is missing is better than metrics and webhooks that wait for it. A file that was judged
                // again is no further file.
                if event.revised.is_none()
                    && let Err(error) = self.stats.count(&event).await
                {
                    tracing::error!(data_id = %event.data_id, error = %chain(&error), "a verdict was not counted");
                }
                self.record(&event)
            }
        }
    }

    fn record(&self, event: &VerdictEvent) -> Result<(), Failed> {
        let mut out = self.out.lock().map_err(|_| Failed::Retry("the metric output is broken".into()))?;
        let line = match &event.revised {
            None => metrics(event, now_ms()),
            Some(revised) => changed(event, revised, now_ms()),
        };
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| Failed::Retry(format!("metrics can not be written: {e}")))
    }
}

/// One line: files, bytes and times, by outcome.
fn metrics(event: &VerdictEvent, now: i64) -> Value {
    json!({
        "_aws": {
            "Timestamp": now,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[], ["Result"], ["Code"]],
                "Metrics": [
                    { "Name": "Files", "Unit": "Count" },
                    { "Name": "Children", "Unit": "Count" },
                    { "Name": "Bytes", "Unit": "Bytes" },
                    { "Name": "QueueTime", "Unit": "Milliseconds" },
                    { "Name": "ScanTime", "Unit": "Milliseconds" },
                ],
            }],
        },
        "Result": event.result,
        "Code": event.code.row().tag,
        "Files": 1,
        "Children": event.children,
        "Bytes": event.size,
        "QueueTime": event.queue_ms,
        "ScanTime": event.scan_ms,
        "data_id": event.data_id,
        "rule": event.rule,
    })
}

/// One line for a verdict that a rescan changed: the file was counted when it came in.
fn changed(event: &VerdictEvent, revised: &Revised, now: i64) -> Value {
    json!({
        "_aws": {
            "Timestamp": now,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[], ["Result"], ["Code"]],
                "Metrics": [{ "Name": "ChangedVerdicts", "Unit": "Count" }],
            }],
        },
        "Result": event.result,
        "Code": event.code.row().tag,
        "ChangedVerdicts": 1,
        "Before": revised.before.row().tag,
        "data_id": event.data_id,
        "rule": event.rule,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn message(id: &str, body: &str) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.into());
        message.body = Some(body.into());
        message
    }

    #[tokio::test]
    async fn each_event_is_a_metric_line_and_poison_goes_back() {
        let out = Shared::default();
        // Nobody listens there: an event without a callback needs no service.
        let clients = Clients::for_endpoint("http://127.0.0.1:9", "us-east-1", "test", "test");
        let keys = ["PORTCULLIS_TABLE", "PORTCULLIS_REPORT_BUCKET", "PORTCULLIS_NOTIFY_QUEUE_URL", "PORTCULLIS_WEBHOOK_SECRET_ID"];
        let env: Env = keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
        let notify = Arc::new(Notify::new(&env, &clients, Box::new(out.clone())).unwrap());
        let mut event = SqsEvent::default();
        let verdict = r#"{"data_id":"0123456789abcdef0123456789abcdef","code":1,"result":"Blocked","rule":"r","source":"api","size":68,"children":0,"queue_ms":3,"scan_ms":9}"#;
        let again = verdict.replace('}', r#","revised":{"by":"0123456789abcdef0123456789abcdee","before":0}}"#);
        event.records = vec![message("good", verdict), message("again", &again), message("poison", "{}")];
        let response = notify.handle(event).await;
        assert_eq!(response.batch_item_failures.len(), 1);
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [changed, first] = lines.iter().partition::<Vec<_>, _>(|line| line["Before"].is_string()).into();
        let ([first], [changed]) = (first.as_slice(), changed.as_slice()) else { panic!("{lines:?}") };
        assert_eq!((first["Code"].as_str(), first["Bytes"].as_u64()), (Some("infected"), Some(68)));
        assert_eq!((changed["Before"].as_str(), changed["Files"].as_u64()), (Some("clean"), None), "a file counts once");
        // The format wants every metric and dimension it names as a member of the root.
        for line in &lines {
            for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number());
            }
        }
    }
}
