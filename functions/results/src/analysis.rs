//! `GET /file/{data_id}`, `/process/{data_id}`, `/archive/{data_id}`.

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use portcullis_core::auth::{Caller, FileCaller};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::Record;
use portcullis_core::http::error::ApiError;
use portcullis_core::store::scans::Inline;
use portcullis_core::wire::outdated;
use portcullis_core::wire::result::{self, AnalysisResult, ExtractedFiles};

use crate::Results;
use crate::asked::{MAX_PAGE, Window, asked};

/// The result of a submission or of a child, finished or not.
pub(crate) async fn by_id(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked = asked(path)?;
    let window = Window::read(&uri)?;
    let Some(id) = DataId::parse(&asked) else { return Ok(Json(result::not_found(&asked)).into_response()) };
    results.answer(&id, &asked, &caller, window).await
}

/// The report of an archive with all its children: as many as fit a page without a query, else the page asked for.
pub(crate) async fn archive(
    state: State<Results>,
    caller: FileCaller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    by_id(state, caller, path, uri).await
}

impl Results {
    /// Answers for `id`; an id that was never issued is `Not Found` under what was `asked`.
    pub(crate) async fn answer(&self, id: &DataId, asked: &str, caller: &Caller, window: Window) -> Result<Response, ApiError> {
        Ok(match self.result(id, caller, window).await? {
            Some(answer) => Json(answer).into_response(),
            None => Json(result::not_found(asked)).into_response(),
        })
    }

    /// The result of `id`; `None` for an id that was never issued.
    pub(crate) async fn result(&self, id: &DataId, caller: &Caller, window: Window) -> Result<Option<AnalysisResult>, ApiError> {
        let Some((record, inline)) = self.scans.get(id).await? else { return Ok(None) };
        let number = record.submission.id.number_of(id);
        let child = if number == 0 { None } else { self.children.child(&record, &inline, number).await? };
        if number != 0 && child.is_none() {
            return Ok(None);
        }
        caller.may_read(record.submission.owner.as_ref())?;
        let answer = if let (Some(child), Some(outcome)) = (&child, &record.outcome) {
            result::of_child(&record, outcome, id, child)
        } else {
            let listing = self.listing(&record, &inline, window).await?;
            result::of_record(&record, listing)
        };
        Ok(Some(answer.outdated(outdated::of_record(&self.settings, &record).await)))
    }

    async fn listing(&self, record: &Record, inline: &Inline, window: Window) -> Result<Option<ExtractedFiles>, ApiError> {
        let page = self.children.page(record, inline, window.first, window.size.min(MAX_PAGE)).await?;
        Ok(result::listing(record, page.children, window.first, window.size))
    }
}
