//! `POST /file` with `multipart/form-data` (contract §4.4): every part is a file of one batch, which is closed with the request.
//!
//! A part without a file name is a file too, named after its field: a file must not get lost because a client did not
//! name it. Only empty parts without a name (empty inputs of a web form) are passed over.
//!
//! What always holds: the envelope is read to its end before the first file is accepted, so a broken one leaves nothing
//! behind; and no part, no header and no count of them makes the function hold more than some MiB in memory.

mod envelope;
mod spool;

use axum::Json;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures::{StreamExt, TryStreamExt};
use portcullis_core::domain::batch::Batch;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::Source;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::StoreError;
use serde_json::{Value, json};

use crate::Upload;
use crate::submission::Planned;
use envelope::Part;

/// Files that are stored side by side.
const PARALLEL: usize = 8;

/// Whether a request says that its body is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data"))
}

/// A form whose files are stored.
pub(crate) struct Accepted {
    batch: DataId,
    /// Its file, when there is only one, or only one with a file name.
    pub(crate) only: Option<DataId>,
}

impl Accepted {
    /// Names the batch, and the file when there is only one (contract §4.4).
    pub(crate) fn answer(self) -> Json<Value> {
        Json(match self.only {
            Some(only) => json!({ "batch_id": self.batch, "data_id": only }),
            None => json!({ "batch_id": self.batch }),
        })
    }
}

impl Upload {
    /// Accepts all files of a form; with `one`, only a form of one file.
    pub(crate) async fn accept_form(&self, request: Request, one: bool) -> Result<Accepted, ApiError> {
        let (head, body) = request.into_parts();
        let mut planned = self.plan(&self.auth.caller(&head, ErrorCode::BadKey).await?, &head.headers, Source::Api).await?;
        let boundary = head.headers.get(CONTENT_TYPE).and_then(|kind| multer::parse_boundary(kind.to_str().ok()?).ok());
        let boundary = boundary.ok_or_else(|| ApiError::with_text(ErrorCode::BrokenForm, "The multipart/form-data body has no boundary."))?;
        let parts = envelope::read(body, boundary, planned.rule.max_file_size).await?;
        if one && parts.len() != 1 {
            return Err(ApiError::with_text(ErrorCode::BadRequest, "A synchronous scan takes one file."));
        }
        // A client that names a batch fills that one, and closes it itself.
        let (batch, own) = match &planned.batch {
            Some(batch) => (batch.clone(), false),
            None => (self.new_batch(&planned, String::new()).await?, true),
        };
        // Who sends several files at once is told of them at once.
        let callback = (own && parts.len() > 1).then(|| planned.submission.wishes.callback_url.take()).flatten();
        let named = parts.iter().filter(|part| part.has_name).count();
        let single = parts.len() == 1;
        // A file name in the headers is that of the only file.
        let given = (single && planned.named).then(|| planned.submission.name.clone());
        let stored: Result<Vec<(bool, DataId)>, ApiError> = futures::stream::iter(parts)
            .map(|part| self.accept_part(&planned, &batch, part, given.as_deref()))
            .buffered(PARALLEL)
            .try_collect()
            .await;
        if own {
            if let Some(url) = &callback {
                self.batches.call_back(&batch.id, url).await?;
            }
            self.batches.seal(&batch.id).await?;
            self.announcer.settle(&batch.id, "form").await?;
        }
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                // Nobody will ask for the others: the client was told of none.
                tracing::warn!(batch_id = %batch.id, "a form was accepted in part only");
                return Err(error);
            }
        };
        tracing::info!(batch_id = %batch.id, files = stored.len(), rule = batch.rule, "a form was submitted");
        let only = stored.into_iter().find(|(has_name, _)| single || (named == 1 && *has_name)).map(|(_, id)| id);
        Ok(Accepted { batch: batch.id, only })
    }

    /// Records and stores one part.
    async fn accept_part(&self, planned: &Planned, batch: &Batch, part: Part, given: Option<&str>) -> Result<(bool, DataId), ApiError> {
        let planned = planned.another(given.unwrap_or(&part.name), part.content.size(), batch.clone());
        self.record(&planned).await?;
        let submission = planned.submission;
        let stored = match part.content.into_stream().await {
            Ok(stream) => self.objects.put(&submission.bucket, &submission.key, submission.size, stream).await,
            Err(source) => Err(StoreError::Permanent { what: "read a spooled part", source }),
        };
        if let Err(error) = stored {
            return Err(self.give_up(&submission.id, error).await);
        }
        Ok((part.has_name, submission.id))
    }
}
