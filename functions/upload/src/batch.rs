//! Batches (contract §1.3): opened, closed, cancelled. Files come in by `POST /file` with the header `batch`.
//!
//! What always holds: a closed batch takes no more files, and whoever closes it has seen it finished.

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::HeaderMap;
use futures::StreamExt;
use portcullis_core::auth::{Caller, FileCaller};
use portcullis_core::clock::now_ms;
use portcullis_core::domain::batch::{Batch, BatchState};
use portcullis_core::domain::id::DataId;
use portcullis_core::http::body::header;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::retention::Retention;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::Cancelled;
use portcullis_core::wire::batch::{BatchResult, DEFAULT_PAGE, of_batch};
use serde_json::{Map, Value, json};

use crate::Upload;
use crate::headers::url;
use crate::submission::Planned;

/// Longest `user-data`, in bytes after decoding (contract B1).
const MAX_USER_DATA: usize = 1024;
/// Files that are cancelled side by side.
const PARALLEL: usize = 32;
/// Entries looked at in one read.
const STEP: usize = 500;

type Asked = Result<Path<String>, PathRejection>;

/// `POST /file/batch`.
pub(crate) async fn create(State(upload): State<Upload>, FileCaller(caller): FileCaller, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let text = |name| header(&headers, name).unwrap_or_default();
    let user_data = text("user-data");
    if user_data.len() > MAX_USER_DATA {
        return Err(ApiError::with_text(ErrorCode::BadRequest, format!("The user-data header is larger than {MAX_USER_DATA} bytes.")));
    }
    let named = Some(text("rule")).filter(|rule| !rule.is_empty()).unwrap_or_else(|| text("workflow"));
    let rules = rules::in_force(&upload.settings).await?;
    let rule = rules::select(&rules, &named, &text("user_agent"), &caller)?;
    let now = now_ms();
    let batch = Batch {
        id: DataId::random(),
        rule: rule.name.clone(),
        user_agent: text("user_agent"),
        user_data,
        owner: caller.owner(),
        created_at: now,
        expires_at: now + Retention::in_force(&upload.settings).await?.life_ms(),
    };
    upload.batches.create(&batch).await?;
    tracing::info!(batch_id = %batch.id, rule = batch.rule, "a batch was opened");
    Ok(Json(json!({ "batch_id": batch.id })))
}

/// `POST /file/batch/{batch_id}/close`: 400 while files run, so that the client comes again; closed already: the same answer.
pub(crate) async fn close(State(upload): State<Upload>, FileCaller(caller): FileCaller, path: Asked) -> Result<Json<BatchResult>, ApiError> {
    let mut state = upload.own_batch(path, &caller).await?;
    let mut healed = false;
    while !state.closed {
        if state.is_finished() {
            match upload.batches.close(&state).await {
                Ok(()) => tracing::info!(batch_id = %state.batch.id, files = state.files, "a batch was closed"),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        } else if !healed && now_ms() > state.batch.created_at + upload.deadline_ms {
            // By now most files have ended: what was lost between a verdict and its batch is made up for.
            healed = true;
            upload.each_unfinished(&state.batch.id, |upload, id| Box::pin(async move { upload.make_up(&id).await })).await?;
        } else {
            return Err(ErrorCode::BatchUnfinished.into());
        }
        state = upload.batches.state(&state.batch.id).await?.ok_or(ErrorCode::BatchNotFound)?;
    }
    let page = upload.batches.page(&state, 0, DEFAULT_PAGE).await?;
    Ok(Json(of_batch(&state, page, 0, DEFAULT_PAGE)))
}

/// `POST /file/batch/{batch_id}/close/callback`: no more files; once all have ended the batch is closed and its result posted.
pub(crate) async fn close_with_callback(
    State(upload): State<Upload>,
    FileCaller(caller): FileCaller,
    path: Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    const WHO: &str = "close/callback";
    let state = upload.own_batch(path, &caller).await?;
    let url = url(&headers, "callbackurl").ok_or(ErrorCode::NoCallback)?;
    let url = upload.outbound.guard().check(&url).map_err(|_| ErrorCode::CallbackInvalid)?.to_string();
    let id = &state.batch.id;
    // A call that ended between closing and telling is made again.
    let begun = state.concluded_by.as_deref() == Some(WHO) && !state.told && state.callback_url.as_deref() == Some(&url);
    if !begun {
        match upload.batches.call_back(id, &url).await {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => return Err(ErrorCode::BatchClosed.into()),
            Err(error) => return Err(error.into()),
        }
    }
    upload.announcer.settle(id, WHO).await?;
    Ok(answer(id, "Callback url set"))
}

/// `POST /file/batch/{batch_id}/cancel`.
pub(crate) async fn cancel(State(upload): State<Upload>, FileCaller(caller): FileCaller, path: Asked) -> Result<Json<Value>, ApiError> {
    let state = upload.own_batch(path, &caller).await?;
    upload.cancel_batch(&state.batch.id).await
}

/// `{"<id>":"<word>"}`.
pub(crate) fn answer(id: &DataId, word: &str) -> Json<Value> {
    Json(Value::Object(Map::from_iter([(id.to_string(), json!(word))])))
}

impl Upload {
    /// The batch that a client names for a file.
    pub(crate) async fn open_batch(&self, asked: &str, caller: &Caller) -> Result<Batch, ApiError> {
        let state = self.batch(asked).await?;
        caller.may_change(state.batch.owner.as_ref())?;
        if state.is_open() { Ok(state.batch) } else { Err(ErrorCode::BatchClosed.into()) }
    }

    /// A batch for the files of one request, of the same rule and owner.
    pub(crate) async fn new_batch(&self, planned: &Planned, user_data: String) -> Result<Batch, ApiError> {
        let submission = &planned.submission;
        let batch = Batch {
            id: DataId::random(),
            rule: submission.rule.clone(),
            user_agent: submission.user_agent.clone(),
            user_data,
            owner: submission.owner.clone(),
            created_at: submission.created_at,
            expires_at: submission.created_at + Retention::in_force(&self.settings).await?.life_ms(),
        };
        self.batches.create(&batch).await?;
        Ok(batch)
    }

    /// Ends every file that has not ended, after the batch was closed to new ones. Again for one that is cancelled:
    /// what a call before did not reach is made up for.
    pub(crate) async fn cancel_batch(&self, id: &DataId) -> Result<Json<Value>, ApiError> {
        self.batches.cancel(id).await?;
        let files = self.each_unfinished(id, |upload, id| Box::pin(async move { upload.cancel_file(&id).await })).await?;
        self.announcer.settle(id, "cancel").await?;
        tracing::info!(batch_id = %id, files, "a batch was cancelled");
        Ok(answer(id, "cancelled"))
    }

    async fn cancel_file(&self, id: &DataId) -> Result<(), ApiError> {
        let Some((record, _)) = self.scans.get(id).await? else { return Ok(()) };
        match self.scans.cancel(&record).await? {
            Cancelled::Yes(record) => {
                self.announcer.ended(&record).await?;
                self.scans.told(id).await;
                Ok(())
            }
            Cancelled::TooLate(record) => Ok(self.announcer.seated(&record).await?),
            Cancelled::Missing => Ok(()),
        }
    }

    /// A file that has ended without its batch being told is counted now.
    async fn make_up(&self, id: &DataId) -> Result<(), ApiError> {
        match self.scans.get(id).await? {
            Some((record, _)) => Ok(self.announcer.seated(&record).await?),
            None => Ok(()),
        }
    }

    /// Does something for every file that has not ended, many at a time. One that fails does not keep the others from it.
    async fn each_unfinished<F>(&self, batch: &DataId, action: F) -> Result<usize, ApiError>
    where
        F: Fn(Self, DataId) -> futures::future::BoxFuture<'static, Result<(), ApiError>>,
    {
        let (mut next, mut done, mut failed) = (0, 0, None);
        loop {
            let entries = self.batches.entries_from(batch, next, STEP).await?;
            let Some(last) = entries.last() else { break };
            next = last.index.saturating_add(1);
            let unfinished = entries.into_iter().filter(|entry| entry.end.is_none());
            let mut results = futures::stream::iter(unfinished.map(|entry| action(self.clone(), entry.file.data_id))).buffer_unordered(PARALLEL);
            while let Some(result) = results.next().await {
                match result {
                    Ok(()) => done += 1,
                    Err(error) => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// The batch of the path, for a caller that may change it.
    async fn own_batch(&self, path: Asked, caller: &Caller) -> Result<BatchState, ApiError> {
        let Ok(Path(asked)) = path else { return Err(ErrorCode::BatchNotFound.into()) };
        let state = self.batch(&asked).await?;
        caller.may_change(state.batch.owner.as_ref())?;
        Ok(state)
    }

    async fn batch(&self, asked: &str) -> Result<BatchState, ApiError> {
        let id = DataId::parse(asked).ok_or(ErrorCode::BatchNotFound)?;
        Ok(self.batches.state(&id).await?.ok_or(ErrorCode::BatchNotFound)?)
    }
}
