//! The one runner of queue functions: each message on its own, panics too, and a partial batch response.
//!
//! What always holds: a message is either handled or named in the response, whatever its neighbours do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tokio::task::JoinSet;

/// How handling a message ended when it did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It may work later: the message stays in the queue.
    #[error("will be tried again: {0}")]
    Retry(String),
    /// It will never work. The message goes the queue's way to the dead-letter queue, where a person finds it.
    #[error("can not be handled: {0}")]
    Permanent(String),
}

impl From<crate::store::StoreError> for Failed {
    fn from(error: crate::store::StoreError) -> Self {
        let text = crate::error::chain(&error);
        if error.is_retryable() { Self::Retry(text) } else { Self::Permanent(text) }
    }
}

/// A handler of one message.
pub type Handling = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

/// Runs `handle` on every message of the batch, side by side.
pub async fn run<S, F>(state: Arc<S>, event: SqsEvent, handle: F) -> SqsBatchResponse
where
    S: Send + Sync + 'static,
    F: Fn(Arc<S>, SqsMessage) -> Handling,
{
    let mut tasks = JoinSet::new();
    let mut ids = std::collections::HashMap::new();
    let mut failures = Vec::new();
    for message in event.records {
        let id = message.message_id.clone().unwrap_or_default();
        let task = tasks.spawn(handle(Arc::clone(&state), message));
        ids.insert(task.id(), id);
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        let (task, problem) = match ended {
            Ok((task, Ok(()))) => (task, None),
            Ok((task, Err(failed))) => (task, Some(failed)),
            Err(error) => (error.id(), Some(Failed::Retry(format!("the handler panicked: {error}")))),
        };
        let Some(problem) = problem else { continue };
        let id = ids.get(&task).cloned().unwrap_or_default();
        tracing::warn!(message_id = id, %problem, "message not handled");
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failures.push(failure);
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.into());
        message
    }

    #[tokio::test]
    async fn a_panicking_message_costs_its_neighbours_nothing() {
        let mut event = SqsEvent::default();
        event.records = ["good", "panics", "later", "never"].map(message).to_vec();
        let response = run(Arc::new(()), event, |_, message| {
            Box::pin(async move {
                match message.message_id.as_deref() {
                    Some("panics") => panic!("on purpose"),
                    Some("later") => Err(Failed::Retry("busy".into())),
                    Some("never") => Err(Failed::Permanent("broken".into())),
                    _ => Ok(()),
                }
            })
        })
        .await;
        let mut failed: Vec<_> = response.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
        failed.sort();
        assert_eq!(failed, ["later", "never", "panics"]);
    }
}
