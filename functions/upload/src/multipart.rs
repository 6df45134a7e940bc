//! `/file/multipart`: a file in parts (contract §1.4, §7.3), for rules that permit it.
//!
//! Every part is an object of its own; the scan function sees each land and makes one object of them when all are
//! there. What always holds: nothing here decides whether a file is whole but `domain::parts`, from what is stored.

use axum::Json;
use axum::extract::{Path, Request, State, rejection::PathRejection};
use axum::http::{HeaderMap, Uri};
use portcullis_core::auth::{Caller, FileCaller};
use portcullis_core::domain::parts::{self, MAX_PARTS, Plan, Position};
use portcullis_core::domain::submission::{Record, Source, State as Stage};
use portcullis_core::domain::verdict::Code;
use portcullis_core::http::body::{header, query};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use portcullis_core::rules;
use serde_json::{Map, Value, json};

use crate::Upload;
use crate::cancel::Asked;
use crate::file::length;

type AskedPath = Result<Path<String>, PathRejection>;

/// `POST /file/multipart`: the headers of `POST /file`, and `file-size` (or `x-file-size`), `part-count` (or `parts`).
pub(crate) async fn begin(State(upload): State<Upload>, FileCaller(caller): FileCaller, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let mut planned = upload.plan(&caller, &headers, Source::Multipart).await?;
    if !planned.rule.multipart {
        return Err(ErrorCode::MultipartDisabled.into());
    }
    if header(&headers, "downloadfrom").is_some_and(|url| !url.is_empty()) {
        return Err(bad("`downloadfrom` can not be combined with a multipart upload."));
    }
    let plan = plan(&headers)?;
    if plan.file_size.is_some_and(|size| size > planned.rule.max_file_size) {
        return Err(ErrorCode::FileTooLarge.into());
    }
    planned.submission.size = plan.file_size.unwrap_or_default();
    planned.submission.wishes.parts = Some(plan);
    upload.record(&planned).await?;
    tracing::info!(data_id = %planned.submission.id, ?plan, rule = planned.submission.rule, "multipart upload begun");
    Ok(Json(json!({ "data_id": planned.submission.id })))
}

/// `POST /file/multipart/{data_id}`: one part. The same part again replaces the one before.
pub(crate) async fn part(
    State(upload): State<Upload>,
    FileCaller(caller): FileCaller,
    path: AskedPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (request, body) = request.into_parts();
    let record = upload.open_session(path, &caller).await?;
    let size = length(&request.headers, &body)?;
    let (submission, plan) = (&record.submission, plan_of(&record));
    let position = position(&request.headers, &request.uri, &plan, Some(size))?;
    if size > upload.largest_part(&record).await? {
        return Err(ErrorCode::FileTooLarge.into());
    }
    upload.store(submission.bucket.clone(), position.key(&submission.id), body, size).await?;
    let mut answer = named(position);
    answer.insert("data_id".to_owned(), json!(submission.id));
    answer.insert("status".to_owned(), json!("uploaded"));
    Ok(Json(Value::Object(answer)))
}

/// `POST /file/multipart/{data_id}/presign` (ours): a form for one part, for parts larger than an API body may be.
pub(crate) async fn presign_part(
    State(upload): State<Upload>,
    FileCaller(caller): FileCaller,
    path: AskedPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let record = upload.open_session(path, &caller).await?;
    let submission = &record.submission;
    let position = position(&headers, &uri, &plan_of(&record), None)?;
    let mut answer = upload.form(&submission.bucket, &position.key(&submission.id), upload.largest_part(&record).await?).await?;
    answer.extend(named(position));
    answer.insert("data_id".to_owned(), json!(submission.id));
    Ok(Json(Value::Object(answer)))
}

/// `GET /file/multipart/{data_id}`: what has arrived.
pub(crate) async fn status(State(upload): State<Upload>, FileCaller(caller): FileCaller, path: AskedPath) -> Result<Json<Value>, ApiError> {
    let record = upload.session(path).await?;
    caller.may_read(record.submission.owner.as_ref())?;
    let (submission, plan) = (&record.submission, plan_of(&record));
    let mut arrived = Vec::new();
    if is_open(&record) {
        for object in upload.objects.list(&submission.bucket, &parts::prefix(&submission.id)).await? {
            arrived.extend(Position::of_key(&object.key).map(|(_, position)| (position, object.size)));
        }
        arrived.sort_unstable();
    }
    let status = match &record.outcome {
        _ if record.object.is_some() => "completed",
        Some(_) => "aborted",
        None if record.state != Stage::Uploading || plan.whole(&arrived).is_some() => "completed",
        None => "uploading",
    };
    let uploaded_size = record.object.as_ref().map_or_else(|| arrived.iter().map(|(_, bytes)| bytes).sum(), |object| object.size);
    let mut answer = Map::from_iter([
        ("data_id".to_owned(), json!(submission.id)),
        ("status".to_owned(), json!(status)),
        ("uploaded_size".to_owned(), json!(uploaded_size)),
    ]);
    if let Some(size) = plan.file_size.or(record.object.as_ref().map(|object| object.size)) {
        answer.insert("file_size".to_owned(), json!(size));
    }
    if let Some(count) = plan.count {
        answer.insert("total_parts".to_owned(), json!(count));
    }
    let offsets: Vec<u64> =
        arrived.iter().filter_map(|(position, _)| if let Position::Offset { from, .. } = position { Some(*from) } else { None }).collect();
    let numbers: Vec<u32> = match plan.count {
        Some(count) if record.object.is_some() => (1..=count).collect(),
        _ => arrived.iter().filter_map(|(position, _)| if let Position::Number(number) = position { Some(*number) } else { None }).collect(),
    };
    answer.insert("uploaded_parts".to_owned(), json!(numbers));
    if !offsets.is_empty() {
        answer.insert("uploaded_offsets".to_owned(), json!(offsets));
    }
    Ok(Json(Value::Object(answer)))
}

/// `DELETE /file/multipart/{data_id}`: the file ends as `Canceled`, its parts are removed.
pub(crate) async fn abort(State(upload): State<Upload>, FileCaller(caller): FileCaller, path: AskedPath) -> Result<Json<Value>, ApiError> {
    let record = upload.session(path).await?;
    caller.may_change(record.submission.owner.as_ref())?;
    if record.object.is_some() {
        return Err(ErrorCode::UploadComplete.into());
    }
    upload.cancel(&record).await?;
    Ok(Json(Value::Object(Map::from_iter([(record.submission.id.to_string(), json!("aborted"))]))))
}

impl Upload {
    /// The multipart upload of the id in the path; 404 for anything else.
    async fn session(&self, path: AskedPath) -> Result<Record, ApiError> {
        let Asked { asked, record } = self.submission(path).await?;
        let is_session = record.submission.source == Source::Multipart && record.submission.id == asked;
        if is_session { Ok(record) } else { Err(ErrorCode::NotFound.into()) }
    }

    /// The same, if it still takes parts, for somebody who may send them.
    async fn open_session(&self, path: AskedPath, caller: &Caller) -> Result<Record, ApiError> {
        let record = self.session(path).await?;
        caller.may_change(record.submission.owner.as_ref())?;
        let ended = record.outcome.as_ref().is_some_and(|outcome| matches!(outcome.report.verdict.code, Code::Canceled | Code::Failed));
        match is_open(&record) {
            true => Ok(record),
            false if ended && record.object.is_none() => Err(ErrorCode::NotFound.into()),
            false => Err(ErrorCode::UploadComplete.into()),
        }
    }

    /// Bytes of one part at most: a part is never larger than its file.
    async fn largest_part(&self, record: &Record) -> Result<u64, ApiError> {
        let rule = rules::named(&self.settings, &record.submission.rule).await?.ok_or_else(|| ApiError::from(ErrorCode::RuleNotFound))?;
        Ok(plan_of(record).file_size.unwrap_or(u64::MAX).min(rule.max_file_size))
    }
}

/// Whether parts are still taken.
fn is_open(record: &Record) -> bool {
    record.state == Stage::Uploading && record.object.is_none()
}

fn plan_of(record: &Record) -> Plan {
    record.submission.wishes.parts.unwrap_or_default()
}

fn named(position: Position) -> Map<String, Value> {
    let (name, value) = match position {
        Position::Number(number) => ("part", json!(number)),
        Position::Offset { from, .. } => ("part_offset", json!(from)),
    };
    Map::from_iter([(name.to_owned(), value)])
}

/// The first of these headers that is there and not empty.
fn first(headers: &HeaderMap, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, header(headers, name).filter(|text| !text.is_empty())?)))
}

fn plan(headers: &HeaderMap) -> Result<Plan, ApiError> {
    let file_size = match first(headers, &["file-size", "x-file-size"]) {
        None => None,
        Some((name, text)) => match text.parse() {
            Ok(0) => return Err(ErrorCode::EmptyFile.into()),
            Ok(size) => Some(size),
            Err(_) => return Err(bad(format!("`{name}` is not a whole number of bytes."))),
        },
    };
    let count = match first(headers, &["part-count", "parts"]) {
        None => None,
        Some((name, text)) => {
            let most = file_size.unwrap_or(u64::MAX).min(MAX_PARTS.into());
            let number = text.parse::<u32>().ok().filter(|count| *count > 0 && u64::from(*count) <= most);
            Some(number.ok_or_else(|| bad(format!("`{name}` is not a whole number from 1 to {most}.")))?)
        }
    };
    Ok(Plan { file_size, count })
}

/// Where a part of so many bytes belongs, as far as they are known.
fn position(headers: &HeaderMap, uri: &Uri, plan: &Plan, size: Option<u64>) -> Result<Position, ApiError> {
    let by_query = query(uri, "part").filter(|text| !text.is_empty()).map(|text| ("part", text));
    if let Some((name, text)) = first(headers, &["part-index", "part-number"]).or(by_query) {
        if plan.count.is_none() && plan.file_size.is_none() {
            return Err(bad("Neither `file-size` nor `part-count` was given at the start: send `Content-Range` with every part."));
        }
        let most = plan.count.unwrap_or(MAX_PARTS);
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        return number.map(Position::Number).ok_or_else(|| bad(format!("`{name}` is not a whole number from 1 to {most}.")));
    }
    let (from, of) = if let Some((_, text)) = first(headers, &["part-offset"]) {
        (text.parse().map_err(|_| bad("`part-offset` is not a whole number of bytes."))?, None)
    } else if let Some((_, text)) = first(headers, &["content-range"]) {
        content_range(&text, size).ok_or_else(|| bad("`Content-Range` is not `bytes first-last/total` of this part."))?
    } else {
        return Err(bad("A part needs its number (`part-number`) or its place (`part-offset`, `Content-Range`)."));
    };
    let total = match (plan.file_size, of) {
        (Some(announced), Some(total)) if announced != total => return Err(bad(format!("The file has {announced} bytes, not {total}."))),
        (announced, total) => announced.or(total).ok_or_else(|| bad("The size of the file is not known: send `Content-Range` with it."))?,
    };
    match size.unwrap_or(1).checked_add(from) {
        Some(end) if end <= total => Ok(Position::Offset { from, of }),
        _ => Err(bad(format!("The part ends behind the end of the file of {total} bytes."))),
    }
}

/// First byte and, if it is told, size of the whole, of `bytes a-b/total`; `None` for anything else and for another length than the part's.
fn content_range(text: &str, size: Option<u64>) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to) = (from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?);
    let length = to.checked_sub(from)?.checked_add(1)?;
    let total = if total.trim() == "*" { None } else { Some(total.trim().parse().ok()?) };
    size.is_none_or(|size| size == length).then_some((from, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_plan_is_read_from_either_spelling_and_checked() {
        assert_eq!(plan(&headers(&[])).unwrap(), Plan::default());
        assert_eq!(plan(&headers(&[("file-size", "10"), ("parts", "3")])).unwrap(), Plan { file_size: Some(10), count: Some(3) });
        assert_eq!(plan(&headers(&[("x-file-size", "10"), ("part-count", "10")])).unwrap(), Plan { file_size: Some(10), count: Some(10) });
        for wrong in [("file-size", "0"), ("file-size", "-1"), ("x-file-size", "1e3"), ("part-count", "0"), ("parts", "1001")] {
            assert!(plan(&headers(&[wrong])).is_err(), "{wrong:?}");
        }
        assert!(plan(&headers(&[("file-size", "2"), ("parts", "3")])).is_err(), "more parts than bytes");
    }

    #[test]
    fn a_part_has_its_place_by_number_offset_or_range() {
        let counted = Plan { file_size: None, count: Some(5) };
        let sized = Plan { file_size: Some(100), count: None };
        let at = |pairs: &[(&'static str, &'static str)], uri: &'static str, plan: &Plan| {
            position(&headers(pairs), &Uri::from_static(uri), plan, Some(10))
        };
        let offset = |from, of| Some(Position::Offset { from, of });
        for (pairs, uri, plan, place) in [
            (&[("part-index", "2")][..], "/", &counted, Some(Position::Number(2))),
            (&[("part-number", "5")], "/", &counted, Some(Position::Number(5))),
            (&[], "/?part=1", &sized, Some(Position::Number(1))),
            (&[("part-offset", "90")], "/", &sized, offset(90, None)),
            (&[("content-range", "bytes 10-19/100")], "/", &sized, offset(10, Some(100))),
            (&[("content-range", "bytes 10-19/100")], "/", &Plan::default(), offset(10, Some(100))),
            (&[("content-range", "bytes 10-19/*")], "/", &sized, offset(10, None)),
            (&[("part-number", "6")], "/", &counted, None),
            (&[("part-number", "0")], "/", &counted, None),
            (&[], "/?part=one", &sized, None),
            (&[("part-number", "1")], "/", &Plan::default(), None),
            (&[("part-offset", "91")], "/", &sized, None),
            (&[("part-offset", "18446744073709551615")], "/", &sized, None),
            (&[("part-offset", "0")], "/", &counted, None),
            (&[("content-range", "bytes 10-18/100")], "/", &sized, None),
            (&[("content-range", "bytes 10-19/99")], "/", &sized, None),
            (&[("content-range", "bytes 10-19/*")], "/", &Plan::default(), None),
            (&[("content-range", "lines 10-19/100")], "/", &sized, None),
            (&[], "/", &sized, None),
        ] {
            assert_eq!(at(pairs, uri, plan).ok(), place, "{pairs:?} {uri} {plan:?}");
        }
    }
}
