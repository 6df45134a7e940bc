//! SQS: standard queues with visibility timeouts, delays, long polling and redrive, in SQLite.
//!
//! What always holds: a message is deleted by its own receipt, by purge, by retention or with its queue, and never
//! otherwise; a message that is in flight is not handed out again before its visibility timeout ends. A receiver
//! that waits is woken by the send itself and by the end of another receiver's timeout, not by a poll.

mod error;
mod message;
mod settings;
pub(crate) mod store;
pub(crate) mod wire;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use self::error::SqsError;
pub use self::message::{Depth, Message, MessageAttribute, MessageAttributes, Sent};
pub use self::settings::Attributes;
use self::store::NewMessage;
use super::ACCOUNT_ID;
use super::db::{Db, now_ms};
use super::server::closed;

/// The queues, for the process that hosts them: what the HTTP protocol does, without the HTTP.
#[derive(Debug, Clone)]
pub struct Queues {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Arc<Db>,
    endpoint: String,
    region: String,
    waiting: Mutex<HashMap<String, Arc<Notify>>>,
    closing: watch::Receiver<bool>,
}

impl Queues {
    pub(super) fn new(db: Arc<Db>, endpoint: String, region: String, closing: watch::Receiver<bool>) -> Self {
        Self { inner: Arc::new(Inner { db, endpoint, region, waiting: Mutex::default(), closing }) }
    }

    /// `{endpoint}/000000000000/{queue}`.
    pub fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT_ID}/{queue}", self.inner.endpoint)
    }

    /// `arn:aws:sqs:{region}:000000000000:{queue}`.
    pub fn arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT_ID}:{queue}", self.inner.region)
    }

    /// Creates the queue and answers its URL; the same call again is a no-op, other settings are an error.
    pub async fn create(&self, queue: &str, attributes: Attributes) -> Result<String, SqsError> {
        settings::validate_name(queue)?;
        settings::validate(&attributes)?;
        let name = queue.to_owned();
        self.inner.db.write(move |tx| store::create(tx, &name, &attributes)).await?;
        Ok(self.url(queue))
    }

    /// Creates the queue, or gives the existing one these attributes. Messages stay.
    pub async fn ensure(&self, queue: &str, attributes: Attributes) -> Result<String, SqsError> {
        settings::validate_name(queue)?;
        settings::validate(&attributes)?;
        let name = queue.to_owned();
        let ensured = move |tx: &rusqlite::Transaction<'_>| match store::attributes(tx, &name) {
            Err(SqsError::QueueDoesNotExist) => store::create(tx, &name, &attributes),
            Err(error) => Err(error),
            Ok(existing) if attributes.iter().all(|(key, value)| existing.get(key) == Some(value)) => Ok(()),
            Ok(_) => store::set_attributes(tx, &name, attributes),
        };
        self.inner.db.write(ensured).await?;
        Ok(self.url(queue))
    }

    /// Names of all queues with the prefix, sorted.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, SqsError> {
        self.list_after(prefix, "", usize::MAX).await
    }

    async fn list_after(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, SqsError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.inner.db.read(move |conn| store::list(conn, &prefix, &after, limit)).await
    }

    /// Every attribute of the queue: settings with their defaults, counts, times and ARN.
    pub async fn attributes(&self, queue: &str) -> Result<Attributes, SqsError> {
        let name = queue.to_owned();
        let (given, depth, (created, modified)) = self
            .inner
            .db
            .read::<_, SqsError>(move |conn| Ok((store::attributes(conn, &name)?, store::depth(conn, &name)?, store::times(conn, &name)?)))
            .await?;
        let mut all = settings::described(&given);
        let computed = [
            ("QueueArn", self.arn(queue)),
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("CreatedTimestamp", (created / 1000).to_string()),
            ("LastModifiedTimestamp", (modified / 1000).to_string()),
        ];
        all.extend(computed.map(|(name, value)| (name.to_owned(), value)));
        Ok(all)
    }

    /// Changes settings; an empty value removes one.
    pub async fn set_attributes(&self, queue: &str, changes: Attributes) -> Result<(), SqsError> {
        let kept = changes.iter().filter(|(_, value)| !value.is_empty());
        settings::validate(&kept.map(|(key, value)| (key.clone(), value.clone())).collect())?;
        let name = queue.to_owned();
        self.inner.db.write(move |tx| store::set_attributes(tx, &name, changes)).await?;
        self.wake(queue);
        Ok(())
    }

    /// Sends a body without attributes and with the queue's own delay.
    pub async fn send(&self, queue: &str, body: impl Into<String>) -> Result<Sent, SqsError> {
        let message = NewMessage { body: body.into(), attributes: MessageAttributes::new(), delay_seconds: None };
        self.send_message(queue, message).await
    }

    async fn send_message(&self, queue: &str, message: NewMessage) -> Result<Sent, SqsError> {
        let name = queue.to_owned();
        let sent = self.inner.db.write(move |tx| store::send(tx, &name, &message)).await?;
        self.wake(queue);
        Ok(sent)
    }

    /// Sends each message by itself, in one transaction; a refused one does not stop the others.
    async fn send_each(&self, queue: &str, messages: Vec<NewMessage>) -> Result<Vec<Result<Sent, SqsError>>, SqsError> {
        let name = queue.to_owned();
        let sent = self
            .inner
            .db
            .write::<_, SqsError>(move |tx| {
                store::attributes(tx, &name)?;
                Ok(messages.iter().map(|message| store::send(tx, &name, message)).collect())
            })
            .await?;
        self.wake(queue);
        Ok(sent)
    }

    /// Receives up to `max` (1 to 10) messages. Waits up to `wait` for the first one; answers an empty list when
    /// the time is over or the emulator shuts down. `visibility` replaces the queue's own timeout.
    pub async fn receive(&self, queue: &str, max: u32, wait: Duration, visibility: Option<Duration>) -> Result<Vec<Message>, SqsError> {
        let deadline = Instant::now() + wait;
        let visibility = visibility.map(|v| i64::try_from(v.as_secs()).unwrap_or(i64::MAX));
        let bell = self.bell(queue);
        let mut closing = self.inner.closing.clone();
        loop {
            // Listen before looking: a send in between is not missed.
            let mut rung = pin!(bell.notified());
            rung.as_mut().enable();
            let name = queue.to_owned();
            let found = self.inner.db.write(move |tx| store::receive(tx, &name, max.clamp(1, 10), visibility)).await?;
            for target in &found.redriven {
                self.wake(target);
            }
            let now = Instant::now();
            if !found.messages.is_empty() || now >= deadline || *closing.borrow() {
                return Ok(found.messages);
            }
            let until_visible = found.next_visible_ms.and_then(|at| u64::try_from((at - now_ms()).max(1)).ok());
            let next = until_visible.map_or(deadline, |ms| deadline.min(now + Duration::from_millis(ms)));
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(next) => {}
                () = closed(&mut closing) => return Ok(Vec::new()),
            }
        }
    }

    /// Deletes a received message. A handle that was superseded by a later receive deletes nothing and is no error.
    pub async fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), SqsError> {
        let (queue, handle) = (queue.to_owned(), receipt_handle.to_owned());
        self.inner.db.write(move |tx| store::delete(tx, &queue, &handle)).await
    }

    /// Moves the end of invisibility to `visibility` from now (at most 12 h); zero hands the message back at once.
    pub async fn change_visibility(&self, queue: &str, receipt_handle: &str, visibility: Duration) -> Result<(), SqsError> {
        let seconds = i64::try_from(visibility.as_secs()).unwrap_or(i64::MAX);
        self.change_visibility_seconds(queue, receipt_handle, seconds).await
    }

    async fn change_visibility_seconds(&self, queue: &str, handle: &str, seconds: i64) -> Result<(), SqsError> {
        let (name, handle) = (queue.to_owned(), handle.to_owned());
        self.inner.db.write(move |tx| store::change_visibility(tx, &name, &handle, seconds)).await?;
        self.wake(queue);
        Ok(())
    }

    /// Makes every message in flight visible at once, and answers how many: for a start of the host, when the
    /// receivers of before are dead for certain and nobody needs to wait for the visibility timeout.
    pub async fn return_in_flight(&self, queue: &str) -> Result<usize, SqsError> {
        let name = queue.to_owned();
        let returned = self.inner.db.write(move |tx| store::return_in_flight(tx, &name)).await?;
        self.wake(queue);
        Ok(returned)
    }

    /// Counts of messages by state.
    pub async fn depth(&self, queue: &str) -> Result<Depth, SqsError> {
        let queue = queue.to_owned();
        self.inner.db.read(move |conn| store::depth(conn, &queue)).await
    }

    /// The queue's `ReceiveMessageWaitTimeSeconds`.
    async fn wait_seconds(&self, queue: &str) -> Result<u64, SqsError> {
        let queue = queue.to_owned();
        let given = self.inner.db.read(move |conn| store::attributes(conn, &queue)).await?;
        Ok(u64::try_from(settings::Settings::of(&given).wait_seconds).unwrap_or(0))
    }

    /// Removes all messages of the queue.
    pub async fn purge(&self, queue: &str) -> Result<(), SqsError> {
        let queue = queue.to_owned();
        self.inner.db.write(move |tx| store::purge(tx, &queue)).await
    }

    /// Removes the queue with its messages.
    pub async fn delete_queue(&self, queue: &str) -> Result<(), SqsError> {
        let name = queue.to_owned();
        self.inner.db.write(move |tx| store::delete_queue(tx, &name)).await?;
        self.wake(queue);
        Ok(())
    }

    /// Wakes receivers that wait on the queue; for whoever sent through [`store::send`].
    pub(super) fn wake(&self, queue: &str) {
        let waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = waiting.get(queue) {
            bell.notify_waiters();
        }
    }

    fn bell(&self, queue: &str) -> Arc<Notify> {
        let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(waiting.entry(queue.to_owned()).or_default())
    }
}
