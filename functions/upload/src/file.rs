//! `POST /file`: raw bytes in, `data_id` out (contract §4).

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Source, Submission};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use serde_json::{Value, json};
use sync_wrapper::SyncWrapper;

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

/// A request's body on its way to S3: of exactly this length, or none.
pub(crate) fn exactly(body: Body, size: u64) -> ByteStream {
    SdkBody::from_body_1_x(ExactBody { body: Some(SyncWrapper::new(body)), left: size }).into()
}

impl Upload {
    /// Records the submission of a request and stores its body.
    pub(crate) async fn accept(&self, request: Request) -> Result<Submission, ApiError> {
        let (parts, body) = request.into_parts();
        if let Some(url) = download::asked(&parts.headers) {
            let no_body = length(&parts.headers, &body).is_err_and(|error| error.code() == ErrorCode::EmptyFile);
            return self.accept_download(&parts, no_body, url).await;
        }
        let mut planned = self.plan(&self.auth.caller(&parts, ErrorCode::BadKey).await?, &parts.headers, Source::Api).await?;
        let size = length(&parts.headers, &body)?;
        if size > planned.rule.max_file_size {
            return Err(ErrorCode::FileTooLarge.into());
        }
        planned.submission.size = size;
        self.record(&planned).await?;
        let submission = planned.submission;
        if let Err(error) = self.objects.put(&submission.bucket, &submission.key, size, exactly(body, size)).await {
            return Err(self.give_up(&submission.id, error).await);
        }
        tracing::info!(data_id = %submission.id, size, rule = submission.rule, "submitted");
        Ok(submission)
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

/// A request body that must have exactly the announced length.
///
/// A client that breaks off, or sends more, makes the stream fail, so that S3 stores nothing.
struct ExactBody {
    /// Axum's bodies are not `Sync`, the SDK's must be; only one task ever touches this one.
    body: Option<SyncWrapper<Body>>,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the body has not the announced length")]
struct WrongLength;

impl HttpBody for ExactBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        match std::task::ready!(Pin::new(body.get_mut()).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => self.left = left,
                    None => return Poll::Ready(Some(Err(WrongLength.into()))),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => {
                self.body = None;
                if self.left == 0 { Poll::Ready(None) } else { Poll::Ready(Some(Err(WrongLength.into()))) }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn read(bytes: &'static [u8], announced: u64) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        ExactBody { body: Some(SyncWrapper::new(Body::from(bytes))), left: announced }.collect().await.map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn only_the_announced_length_gets_through() {
        assert_eq!(read(b"abc", 3).await.unwrap(), "abc");
        assert!(read(b"abc", 4).await.is_err());
        assert!(read(b"abc", 2).await.is_err());
    }
}
