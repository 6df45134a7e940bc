//! The `multipart/form-data` envelope (RFC 7578), read part by part into spools.
//!
//! What always holds: what the parser holds back is bounded. Pieces of the body are handed to it one at a time, and
//! while it looks for the next part's content it gets [`MAX_HEADERS`] bytes at most.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::Stream;
use multer::{Constraints, Field, Multipart, SizeLimit};
use portcullis_core::domain::name::decode_header;
use portcullis_core::http::error::{ApiError, ErrorCode};

use super::spool::{MEMORY, Spool};

/// Parts of one form at most.
const MAX_PARTS: usize = 1000;
/// Bytes between the contents of two parts at most (boundary and headers), and before the first.
const MAX_HEADERS: usize = 64 * 1024;
/// Bytes of a whole form at most, 4 GiB: they wait on the disk until the form is complete.
const MAX_FORM: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of the body that the parser gets at a time.
const PIECE: usize = 16 * 1024;

/// A part that is a file.
#[derive(Debug)]
pub(super) struct Part {
    /// File name, else name of the field.
    pub(super) name: String,
    /// Whether the part has a file name.
    pub(super) has_name: bool,
    pub(super) content: Spool,
}

/// Reads a whole form.
///
/// # Errors
/// 400 for a broken envelope, 422 for an empty file or none at all, the contract's text for one larger than `max_file_size`.
pub(super) async fn read(body: Body, boundary: String, max_file_size: u64) -> Result<Vec<Part>, ApiError> {
    let allowance = Arc::new(AtomicUsize::new(0));
    let paced = Paced { body: body.into_data_stream(), rest: Bytes::new(), paused: false, allowance: Arc::clone(&allowance) };
    let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(MAX_FORM).per_field(max_file_size));
    let mut form = Multipart::with_constraints(paced, boundary, constraints);
    let (mut parts, mut memory) = (Vec::new(), MEMORY);
    loop {
        allowance.store(MAX_HEADERS, Ordering::Relaxed);
        let Some(mut field) = form.next_field().await.map_err(problem)? else { break };
        allowance.store(usize::MAX, Ordering::Relaxed);
        let file_name = file_name(&field).filter(|name| !name.is_empty());
        let field_name = field.name().unwrap_or_default().to_owned();
        let mut content = Spool::default();
        while let Some(piece) = field.chunk().await.map_err(problem)? {
            content.write(&piece, &mut memory).await.map_err(|e| ApiError::caused(ErrorCode::RequestFailed, e))?;
        }
        content.end().await.map_err(|e| ApiError::caused(ErrorCode::RequestFailed, e))?;
        if content.size() == 0 && file_name.is_none() {
            continue;
        }
        if content.size() == 0 {
            return Err(ErrorCode::EmptyFile.into());
        }
        if parts.len() == MAX_PARTS {
            return Err(ApiError::with_text(ErrorCode::BrokenForm, format!("The form has more than {MAX_PARTS} parts.")));
        }
        let has_name = file_name.is_some();
        let name = file_name.unwrap_or(field_name);
        parts.push(Part { name: if name.is_empty() { "unnamed".into() } else { name }, has_name, content });
    }
    if parts.is_empty() {
        return Err(ErrorCode::EmptyFile.into());
    }
    Ok(parts)
}

/// What is wrong, for the client: the parser's own words would show names and bytes.
fn problem(error: multer::Error) -> ApiError {
    let broken = |text: &'static str| ApiError::with_text(ErrorCode::BrokenForm, text);
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => ErrorCode::FileTooLarge.into(),
        multer::Error::StreamReadFailed(source) if source.is::<TooMuch>() => {
            broken("The headers of a part of the multipart/form-data body are too long, or its boundary never comes.")
        }
        multer::Error::StreamReadFailed(source) => ApiError::caused(ErrorCode::BodyUnreadable, source),
        multer::Error::IncompleteStream | multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteHeaders => {
            broken("The multipart/form-data body ends before its closing boundary.")
        }
        _ => ErrorCode::BrokenForm.into(),
    }
}

/// The file name of a part: `filename` as UTF-8, else `filename*` (RFC 5987), else `filename` in whatever encoding.
fn file_name(field: &Field<'_>) -> Option<String> {
    if let Some(name) = field.file_name() {
        return Some(name.to_owned());
    }
    field.headers().get("content-disposition").and_then(|value| from_disposition(value.as_bytes()))
}

fn from_disposition(value: &[u8]) -> Option<String> {
    let attributes = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let named = attributes.filter_map(|attribute| {
        let (name, value) = attribute.split_at(attribute.iter().position(|byte| *byte == b'=')?);
        let value = value.get(1..)?.trim_ascii();
        Some((name.trim_ascii().to_ascii_lowercase(), value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value)))
    });
    let mut plain = None;
    for (name, value) in named {
        match name.as_slice() {
            // charset'language'percent-encoded
            b"filename*" => return Some(decode_header(value.splitn(3, |byte| *byte == b'\'').last().unwrap_or_default())),
            b"filename" => plain = Some(decode_header(value)),
            _ => {}
        }
    }
    plain
}

/// A body in small pieces, one for each time the parser asks, and only as many as it is allowed.
struct Paced {
    body: BodyDataStream,
    rest: Bytes,
    paused: bool,
    allowance: Arc<AtomicUsize>,
}

#[derive(Debug, thiserror::Error)]
#[error("the next part does not begin")]
struct TooMuch;

impl Stream for Paced {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The parser takes pieces until there are none: after each one there is none for a moment.
        self.paused = !self.paused;
        if !self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    self.paused = false;
                    return Poll::Pending;
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        let left = self.allowance.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(TooMuch.into())));
        }
        self.allowance.store(left.saturating_sub(length), Ordering::Relaxed);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDARY: &str = "b0und4ry";

    fn part(headers: &str, content: &str) -> String {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n{content}\r\n")
    }

    async fn parts(body: String, max: u64) -> Result<Vec<(String, bool, u64)>, (u16, String)> {
        match read(Body::from(body), BOUNDARY.into(), max).await {
            Ok(parts) => Ok(parts.into_iter().map(|part| (part.name, part.has_name, part.content.size())).collect()),
            Err(error) => Err((error.code().status(), format!("{error:?}"))),
        }
    }

    #[tokio::test]
    async fn every_part_with_content_is_a_file() {
        let body = [
            part("name=\"file\"; filename=\"a b.txt\"", "one"),
            part("name=\"note\"", "two!"),
            part("name=\"empty\"; filename=\"\"", ""),
            part("name=\"f\"; filename*=UTF-8''gr%C3%BCn.txt", "x"),
            part("", "y"),
            format!("--{BOUNDARY}--\r\nepilogue"),
        ]
        .concat();
        let expected = [("a b.txt", true, 3), ("note", false, 4), ("grün.txt", true, 1), ("unnamed", false, 1)];
        assert_eq!(parts(body, 100).await.unwrap(), expected.map(|(name, has_name, size)| (name.to_owned(), has_name, size)));
    }

    #[tokio::test]
    async fn large_parts_come_whole() {
        let body =
            part("name=\"file\"; filename=\"a\"", &"x".repeat(6_000_000)) + &part("name=\"file\"; filename=\"b\"", &"\r\n--b0und4r".repeat(9000));
        let got = parts(format!("{body}--{BOUNDARY}--"), 10_000_000).await.unwrap();
        assert_eq!(got.iter().map(|(_, _, size)| *size).collect::<Vec<_>>(), [6_000_000, 11 * 9000]);
    }

    #[tokio::test]
    async fn broken_envelopes_are_errors_that_say_so() {
        let open = part("name=\"file\"; filename=\"a\"", "content");
        let endless = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}", "n".repeat(1_000_000));
        let many: String = (0..=MAX_PARTS).map(|n| part("name=\"f\"; filename=\"a\"", &n.to_string())).collect();
        for (body, status, text) in [
            (open.clone(), 400, "ends before its closing boundary"),
            ("no envelope at all".to_owned(), 400, "ends before its closing boundary"),
            (String::new(), 400, "ends before its closing boundary"),
            ("x".repeat(1_000_000), 400, "boundary never comes"),
            (endless, 400, "boundary never comes"),
            (format!("{many}--{BOUNDARY}--"), 400, "more than 1000 parts"),
            (format!("--{BOUNDARY}\r\nno header\r\n\r\nx\r\n--{BOUNDARY}--"), 400, "BrokenForm"),
            (format!("--{BOUNDARY}--"), 422, "EmptyFile"),
            (part("name=\"file\"; filename=\"a\"", "") + &format!("--{BOUNDARY}--"), 422, "EmptyFile"),
            (part("name=\"file\"; filename=\"a\"", &"x".repeat(101)) + &format!("--{BOUNDARY}--"), 500, "FileTooLarge"),
        ] {
            let (got, error) = parts(body, 100).await.unwrap_err();
            assert!(got == status && error.contains(text), "{got} {error}, not {status} {text}");
        }
    }

    #[test]
    fn names_in_other_encodings_are_read() {
        assert_eq!(from_disposition(b"form-data; name=\"f\"; filename=\"gr\xfcn.txt\"").as_deref(), Some("gr\u{fc}n.txt"));
        assert_eq!(from_disposition(b"form-data; filename=x; FileName*=utf-8'en'%e2%82%ac").as_deref(), Some("\u{20ac}"));
        assert_eq!(from_disposition(b"form-data; name=\"f\""), None);
    }
}
