//! `GET /file/webhook/{data_id or batch_id}` (contract F11), and `POST …/resend` (ours).

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use portcullis_core::auth::FileCaller;
use portcullis_core::clock::iso;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::Owner;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use portcullis_core::store::deliveries::{Delivery, Progress};
use portcullis_core::webhook::{Webhook, WebhookRequest};
use serde_json::{Value, json};

use crate::Results;
use crate::asked::asked;

/// Where the delivery stands.
pub(crate) async fn state(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let id = DataId::parse(&asked(path)?).ok_or(ErrorCode::NotFound)?;
    let asked = results.asked_for(&id, |owner| caller.may_read(owner)).await?;
    Ok(Json(shown(&id, &asked)))
}

/// Sends the webhook again, as a new round of attempts, and answers where it stands.
pub(crate) async fn resend(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let id = DataId::parse(&asked(path)?).ok_or(ErrorCode::NotFound)?;
    results.asked_for(&id, |owner| caller.may_change(owner)).await?;
    let delivery = match results.deliveries.renew(&id).await {
        Ok(delivery) => delivery,
        Err(StoreError::Conflict { .. }) => return Err(ApiError::with_text(ErrorCode::Conflict, "The webhook is still to be delivered.")),
        Err(error) => return Err(error.into()),
    };
    let first = Webhook { round: delivery.round, ..Webhook::first(id.clone(), delivery.facts.subject, delivery.next_at.unwrap_or_default()) };
    results.notify_queue.send(WebhookRequest::encode(first)?).await?;
    tracing::info!(%id, round = delivery.round, "a webhook is sent again");
    Ok(Json(shown(&id, &Asked { url: delivery.facts.url.clone(), delivery: Some(delivery) })))
}

/// A callback that was asked for.
struct Asked {
    url: String,
    /// `None` before there was anything to deliver.
    delivery: Option<Delivery>,
}

impl Results {
    /// The callback of a file or batch, if `may` says so of its owner.
    async fn asked_for(&self, id: &DataId, may: impl Fn(Option<&Owner>) -> Result<(), ApiError> + Send) -> Result<Asked, ApiError> {
        if let Some((record, _)) = self.scans.get(id).await? {
            may(record.submission.owner.as_ref())?;
            // A child has no callback of its own.
            let own = record.submission.id == *id;
            let url = record.submission.wishes.callback_url.filter(|_| own).ok_or(ErrorCode::NotFound)?;
            return Ok(Asked { url, delivery: self.deliveries.get(id).await? });
        }
        let state = self.batches.state(id).await?.ok_or(ErrorCode::NotFound)?;
        may(state.batch.owner.as_ref())?;
        let url = state.callback_url.ok_or(ErrorCode::NotFound)?;
        Ok(Asked { url, delivery: self.deliveries.get(id).await? })
    }
}

/// The first four members are Core's; an empty time and status 0 stand for "not yet" (contract §9 U28).
fn shown(id: &DataId, asked: &Asked) -> Value {
    let delivery = asked.delivery.as_ref();
    json!({
        "data_id": id,
        "request_time": delivery.and_then(|d| d.requested_at).map(iso).unwrap_or_default(),
        "status_code": delivery.map_or(0, |d| d.status_code),
        "url": asked.url,
        "attempts": delivery.map_or(0, |d| d.attempts),
        "state": delivery.map_or(Progress::Pending, |d| d.progress).word(),
        "next_attempt": delivery.and_then(|d| d.next_at).map(iso).unwrap_or_default(),
    })
}
