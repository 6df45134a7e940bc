//! What follows a verdict, whoever reached it: scan, a cancel, or sweep.
//!
//! What always holds: every part may happen twice (a message that is delivered again repeats it), and
//! none may be left out: a caller that gets an error calls again.

use crate::domain::event::VerdictEvent;
use crate::domain::submission::Record;
use crate::store::StoreError;
use crate::store::queue::Queue;

/// Tells of verdicts.
#[derive(Clone, Debug)]
pub struct Announcer {
    notify_queue: Queue,
}

impl Announcer {
    /// Over the queue that verdict events go to.
    pub fn new(notify_queue: Queue) -> Self {
        Self { notify_queue }
    }

    /// Tells that `record` ended; nothing while it has no outcome.
    pub async fn ended(&self, record: &Record) -> Result<(), StoreError> {
        let Some(event) = VerdictEvent::of(record) else { return Ok(()) };
        let body = serde_json::to_string(&event).map_err(|e| StoreError::Permanent { what: "encode a verdict event", source: e.into() })?;
        self.notify_queue.send(body).await
    }
}
