//! Makes one object of a multipart upload's parts; that object's own event starts the scan, as for any upload.
//!
//! Every part that lands asks for it, and so does sweep. What always holds: the bytes put together are those that
//! were listed (each read is pinned to its ETag), one worker at a time does it, and doing it twice does no harm.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use portcullis_core::batch::Failed;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::parts::{self, Position};
use portcullis_core::domain::submission::{ObjectRef, Outcome, Record, State, Submission};
use portcullis_core::domain::verdict::Verdict;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::multipart::PIECE;
use portcullis_core::store::scans::RENEW_MS;

use crate::{Scan, ScanFailure};

/// Pieces written side by side.
const PIECES: usize = 4;
/// Parts read side by side for one piece: many clients cut files into very small parts.
const READS: usize = 8;

/// A part that has landed.
struct Part {
    position: Position,
    object: ObjectRef,
}

/// Bytes `from..=to` of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    part: usize,
    from: u64,
    to: u64,
}

impl Scan {
    /// Looks whether the upload is complete, and if so puts it together. Removes the parts of one that has ended.
    pub(crate) async fn assemble(&self, id: &DataId, ends_at: i64) -> Result<(), ScanFailure> {
        let Some((record, _)) = self.scans.get(id).await? else { return Ok(()) };
        let submission = &record.submission;
        let parts = self.parts(submission).await?;
        if has_gone_on(&record) {
            self.forget(submission, &parts).await;
            return Ok(());
        }
        let held: u64 = parts.iter().map(|part| part.object.size).sum();
        let rule = rules::named(&self.settings, &submission.rule).await.map_err(|e| Failed::Retry(portcullis_core::error::chain(&e)))?;
        let most = rule.map_or(0, |rule| rule.max_file_size);
        if held > most {
            let reason = format!("The parts have {held} bytes, more than the {most} that rule `{}` permits.", submission.rule);
            self.end(&record, reason).await?;
            self.forget(submission, &parts).await;
            return Ok(());
        }
        let sizes: Vec<(Position, u64)> = parts.iter().map(|part| (part.position, part.object.size)).collect();
        if submission.wishes.parts.unwrap_or_default().whole(&sizes).is_none() {
            return Ok(());
        }
        let left = Duration::from_millis(u64::try_from(ends_at - now_ms()).unwrap_or_default());
        let built = self.preparing(id, async {
            let built = tokio::time::timeout(left, self.join(submission, &parts)).await;
            built.unwrap_or_else(|_| Err(StoreError::Retry { what: "put parts together", source: "the invocation has no time left".into() }))
        });
        match built.await? {
            Prepared::Object(size) => {
                tracing::info!(data_id = %id, parts = parts.len(), size, "put together");
                self.forget(submission, &parts).await;
                return Ok(());
            }
            Prepared::Failed(error) => return Err(Failed::Retry(portcullis_core::error::chain(&error)).into()),
            Prepared::Lost => {}
        }
        // Somebody else does it, or did: then nobody needs the parts.
        if let Some((record, _)) = self.scans.get(id).await?
            && has_gone_on(&record)
        {
            self.forget(submission, &parts).await;
        }
        Ok(())
    }

    /// The parts, in the order of the file.
    async fn parts(&self, submission: &Submission) -> Result<Vec<Part>, StoreError> {
        let listed = self.objects.list(&submission.bucket, &parts::prefix(&submission.id)).await?;
        let mut found: Vec<Part> =
            listed.into_iter().filter_map(|object| Some(Part { position: Position::of_key(&object.key)?.1, object })).collect();
        found.sort_by_key(|part| part.position);
        Ok(found)
    }

    /// Removes parts that are of no use any more. What stays, the bucket's lifecycle removes.
    async fn forget(&self, submission: &Submission, parts: &[Part]) {
        for some in parts.chunks(parts::MAX_PARTS as usize) {
            let keys: Vec<String> = some.iter().map(|part| part.object.key.clone()).collect();
            if let Err(error) = self.objects.delete(&submission.bucket, &keys).await {
                tracing::warn!(data_id = %submission.id, error = %portcullis_core::error::chain(&error), "parts stay");
            }
        }
    }

    /// The object of these parts.
    async fn join(&self, submission: &Submission, parts: &[Part]) -> Result<ObjectRef, StoreError> {
        // Put together before, by a worker that did not live to say so.
        if let Some(object) = self.objects.head(&submission.bucket, &submission.key).await? {
            return Ok(object);
        }
        let sizes: Vec<u64> = parts.iter().map(|part| part.object.size).collect();
        let pieces = cut(&sizes, PIECE as u64);
        let draft = self.objects.draft(&submission.bucket, &submission.key).await?;
        let stored = stream::iter((1..).zip(pieces))
            .map(|(number, segments)| {
                let draft = &draft;
                async move { draft.put(number, self.gather(parts, segments).await?).await }
            })
            .buffer_unordered(PIECES)
            .try_collect::<Vec<_>>()
            .await;
        match stored {
            Ok(pieces) => draft.finish(pieces).await?.ok_or(StoreError::Missing { what: "put parts together" }),
            // A part that was sent again meanwhile: the next try takes the new one.
            Err(StoreError::Conflict { .. } | StoreError::Missing { .. }) => {
                draft.abort().await;
                Err(StoreError::Retry { what: "put parts together", source: "a part was replaced meanwhile".into() })
            }
            Err(error) => {
                draft.abort().await;
                Err(error)
            }
        }
    }

    /// The bytes of one piece.
    async fn gather(&self, parts: &[Part], segments: Vec<Segment>) -> Result<Bytes, StoreError> {
        let bytes = stream::iter(segments).map(|segment| self.segment(parts, segment)).buffered(READS);
        Ok(bytes
            .try_fold(BytesMut::new(), |mut all, some| async move {
                all.extend_from_slice(&some);
                Ok(all)
            })
            .await?
            .freeze())
    }

    async fn segment(&self, parts: &[Part], Segment { part, from, to }: Segment) -> Result<Bytes, StoreError> {
        let object = &parts.get(part).ok_or(StoreError::Missing { what: "read a part" })?.object;
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Retry { what: "read a part", source };
        let bytes = self.objects.read(object, from, to).await?.collect().await.map_err(|e| broken(e.into()))?.into_bytes();
        if bytes.len() as u64 == to - from + 1 { Ok(bytes) } else { Err(broken("it ended early".into())) }
    }

    /// Does `work`, which makes the object of a submission, as the only one who does; its success is written down.
    pub(super) async fn preparing<W, E>(&self, id: &DataId, work: W) -> Result<Prepared<E>, ScanFailure>
    where
        W: Future<Output = Result<ObjectRef, E>>,
    {
        let token = DataId::random().to_string();
        match self.scans.prepare(id, &token).await {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => return Ok(Prepared::Lost),
            Err(error) => return Err(error.into()),
        }
        let made = tokio::select! {
            () = self.keep_preparing(id, &token) => return Ok(Prepared::Lost),
            made = work => made,
        };
        match self.scans.prepared(id, &token, made.as_ref().ok()).await {
            // Its event came first: the scan has it already.
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => {
                tracing::warn!(data_id = %id, error = %portcullis_core::error::chain(&error), "not written down; the object's event tells");
            }
        }
        Ok(made.map_or_else(Prepared::Failed, |object| Prepared::Object(object.size)))
    }

    /// Returns when somebody else is to do it, or nobody: the submission went on, or was cancelled.
    async fn keep_preparing(&self, id: &DataId, token: &str) {
        loop {
            tokio::time::sleep(Duration::from_millis(RENEW_MS)).await;
            match self.scans.prepare(id, token).await {
                Ok(()) => {}
                Err(StoreError::Conflict { .. }) => return,
                Err(error) => tracing::warn!(data_id = %id, %error, "the right to prepare could not be renewed"),
            }
        }
    }

    /// Ends a submission that never had an object.
    pub(super) async fn end(&self, record: &Record, reason: String) -> Result<(), ScanFailure> {
        let id = &record.submission.id;
        tracing::warn!(data_id = %id, reason, "a submission ended without a scan");
        let outcome = Outcome::unscanned(record, Verdict::failed(reason), now_ms());
        match self.scans.finish_unclaimed(&record.submission, &outcome).await {
            Ok(()) => {
                self.announcer.ended(&Record { outcome: Some(outcome), ..record.clone() }).await?;
                self.scans.told(id).await;
                Ok(())
            }
            // Cancelled, or ended by the sweep.
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What became of making an object.
pub(super) enum Prepared<E> {
    /// It is there, and has so many bytes.
    Object(u64),
    /// It could not be made.
    Failed(E),
    /// It is not this worker's to make.
    Lost,
}

/// Whether the submission needs no object any more.
pub(super) fn has_gone_on(record: &Record) -> bool {
    record.state != State::Uploading || record.object.is_some()
}

/// Cuts parts of these sizes into pieces of `piece` bytes each (the last may have less).
fn cut(sizes: &[u64], piece: u64) -> Vec<Vec<Segment>> {
    let mut pieces = Vec::new();
    let mut current = Vec::new();
    let mut room = piece;
    for (part, size) in sizes.iter().enumerate() {
        let mut from = 0;
        while from < *size {
            let taken = room.min(size - from);
            current.push(Segment { part, from, to: from + taken - 1 });
            from += taken;
            room -= taken;
            if room == 0 {
                pieces.push(std::mem::take(&mut current));
                room = piece;
            }
        }
    }
    if !current.is_empty() {
        pieces.push(current);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_byte_once_and_only_the_last_is_smaller() {
        for sizes in [&[1, 1, 1][..], &[5, 17, 3], &[10], &[20, 20], &[9, 1, 10, 31], &[1; 40]] {
            let pieces = cut(sizes, 10);
            let length = |piece: &Vec<Segment>| piece.iter().map(|segment| segment.to - segment.from + 1).sum::<u64>();
            let lengths: Vec<u64> = pieces.iter().map(length).collect();
            assert!(lengths.iter().rev().skip(1).all(|length| *length == 10), "{sizes:?}: {lengths:?}");
            let mut expected = sizes.iter().enumerate().flat_map(|(part, size)| (0..*size).map(move |byte| (part, byte)));
            for segment in pieces.iter().flatten() {
                for byte in segment.from..=segment.to {
                    assert_eq!(expected.next(), Some((segment.part, byte)), "{sizes:?}");
                }
            }
            assert_eq!(expected.next(), None, "{sizes:?}");
        }
    }
}
