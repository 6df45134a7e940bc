//! `POST /file/sync` (contract F3): `POST /file` that answers with the result.
//!
//! The wait ends before the gateway's: then the client learns the id, and the scan goes on.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use portcullis_core::auth::FileCaller;
use portcullis_core::domain::id::DataId;
use portcullis_core::http::body::header;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::wire::result::{self, AnalysisResult};

use crate::{Upload, form};

/// First wait between two looks at the record; it grows by half each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest wait between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Children in the answer at most, as in `GET /file/{data_id}` (contract §9 U18).
const MAX_CHILDREN: usize = 500;

/// Accepts one file and answers with its verdict, or 408 when that takes too long.
pub(crate) async fn submit_and_wait(State(upload): State<Upload>, _: FileCaller, request: Request) -> Result<Json<AnalysisResult>, ApiError> {
    // The gateway's time began with the request.
    let until = Instant::now() + upload.sync_wait;
    if header(request.headers(), "callbackurl").is_some_and(|url| !url.is_empty()) {
        return Err(ErrorCode::CallbackWithSync.into());
    }
    let id = if form::is_form(request.headers()) {
        upload.accept_form(request, true).await?.only.ok_or(ErrorCode::Internal)?
    } else {
        upload.accept(request).await?.id
    };
    upload.result(&id, until).await?.map(Json).ok_or_else(|| still_scanning(&id))
}

fn still_scanning(id: &DataId) -> ApiError {
    ApiError::with_text(ErrorCode::StillScanning, format!("The scan of `{id}` has not ended yet; ask for its result later."))
}

impl Upload {
    /// The result of a submission as soon as it is there; `None` when it is not until then.
    async fn result(&self, id: &DataId, until: Instant) -> Result<Option<AnalysisResult>, ApiError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.scans.get(id).await {
                Ok(Some((record, inline))) if record.outcome.is_some() => {
                    let page = self.children.page(&record, &inline, 0, MAX_CHILDREN).await?;
                    let listing = result::listing(&record, page.children, 0, MAX_CHILDREN);
                    return Ok(Some(result::of_record(&record, listing)));
                }
                Ok(_) => {}
                // The file is stored: a store that is slow for a moment is no reason to tell the client otherwise.
                Err(error) if error.is_retryable() => tracing::warn!(data_id = %id, %error, "the record could not be read"),
                Err(error) => return Err(error.into()),
            }
            if Instant::now() + pause >= until {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }
}
