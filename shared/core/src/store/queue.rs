//! One SQS queue.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;

use super::StoreError;
use crate::domain::event::{Task, TaskRequest};

/// A queue by URL.
#[derive(Clone, Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// How much is in a queue. Approximate, as SQS is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages waiting.
    pub waiting: u64,
    /// Messages being worked on.
    pub in_flight: u64,
}

impl Depth {
    /// Everything that is not done.
    pub const fn total(&self) -> u64 {
        self.waiting + self.in_flight
    }
}

impl Queue {
    /// By URL.
    pub fn new(client: aws_sdk_sqs::Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends one message.
    pub async fn send(&self, body: impl Into<String>) -> Result<(), StoreError> {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await.map_err(|e| StoreError::from_sdk("send a message", e))?;
        Ok(())
    }

    /// Asks the scan function, whose queue this is, for a task.
    pub async fn ask(&self, task: Task) -> Result<(), StoreError> {
        let body = serde_json::to_string(&TaskRequest { task }).map_err(|e| StoreError::Permanent { what: "encode a task", source: e.into() })?;
        self.send(body).await
    }

    /// Sends one message that is handed out after `seconds` (0–900) at the earliest.
    pub async fn send_after(&self, body: impl Into<String>, seconds: u32) -> Result<(), StoreError> {
        let delay = i32::try_from(seconds.min(900)).unwrap_or_default();
        let request = self.client.send_message().queue_url(&self.url).message_body(body).delay_seconds(delay);
        request.send().await.map_err(|e| StoreError::from_sdk("send a message", e))?;
        Ok(())
    }

    /// Makes a message that is being worked on visible again after `delay` (0–12 h, whole seconds, rounded up).
    pub async fn retry_after(&self, receipt_handle: &str, delay: Duration) -> Result<(), StoreError> {
        let seconds = i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).min(43_200);
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("delay a message", e))?;
        Ok(())
    }

    /// How much is in the queue.
    pub async fn depth(&self) -> Result<Depth, StoreError> {
        let output = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read the queue's depth", e))?;
        let read = |name| output.attributes.as_ref().and_then(|a| a.get(&name)).and_then(|v| v.parse().ok()).unwrap_or_default();
        Ok(Depth {
            waiting: read(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: read(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        })
    }
}

/// How long a depth is believed.
const BELIEVED: Duration = Duration::from_secs(2);

/// A queue's depth, asked for rarely: a request that looks at it costs nothing.
#[derive(Debug)]
pub struct Gauge {
    queue: Queue,
    seen: Mutex<Option<(Instant, Depth)>>,
}

impl Gauge {
    /// Of a queue.
    pub const fn new(queue: Queue) -> Self {
        Self { queue, seen: Mutex::new(None) }
    }

    /// The depth, at most two seconds old.
    pub async fn depth(&self) -> Result<Depth, StoreError> {
        let seen = self.seen.lock().ok().and_then(|seen| *seen).filter(|(at, _)| at.elapsed() < BELIEVED);
        if let Some((_, depth)) = seen {
            return Ok(depth);
        }
        let depth = self.queue.depth().await?;
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some((Instant::now(), depth));
        }
        Ok(depth)
    }
}
