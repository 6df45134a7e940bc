//! `GET /file/batch/{batch_id}/certificate` (contract B7, §2.10): a report of a closed batch that anyone can verify.
//!
//! What always holds: only a batch that is closed and whose every file has ended is certified, and the report lists
//! exactly its files.

mod signer;

use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use portcullis_core::auth::FileCaller;
use portcullis_core::domain::batch::BatchState;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::wire::certificate::Document;

use crate::Results;
use signer::Signer;

/// Entries read at a time.
const STEP: usize = 500;

/// Two YAML documents: the report, and the signature over its exact bytes with the certificate.
pub(crate) async fn certificate(
    State(results): State<Results>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let state = results.batch(path, &caller).await?;
    if !state.closed {
        return Err(ErrorCode::BatchOpen.into());
    }
    if !state.is_finished() {
        return Err(ErrorCode::BatchUnfinished.into());
    }
    let secret = results.secrets.active(&results.signing_secret).await?;
    let signer = Signer::of(secret.current.expose()).map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
    let report = results.report(&state, &signer).await?;
    let signature = signer.sign(&report);
    let mut body = report;
    body.reserve(2048);
    body.push_str("---\nsignature: \"");
    body.push_str(&signature);
    body.push_str("\"\ncertificate: |\n");
    for line in signer.certificate.lines() {
        body.push_str("  ");
        body.push_str(line);
        body.push('\n');
    }
    body.push_str("...\n");
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

impl Results {
    /// The first document, with every file of the batch.
    async fn report(&self, state: &BatchState, signer: &Signer) -> Result<String, ApiError> {
        let changed = || ApiError::caused(ErrorCode::Internal, "the files of a closed batch are not those that were counted");
        let mut document = Document::of(state, &signer.fingerprint);
        let mut next = 0;
        loop {
            let entries = self.batches.entries_from(&state.batch.id, next, STEP).await?;
            let Some(last) = entries.last() else { break };
            next = last.index.saturating_add(1);
            if !entries.iter().all(|entry| document.file(entry)) {
                return Err(changed());
            }
        }
        let (text, files) = document.end();
        if files == state.files { Ok(text) } else { Err(changed()) }
    }
}
