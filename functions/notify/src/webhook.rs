//! Delivery of webhooks: one message is one attempt (contract §4.5).
//!
//! | the attempt ended with | what follows |
//! |---|---|
//! | 2xx | delivered |
//! | anything else, no answer within 10 s, no connection | the next attempt, after the wait of the settings; after the last one: failed |
//! | an address that is not allowed | refused at once, never tried again |
//!
//! What always holds: how an attempt ended is written before the next one is asked for, and the next one is asked for
//! before the message is gone: a schedule is neither lost nor begun twice.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Owner, Record};
use portcullis_core::retention::Retention;
use portcullis_core::store::StoreError;
use portcullis_core::store::deliveries::{Begun, Delivery, Ended, Facts, Progress};
use portcullis_core::webhook::{Subject, Webhook, WebhookRequest, WebhookSettings};
use portcullis_core::wire::batch::{DEFAULT_PAGE, of_batch};
use portcullis_core::wire::{outdated, result};
use portcullis_outbound::Error;

use crate::Notify;
use crate::sign;

/// Longest delay of a message, in seconds (SQS); longer waits are made of several.
const LONGEST_DELAY: i64 = 900;
/// A wait below this is waited here: SQS knows whole seconds only, in ms.
const SHORT_WAIT_MS: i64 = 1500;
/// Children in the body at most, as in `GET /file/{data_id}` (contract §9 U18).
const MAX_CHILDREN: usize = 500;
/// A verdict may be newer than what a replica knows: so often it is looked for, each time this much later.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is told, and to whom.
pub(crate) struct Content {
    pub(crate) url: String,
    pub(crate) owner: Option<Owner>,
    /// The JSON that is posted.
    pub(crate) body: Bytes,
}

/// Whether a rescan that began at `since` (ms), or a later one, replaced the verdict.
fn is_revised(original: &Record, since: i64) -> bool {
    original.outcome.as_ref().and_then(|outcome| outcome.revision.as_ref()).is_some_and(|revision| revision.at >= since)
}

impl Notify {
    /// Asks for the first attempt.
    pub(crate) async fn ask(&self, webhook: Webhook) -> Result<(), StoreError> {
        let wait = (webhook.due_at - now_ms()).max(0);
        // Whole seconds by the queue, the rest when the message comes.
        let delay = if wait < SHORT_WAIT_MS { 0 } else { (wait / 1000).min(LONGEST_DELAY) };
        self.queue.send_after(WebhookRequest::encode(webhook)?, u32::try_from(delay).unwrap_or_default()).await
    }

    /// Makes the attempt a message asks for, or passes it on if its time has not come.
    pub(crate) async fn attempt(&self, webhook: Webhook) -> Result<(), Failed> {
        let wait = webhook.due_at - now_ms();
        if wait >= SHORT_WAIT_MS {
            return Ok(self.ask(webhook).await?);
        }
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or_default())).await;
        let Some(content) = self.content(&webhook).await? else {
            tracing::warn!(id = %webhook.id, "nothing to tell: gone, or nobody asked for it");
            return Ok(());
        };
        self.deliver(webhook, content).await
    }

    /// What `webhook` tells; `None` when it is gone, or nobody asked to be told.
    async fn content(&self, webhook: &Webhook) -> Result<Option<Content>, Failed> {
        match webhook.subject {
            Subject::File => self.file(&webhook.id).await,
            Subject::Batch => self.batch(&webhook.id).await,
        }
    }

    /// A file's result, exactly as `GET /file/{data_id}` answers it.
    async fn file(&self, id: &DataId) -> Result<Option<Content>, Failed> {
        for _ in 0..LOOKS {
            let Some((record, inline)) = self.scans.get(id).await? else { return Ok(None) };
            let Some(url) = record.submission.wishes.callback_url.clone() else { return Ok(None) };
            // A rescan tells of its original, once that has the verdict in question, or a later one.
            let (record, inline) = match &record.submission.wishes.rescan_of {
                None => (record, inline),
                Some(of) => match self.scans.get(&of.data_id).await? {
                    Some((original, inline)) if is_revised(&original, record.submission.created_at) => (original, inline),
                    Some(_) => {
                        tokio::time::sleep(LOOK_AGAIN).await;
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            if record.outcome.is_none() {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            let page = self.children.page(&record, &inline, 0, MAX_CHILDREN).await?;
            let answer = result::of_record(&record, result::listing(&record, page.children, 0, MAX_CHILDREN));
            let answer = answer.outdated(outdated::of_record(&self.settings, &record).await);
            return Ok(Some(Content { url, owner: record.submission.owner, body: encode(&answer)? }));
        }
        Err(Failed::Retry("there is no verdict to tell yet".to_owned()))
    }

    /// A batch, exactly as `GET /file/batch/{batch_id}` answers it.
    async fn batch(&self, id: &DataId) -> Result<Option<Content>, Failed> {
        let Some(state) = self.batches.state(id).await? else { return Ok(None) };
        let Some(url) = state.callback_url.clone() else { return Ok(None) };
        let page = self.batches.page(&state, 0, DEFAULT_PAGE).await?;
        let body = encode(&of_batch(&state, page, 0, DEFAULT_PAGE))?;
        Ok(Some(Content { url, owner: state.batch.owner, body }))
    }

    /// Makes the attempt with this content, unless it was made, is not its turn, or the delivery is over.
    pub(crate) async fn deliver(&self, webhook: Webhook, content: Content) -> Result<(), Failed> {
        let Content { url, owner, body } = content;
        let active = self.secrets.active(&self.secret_id).await?;
        let keys = sign::keys(&active).map_err(|problem| Failed::Retry(problem.to_owned()))?;
        let settings = WebhookSettings::in_force(&self.settings).await?;
        if webhook.round == 1 && webhook.attempt == 1 {
            let facts = Facts { subject: webhook.subject, url: url.clone(), owner };
            let life = Retention::in_force(&self.settings).await?.life_ms();
            self.deliveries.open(&webhook.id, &facts, now_ms() + life).await?;
        }
        match self.deliveries.begin(&webhook).await? {
            Begun::Now(_) => {}
            Begun::Over => return Ok(()),
            Begun::Elsewhere => return Err(Failed::Retry("the attempt is being made by another worker".to_owned())),
            Begun::Made(delivery) => return self.follow_up(&webhook, &delivery).await,
        }
        let headers = sign::headers(&keys, webhook.id.as_str(), now_ms() / 1000, &body);
        let outcome = self.client.post(&url, body, headers).await;
        let ended = judge(&outcome, settings.wait_after(webhook.attempt), now_ms());
        match &outcome {
            Ok(status) => tracing::info!(id = %webhook.id, attempt = webhook.attempt, status, "webhook delivered"),
            Err(error) => tracing::warn!(
                id = %webhook.id, attempt = webhook.attempt, state = ended.progress.word(),
                error = %portcullis_core::error::chain(error), "webhook not delivered"
            ),
        }
        match self.deliveries.end(&webhook, ended).await {
            Ok(()) => {}
            // Somebody asked for a new round meanwhile.
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match ended.next_at {
            Some(at) => Ok(self.ask(webhook.next(at)).await?),
            None => Ok(()),
        }
    }

    /// The attempt was made by a worker that may have died before it asked for the next: it is asked for again. The
    /// second of two such messages finds its attempt made.
    async fn follow_up(&self, webhook: &Webhook, delivery: &Delivery) -> Result<(), Failed> {
        Ok(self.ask(webhook.next(delivery.next_at.unwrap_or_else(now_ms))).await?)
    }
}

fn encode(answer: &impl serde::Serialize) -> Result<Bytes, Failed> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|e| Failed::Permanent(format!("the result can not be encoded: {e}")))
}

/// How an attempt ended; `wait`: ms until the next one, if there is to be one.
fn judge(outcome: &Result<u16, Error>, wait: Option<i64>, now: i64) -> Ended {
    match (outcome, wait) {
        (Ok(status), _) => Ended { status_code: *status, progress: Progress::Delivered, next_at: None },
        (Err(Error::Refused(_)), _) => Ended { status_code: 0, progress: Progress::Refused, next_at: None },
        (Err(error), Some(wait)) => {
            Ended { status_code: error.status().unwrap_or_default(), progress: Progress::Pending, next_at: Some(now.saturating_add(wait)) }
        }
        (Err(error), None) => Ended { status_code: error.status().unwrap_or_default(), progress: Progress::Failed, next_at: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_outbound::Refused;

    #[test]
    fn everything_but_2xx_is_tried_again_and_a_refused_address_is_not() {
        let of = |outcome, wait| {
            let ended = judge(&outcome, wait, 1000);
            (ended.status_code, ended.progress, ended.next_at)
        };
        assert_eq!(of(Ok(204), Some(50)), (204, Progress::Delivered, None));
        for (error, status) in [(Error::Status(500), 500), (Error::Status(404), 404), (Error::Redirect(302), 302), (Error::Timeout, 0)] {
            assert_eq!(of(Err(error), Some(50)), (status, Progress::Pending, Some(1050)));
        }
        assert_eq!(of(Err(Error::Status(503)), None), (503, Progress::Failed, None));
        assert_eq!(of(Err(Error::Refused(Refused::Address)), Some(50)), (0, Progress::Refused, None));
    }
}
