//! `POST /file/{data_id}/cancel` (contract F8): the submission ends as `Canceled`, whatever its state. A batch's id
//! cancels the batch (contract §9 U25): ids live in one namespace.
//!
//! What always holds: once this answered, the file never gets another verdict. The worker that has it learns it
//! from the next renewal of its claim.

use axum::Json;
use axum::extract::{Path, State, rejection::PathRejection};
use portcullis_core::auth::FileCaller;
use portcullis_core::domain::event::Task;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Record, Source};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::store::scans::Cancelled;
use serde_json::Value;

use crate::Upload;
use crate::batch::answer;

/// Cancels a file; a child's id cancels its submission.
pub(crate) async fn cancel(
    State(upload): State<Upload>,
    FileCaller(caller): FileCaller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let id = path.as_ref().ok().and_then(|Path(asked)| DataId::parse(asked));
    match (upload.submission(path).await, id) {
        (Ok(Asked { asked, record }), _) => {
            caller.may_change(record.submission.owner.as_ref())?;
            upload.cancel(&record).await?;
            Ok(answer(&asked, "cancelled"))
        }
        (Err(error), Some(id)) if error.code() == ErrorCode::NotFound => {
            let state = upload.batches.state(&id).await?.ok_or(error)?;
            caller.may_change(state.batch.owner.as_ref())?;
            upload.cancel_batch(&id).await
        }
        (Err(error), _) => Err(error),
    }
}

/// A submission that a path names.
pub(crate) struct Asked {
    /// The id as asked: its own, or a child's.
    pub(crate) asked: DataId,
    pub(crate) record: Record,
}

impl Upload {
    /// The submission of the id in the path; 404 for anything else.
    pub(crate) async fn submission(&self, path: Result<Path<String>, PathRejection>) -> Result<Asked, ApiError> {
        let unknown = || ApiError::from(ErrorCode::NotFound);
        let asked = path.ok().and_then(|Path(asked)| DataId::parse(&asked)).ok_or_else(unknown)?;
        let (record, _) = self.scans.get(&asked).await?.ok_or_else(unknown)?;
        Ok(Asked { asked, record })
    }

    /// Ends a submission as cancelled and tells of it. Again for one that is: what follows a verdict may have failed before.
    pub(crate) async fn cancel(&self, record: &Record) -> Result<(), ApiError> {
        match self.scans.cancel(record).await? {
            Cancelled::Yes(record) => {
                self.announcer.ended(&record).await?;
                self.scans.told(&record.submission.id).await;
                if record.submission.source == Source::Multipart
                    && let Err(error) = self.scan_queue.ask(Task::Assemble { data_id: record.submission.id.clone() }).await
                {
                    tracing::warn!(data_id = %record.submission.id, %error, "parts of a cancelled upload stay for their lifecycle");
                }
                tracing::info!(data_id = %record.submission.id, "cancelled");
                Ok(())
            }
            Cancelled::TooLate(_) => Err(ErrorCode::ScanEnded.into()),
            Cancelled::Missing => Err(ErrorCode::NotFound.into()),
        }
    }
}
