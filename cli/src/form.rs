//! The form of a presigned upload (`POST /file/presign`, Portcullis' own route): fields first, the file last, the length known.

use std::fmt::Write;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use crate::http::Body;

/// Where a file is to be sent, and with what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Id of the submission.
    pub(crate) id: String,
    url: String,
    fields: Vec<(String, String)>,
    file_field: String,
}

impl Form {
    /// From the server's answer; `None` if it is none.
    pub(crate) fn of(answer: &Value) -> Option<Self> {
        let text = |name: &str| Some(answer.get(name)?.as_str()?.to_owned());
        let fields = answer.get("fields")?.as_object()?.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let form = Self { id: text("data_id")?, url: text("url")?, fields: fields.collect::<Option<_>>()?, file_field: text("file_field")? };
        let sound = |name: &str| !name.contains(['"', '\r', '\n']);
        (sound(&form.file_field) && form.fields.iter().all(|(name, _)| sound(name))).then_some(form)
    }

    /// The request, for content of so many bytes.
    pub(crate) fn request<S>(&self, size: u64, content: S) -> Option<Request<Body>>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        // The boundary is in no field, and in the file only by intent: it holds the signature of this upload.
        let boundary = format!("portcullis-{}", self.id);
        let mut head = String::new();
        for (name, value) in &self.fields {
            let _ = write!(head, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        let _ = write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"file\"\r\nContent-Type: application/octet-stream\r\n\r\n",
            self.file_field
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + size + tail.len() as u64;
        let one = |text: String| futures::stream::once(async move { Ok(Bytes::from(text)) });
        let body = one(head).chain(content).chain(one(tail));
        Request::post(&self.url)
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .header(CONTENT_LENGTH, length)
            .body(StreamBody::new(body.map(|piece| piece.map(Frame::data))).boxed_unsync())
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn the_announced_length_is_the_length() {
        let answer = json!({ "data_id": "abc", "url": "http://s3/bucket", "fields": { "key": "in/abc", "policy": "p" }, "file_field": "file" });
        let request = Form::of(&answer).unwrap().request(5, futures::stream::once(async { Ok(Bytes::from_static(b"hello")) })).unwrap();
        let length: usize = request.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text.len(), length);
        assert!(
            text.contains("name=\"key\"\r\n\r\nin/abc\r\n--portcullis-abc\r\n") && text.contains("\r\n\r\nhello\r\n--portcullis-abc--\r\n"),
            "{text}"
        );
    }

    #[test]
    fn answers_of_other_shapes_are_no_forms() {
        for answer in [
            json!({}),
            json!({"data_id": "a"}),
            json!({"data_id": "a", "url": "u", "fields": {"a": 1}, "file_field": "f"}),
            json!({"data_id": "a", "url": "u", "fields": {}, "file_field": "f\""}),
        ] {
            assert_eq!(Form::of(&answer), None, "{answer}");
        }
    }
}
