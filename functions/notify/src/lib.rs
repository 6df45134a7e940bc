//! Verdict events (SQS) → metrics in CloudWatch's embedded metric format. Webhook delivery comes here.
//!
//! What always holds: one line of metrics per event, on standard output, where Lambda's log agent reads it.
//! Source of the format: CloudWatch embedded metric format specification, version 0 of the schema.

use std::io::Write;
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use portcullis_core::batch::{self, Failed};
use portcullis_core::clock::now_ms;
use portcullis_core::config::{ConfigError, Env};
use portcullis_core::domain::event::VerdictEvent;
use serde_json::{Value, json};

/// Namespace of the metrics.
pub const NAMESPACE: &str = "Portcullis";

/// What the handler shares over its life.
pub struct Notify {
    out: Mutex<Box<dyn Write + Send>>,
}

impl Notify {
    /// From the environment. `out` takes the metric lines: standard output in Lambda.
    ///
    /// # Errors
    /// All problems of the configuration, together.
    pub fn new(env: &Env, out: Box<dyn Write + Send>) -> Result<Self, ConfigError> {
        env.reader("notify").finish(Self { out: Mutex::new(out) })
    }

    /// Handles a batch.
    pub async fn handle(self: Arc<Self>, event: SqsEvent) -> SqsBatchResponse {
        batch::run(self, event, |notify, message| Box::pin(async move { notify.record(&message) })).await
    }

    fn record(&self, message: &SqsMessage) -> Result<(), Failed> {
        let body = message.body.as_deref().unwrap_or_default();
        let event: VerdictEvent = serde_json::from_str(body).map_err(|e| Failed::Permanent(format!("the message is no verdict event: {e}")))?;
        let mut out = self.out.lock().map_err(|_| Failed::Retry("the metric output is broken".into()))?;
        writeln!(out, "{}", metrics(&event, now_ms()))
            .and_then(|()| out.flush())
            .map_err(|e| Failed::Retry(format!("metrics can not be written: {e}")))
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
        let notify = Arc::new(Notify::new(&Env::default(), Box::new(out.clone())).unwrap());
        let mut event = SqsEvent::default();
        let verdict = r#"{"data_id":"0123456789abcdef0123456789abcdef","code":1,"result":"Blocked","rule":"r","source":"api","size":68,"children":0,"queue_ms":3,"scan_ms":9}"#;
        event.records = vec![message("good", verdict), message("poison", "{}")];
        let response = notify.handle(event).await;
        assert_eq!(response.batch_item_failures.len(), 1);
        let line: Value = serde_json::from_slice(&out.0.lock().unwrap()).unwrap();
        assert_eq!((line["Code"].as_str(), line["Bytes"].as_u64()), (Some("infected"), Some(68)));
        // The format wants every metric and dimension it names as a member of the root.
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number());
        }
    }
}
