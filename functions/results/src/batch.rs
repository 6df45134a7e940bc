//! `GET /file/batch/{batch_id}` (contract B3).

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::Uri;
use portcullis_core::auth::{Caller, FileCaller};
use portcullis_core::domain::batch::BatchState;
use portcullis_core::domain::id::DataId;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::wire::batch::{BatchResult, DEFAULT_PAGE, of_batch};

use crate::Results;
use crate::asked::Window;

/// The batch and a page of its files.
pub(crate) async fn status(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<BatchResult>, ApiError> {
    let window = Window::read_or(&uri, DEFAULT_PAGE)?;
    let state = results.batch(path, &caller).await?;
    let page = results.batches.page(&state, window.first, window.size).await?;
    Ok(Json(of_batch(&state, page, window.first, window.size)))
}

impl Results {
    /// The batch of the path, for a caller that may read it.
    pub(crate) async fn batch(&self, path: Result<Path<String>, PathRejection>, caller: &Caller) -> Result<BatchState, ApiError> {
        let id = path.ok().and_then(|Path(asked)| DataId::parse(&asked)).ok_or(ErrorCode::BatchNotFound)?;
        let state = self.batches.state(&id).await?.ok_or(ErrorCode::BatchNotFound)?;
        caller.may_read(state.batch.owner.as_ref())?;
        Ok(state)
    }
}
