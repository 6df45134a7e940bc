//! `POST /file`: raw bytes in, `data_id` out (contract §4).

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, request};
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Source, Submission};
use portcullis_core::http::body::{AnyLength, CutOff};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use portcullis_core::store::arrival::{Arrival, ArrivalError, Length};
use serde_json::{Value, json};

use crate::submission::Planned;
use crate::{Upload, download, form};

/// Accepts one file. Answers as soon as the object is stored; the scan starts by the object's event.
pub(crate) async fn submit(State(upload): State<Upload>, request: Request) -> Result<Json<Value>, ApiError> {
    if form::is_form(request.headers()) && download::asked(request.headers()).is_none() {
        return Ok(upload.accept_form(request, false).await?.answer());
    }
    let submission = upload.accept(request).await?;
    Ok(Json(json!({ "data_id": submission.id })))
}

/// The length of a request's body.
///
/// # Errors
/// 411 when it can not be told, 422 when there is none.
pub(crate) fn length(headers: &HeaderMap, body: &Body) -> Result<u64, ApiError> {
    // Lambda hands over whole bodies, so their length is known even where a gateway dropped the header.
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
    let known = || body.size_hint().exact().or_else(|| body.is_end_stream().then_some(0));
    match declared.or_else(known) {
        None => Err(ErrorCode::MissingLength.into()),
        Some(0) => Err(ErrorCode::EmptyFile.into()),
        Some(size) => Ok(size),
    }
}

/// How long the body of a file may be.
fn permitted(parts: &request::Parts, body: &Body, max_file_size: u64) -> Result<Length, ApiError> {
    match length(&parts.headers, body) {
        Ok(size) if size > max_file_size => Err(ErrorCode::FileTooLarge.into()),
        Ok(size) => Ok(Length::Exactly(size)),
        Err(error) if error.code() == ErrorCode::MissingLength && parts.extensions.get::<AnyLength>().is_some() => Ok(Length::AtMost(max_file_size)),
        Err(error) => Err(error),
    }
}

/// What a client is told whose body did not arrive.
fn not_arrived(error: ArrivalError) -> ApiError {
    match error {
        ArrivalError::Body(source) if is_cut_off(source.as_ref()) => ErrorCode::TooBusy.into(),
        ArrivalError::Body(source) => ApiError::caused(ErrorCode::BodyUnreadable, source),
        ArrivalError::Length => ErrorCode::BodyUnreadable.into(),
        ArrivalError::TooLarge => ErrorCode::FileTooLarge.into(),
        ArrivalError::Empty => ErrorCode::EmptyFile.into(),
        ArrivalError::Store(error) => ApiError::caused(ErrorCode::RequestFailed, error),
    }
}

fn is_cut_off(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<CutOff>() || error.source().is_some_and(is_cut_off)
}

/// Runs to its end even when the client goes away meanwhile: what is begun in S3 is finished or taken back.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T, ApiError>> + Send + 'static) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| ApiError::caused(ErrorCode::Internal, error))?
}

impl Upload {
    /// Stores the body of a request, then records its submission, then makes the body the object that the record names.
    pub(crate) async fn accept(&self, request: Request) -> Result<Submission, ApiError> {
        let (parts, body) = request.into_parts();
        if let Some(url) = download::asked(&parts.headers) {
            let no_body = length(&parts.headers, &body).is_err_and(|error| error.code() == ErrorCode::EmptyFile);
            return self.accept_download(&parts, no_body, url).await;
        }
        let planned = self.plan(&self.auth.caller(&parts, ErrorCode::BadKey).await?, &parts.headers, Source::Api).await?;
        let length = permitted(&parts, &body, planned.rule.max_file_size)?;
        let upload = self.clone();
        to_the_end(async move {
            let arrival = upload.receive(&planned.submission.bucket, &planned.submission.key, body, length).await?;
            upload.enter(planned, arrival).await
        })
        .await
    }

    async fn receive(&self, bucket: &str, key: &str, body: Body, length: Length) -> Result<Arrival, ApiError> {
        self.objects.receive(bucket, key, body.into_data_stream(), length).await.map_err(not_arrived)
    }

    /// Records the submission of a body that is there, and makes that the object.
    async fn enter(&self, mut planned: Planned, arrival: Arrival) -> Result<Submission, ApiError> {
        let submission = &mut planned.submission;
        // Its time begins now, however long the body was on its way.
        let now = now_ms();
        submission.deadline_at += now - submission.created_at;
        (submission.created_at, submission.size) = (now, arrival.size());
        if let Err(error) = self.record(&planned).await {
            arrival.discard().await;
            return Err(error);
        }
        let submission = planned.submission;
        if let Err(error) = arrival.publish().await {
            return Err(self.give_up(&submission.id, error).await);
        }
        tracing::info!(data_id = %submission.id, size = submission.size, rule = submission.rule, "submitted");
        Ok(submission)
    }

    /// Stores a body of exactly `size` bytes under a key of its own.
    pub(crate) async fn store(&self, bucket: String, key: String, body: Body, size: u64) -> Result<(), ApiError> {
        let upload = self.clone();
        to_the_end(async move {
            let arrival = upload.receive(&bucket, &key, body, Length::Exactly(size)).await?;
            arrival.publish().await.map_err(|error| ApiError::caused(ErrorCode::RequestFailed, error))
        })
        .await
    }

    /// Takes back the record of an upload that failed: the client learns it now, and nobody shall see it as lost later.
    pub(crate) async fn give_up(&self, id: &DataId, error: StoreError) -> ApiError {
        if let Err(withdrawal) = self.withdraw(id).await {
            // Sweep ends it.
            tracing::warn!(data_id = %id, error = %withdrawal, "record of a failed upload stays");
        }
        ApiError::caused(ErrorCode::RequestFailed, error)
    }

    /// Removes the record, and gives back its place in a batch: that may have waited for this file only.
    async fn withdraw(&self, id: &DataId) -> Result<(), StoreError> {
        let Some((record, _)) = self.scans.get(id).await? else { return Ok(()) };
        let Some(seat) = record.submission.wishes.batch else { return self.scans.withdraw(id).await };
        self.batches.withdraw(&seat, id).await?;
        self.announcer.settle(&seat.id, id.as_str()).await
    }
}
