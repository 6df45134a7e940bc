//! Event sources: what calls functions without a request. Queues (as Lambda's event source mapping does:
//! batches, partial failures, redrive by the queue) and schedules.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use portcullis_core::clock::now_ms;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::HostError;
use super::functions::{Functions, Hosted};
use crate::aws::sqs::{Message, Queues};
use crate::template::{EventSource, Schedule, Topology};

/// Batches of the scan queue handled side by side. Analysis itself is bounded by the worker pool.
const SCANS: usize = 4;
/// Batches of the notify queue handled side by side: nearly all they do is wait for receivers, and Lambda has as many
/// instances as there are batches.
const NOTIFICATIONS: usize = 128;
/// Longest wait for messages, as Lambda polls.
const WAIT: Duration = Duration::from_secs(20);
/// SQS hands out at most this many messages at once.
const MOST: u32 = 10;

/// Starts all event sources.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    topology: &Topology,
    functions: &Arc<Functions>,
    queues: &Queues,
    stopping: &watch::Receiver<bool>,
) -> Result<(), HostError> {
    for source in &topology.event_sources {
        let timeout = topology.function(&source.function).map_or(30, |function| function.timeout_seconds);
        let pump = Pump {
            source: source.clone(),
            function: functions.get(&source.function)?.clone(),
            queues: queues.clone(),
            timeout: Duration::from_secs(u64::from(timeout)),
        };
        let parallel = if matches!(pump.function, Hosted::Notify(_)) { NOTIFICATIONS } else { SCANS };
        tasks.spawn(Arc::new(pump).run(parallel, stopping.clone()));
    }
    for schedule in &topology.schedules {
        tasks.spawn(on_schedule(schedule.clone(), functions.get(&schedule.function)?.clone(), stopping.clone()));
    }
    Ok(())
}

struct Pump {
    source: EventSource,
    function: Hosted,
    queues: Queues,
    timeout: Duration,
}

impl Pump {
    async fn run(self: Arc<Self>, parallel: usize, mut stopping: watch::Receiver<bool>) {
        let queue = &self.source.queue;
        let room = Arc::new(Semaphore::new(parallel));
        let mut running = JoinSet::new();
        while !*stopping.borrow() {
            // Messages stay in the queue while there is nobody to handle them.
            let permit = tokio::select! {
                permit = Arc::clone(&room).acquire_owned() => permit,
                _ = stopping.changed() => break,
            };
            while running.try_join_next().is_some() {}
            let received = tokio::select! {
                received = self.queues.receive(queue, self.source.batch_size.clamp(1, MOST), WAIT, None) => received,
                _ = stopping.changed() => break,
            };
            match received {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    let pump = Arc::clone(&self);
                    running.spawn(async move {
                        pump.deliver(messages).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::error!(queue, %error, "can not receive");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Calls the function; deletes what it handled, leaves what it named to the queue.
    async fn deliver(&self, messages: Vec<Message>) {
        let receipts: Vec<(String, String)> = messages.iter().map(|m| (m.message_id.clone(), m.receipt_handle.clone())).collect();
        let mut event = SqsEvent::default();
        event.records = messages.into_iter().map(|message| self.record(message)).collect();
        let failed: Vec<String> = match self.call(event).await {
            Ok(response) if self.source.report_failures => response.batch_item_failures.into_iter().map(|f| f.item_identifier).collect(),
            Ok(_) => Vec::new(),
            Err(problem) => {
                tracing::error!(function = self.source.function, problem, "the function failed");
                return;
            }
        };
        for (id, receipt) in receipts.into_iter().filter(|(id, _)| !failed.contains(id)) {
            if let Err(error) = self.queues.delete(&self.source.queue, &receipt).await {
                tracing::error!(message = id, %error, "can not delete a handled message");
            }
        }
    }

    /// One invocation: cut off at the function's timeout; a panic is a failure.
    async fn call(&self, event: SqsEvent) -> Result<SqsBatchResponse, String> {
        let ends_at = now_ms() + i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let invocation = match &self.function {
            Hosted::Scan(scan) => tokio::spawn(Arc::clone(scan).handle(event, ends_at)),
            Hosted::Notify(notify) => tokio::spawn(Arc::clone(notify).handle(event)),
            Hosted::Http(_) | Hosted::Sweep(_) => return Err("does not take messages".to_owned()),
        };
        let abort = invocation.abort_handle();
        match tokio::time::timeout(self.timeout, invocation).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                abort.abort();
                Err("timed out".to_owned())
            }
        }
    }

    fn record(&self, message: Message) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.message_id);
        record.receipt_handle = Some(message.receipt_handle);
        record.body = Some(message.body);
        record.md5_of_body = Some(message.md5_of_body);
        record.attributes = message.attributes.into_iter().collect();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(self.queues.arn(&self.source.queue));
        record
    }
}

async fn on_schedule(schedule: Schedule, function: Hosted, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(schedule.rate_seconds.max(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.changed() => return,
        }
        let Hosted::Sweep(sweep) = &function else { return };
        if let Err(error) = sweep.run().await {
            tracing::error!(schedule = schedule.name, error = %portcullis_core::error::chain(&error), "the scheduled function failed");
        }
    }
}
