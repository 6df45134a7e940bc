//! `downloadfrom`: the file is fetched from a link (contract §4.1, §4.3, §9 U12).
//!
//! Here the link is judged and asked for name and size; the scan function fetches. What always holds: the record is
//! written before the task, so that a task that is lost is found by sweep.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use portcullis_core::domain::event::Task;
use portcullis_core::domain::name::decode_header;
use portcullis_core::domain::submission::{Source, Submission};
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_outbound::{Error, Limits, Refused};

use crate::Upload;
use crate::headers::url;

/// A client waits for the answer: two requests at most, each of at most this time.
pub(crate) const LIMITS: Limits = Limits { connect: Duration::from_secs(3), total: Duration::from_secs(4), stalled: Duration::from_secs(4) };

/// The `downloadfrom` header.
pub(crate) fn asked(headers: &HeaderMap) -> Option<String> {
    url(headers, "downloadfrom")
}

/// What a link says of its file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    name: Option<String>,
    size: Option<u64>,
}

impl Upload {
    /// Records a submission whose file is fetched from `url`, and asks for it to be fetched.
    pub(crate) async fn accept_download(&self, parts: &Parts, no_body: bool, url: String) -> Result<Submission, ApiError> {
        let mut planned = self.plan(&self.auth.caller(parts, ErrorCode::BadKey).await?, &parts.headers, Source::Download).await?;
        if !no_body {
            return Err(ErrorCode::DownloadAndBody.into());
        }
        let normal = self.outbound.guard().check(&url).map_err(refused)?;
        let described = self.describe(&url).await?;
        let submission = &mut planned.submission;
        if !planned.named {
            submission.name = described.name.or_else(|| name_in_path(normal.path())).ok_or(ErrorCode::DownloadUnknown)?;
        }
        submission.size = match described.size {
            None => return Err(ErrorCode::DownloadUnknown.into()),
            Some(0) => return Err(ErrorCode::EmptyFile.into()),
            Some(size) if size > planned.rule.max_file_size => return Err(ErrorCode::FileTooLarge.into()),
            Some(size) => size,
        };
        submission.wishes.download_url = Some(url);
        self.record(&planned).await?;
        let submission = planned.submission;
        if let Err(error) = self.scan_queue.ask(Task::Download { data_id: submission.id.clone() }).await {
            return Err(self.give_up(&submission.id, error).await);
        }
        tracing::info!(data_id = %submission.id, size = submission.size, rule = submission.rule, "download submitted");
        Ok(submission)
    }

    /// Name and size as a `HEAD` tells them; where that is not answered well, as a `GET` of one byte does.
    async fn describe(&self, url: &str) -> Result<Described, ApiError> {
        match self.outbound.head(url).await {
            Ok(head) => {
                let size = head.length();
                if size.is_some() {
                    return Ok(Described { name: name_in_headers(&head.headers), size });
                }
            }
            Err(Error::Status(_)) => {}
            Err(error) => return Err(failed(&error)),
        }
        let one_byte = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let head = self.outbound.get(url, one_byte, u64::MAX).await.map_err(|error| failed(&error))?.head;
        let size = if head.status == 206 { total(&head.headers) } else { head.length() };
        Ok(Described { name: name_in_headers(&head.headers), size })
    }
}

fn refused(refused: Refused) -> ApiError {
    tracing::info!(%refused, "a download url was refused");
    match refused {
        Refused::Scheme => ErrorCode::DownloadScheme.into(),
        _ => ErrorCode::DownloadUrl.into(),
    }
}

fn failed(error: &Error) -> ApiError {
    tracing::info!(%error, "a download url gave no name and size");
    match error {
        Error::Refused(why) => refused(*why),
        Error::Redirect(_) => ErrorCode::DownloadRedirects.into(),
        _ => ErrorCode::DownloadUnknown.into(),
    }
}

/// Size of the whole in `Content-Range: bytes 0-0/<size>`.
fn total(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_RANGE)?.to_str().ok()?.rsplit('/').next()?.trim().parse().ok()
}

/// The name in `Content-Disposition` (RFC 6266); the extended form first.
fn name_in_headers(headers: &HeaderMap) -> Option<String> {
    let value = decode_latin(headers.get(header::CONTENT_DISPOSITION)?);
    let parameter = |wanted: &str| {
        value.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let extended = parameter("filename*").and_then(|value| Some(decode_header(value.splitn(3, '\'').nth(2)?.as_bytes())));
    last_segment(&extended.or_else(|| parameter("filename"))?)
}

fn decode_latin(value: &HeaderValue) -> String {
    String::from_utf8(value.as_bytes().to_vec()).unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
}

/// The last segment of a URL's path, decoded.
fn name_in_path(path: &str) -> Option<String> {
    last_segment(&decode_header(path.rsplit('/').next()?.as_bytes()))
}

/// A name is never a path.
fn last_segment(name: &str) -> Option<String> {
    name.rsplit(['/', '\\']).next().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disposition(value: &[u8]) -> Option<String> {
        name_in_headers(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, HeaderValue::from_bytes(value).unwrap())]))
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(disposition(b"attachment; filename=\"a b.pdf\"").as_deref(), Some("a b.pdf"));
        assert_eq!(disposition(b"attachment; filename=x.txt; filename*=UTF-8''gr%C3%BCn.txt").as_deref(), Some("gr\u{fc}n.txt"));
        assert_eq!(disposition(b"attachment; filename=\"gr\xfcn.txt\"").as_deref(), Some("gr\u{fc}n.txt"));
        assert_eq!(disposition(b"attachment; filename=\"../../etc/passwd\"").as_deref(), Some("passwd"));
        assert_eq!(disposition(b"inline"), None);
        assert_eq!(disposition(b"attachment; filename=\"\""), None);
        assert_eq!(name_in_path("/files/a%20b.zip").as_deref(), Some("a b.zip"));
        assert_eq!(name_in_path("/files/"), None);
        assert_eq!(name_in_path("/a%2fb").as_deref(), Some("b"));
    }

    #[test]
    fn the_size_of_a_range_is_that_of_the_whole() {
        let range = |value: &'static str| total(&HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_static(value))]));
        assert_eq!(range("bytes 0-0/12345"), Some(12_345));
        assert_eq!(range("bytes 0-0/*"), None);
    }
}
