//! POST object: a browser's form, streamed to disk.
//!
//! What always holds: the policy is checked before the first byte of the file is taken; the file is counted as it
//! arrives, whatever the headers say; a refused form leaves nothing.

use std::time::Duration;

use futures::StreamExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use multer::{Constraints, Field, Multipart, SizeLimit};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::checksum::ChecksumHasher;
use s3s::dto::PostResponse;
use s3s::xml::{Serialize as _, Serializer};
use s3s::{Body, S3Error, S3Result, s3_error};

use super::meta::{self, Meta, Sums};
use super::notify::Created;
use super::objects::{Described, check_key};
use super::policy::{self, Fields};
use super::rows::{Change, WriteIf};
use super::{Buckets, KeyPair};

/// Longest field in front of the file, in bytes; AWS allows 20 KB for all of them.
const MAX_FIELD_BYTES: u64 = 64 * 1024;
/// Most fields in front of the file.
const MAX_FIELDS: usize = 100;
/// What a refused client may still send before the connection is closed: most clients read only when they are done.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Whether this is a form for a bucket; answers the bucket and the boundary.
pub(super) fn is_form(request: &Request<Incoming>) -> Option<(String, String)> {
    let bucket = request.uri().path().trim_matches('/');
    if request.method() != Method::POST || bucket.is_empty() || bucket.contains('/') {
        return None;
    }
    let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = multer::parse_boundary(kind).ok()?;
    Some((bucket.to_owned(), boundary))
}

/// Answers the form.
pub(super) async fn answer(buckets: &Buckets, keys: &KeyPair, bucket: &str, boundary: &str, body: Incoming) -> Response<Body> {
    let limits = SizeLimit::new().per_field(MAX_FIELD_BYTES).for_field("file", u64::MAX);
    let mut form = Multipart::with_constraints(body.into_data_stream(), boundary, Constraints::new().size_limit(limits));
    match take(buckets, keys, bucket, &mut form).await {
        Ok(response) => response,
        Err(error) => {
            let drained = tokio::time::timeout(DRAIN_TIME, drain(&mut form)).await;
            tracing::debug!(code = error.code().as_str(), finished = drained.is_ok(), "a form was refused");
            error.to_http_response().unwrap_or_else(|_| Response::new(Body::empty()))
        }
    }
}

async fn take(buckets: &Buckets, keys: &KeyPair, bucket: &str, form: &mut Multipart<'static>) -> S3Result<Response<Body>> {
    let mut fields = Fields::default();
    let mut file = None;
    for _ in 0..MAX_FIELDS {
        let field = form.next_field().await.map_err(malformed)?;
        let field = field.ok_or_else(|| s3_error!(InvalidArgument, "POST requires exactly one file upload per request."))?;
        let name = field.name().unwrap_or_default().to_owned();
        if name.eq_ignore_ascii_case("file") {
            file = Some(field);
            break;
        }
        fields.add(&name, field.text().await.map_err(malformed)?);
    }
    let file = file.ok_or_else(|| s3_error!(MaxPostPreDataLengthExceededError, "The form has too many fields"))?;
    let length = policy::check(&fields, bucket, keys)?;
    let key = fields.get("key").ok_or_else(|| s3_error!(InvalidArgument, "The form has no field `key`"))?;
    let key = key.replace("${filename}", file.file_name().unwrap_or_default());
    check_key(&key)?;
    buckets.row(bucket).await?;
    let described = describe(&fields, bucket, &key, &file)?;
    let draft = buckets.inner.bodies.receive(file.boxed(), length, ChecksumHasher::default()).await?;
    let etag = hex::encode(draft.md5);
    let change = buckets.publish(described, draft, etag.clone()).await?;
    accepted(&fields, bucket, &key, &etag, &change)
}

fn describe(fields: &Fields, bucket: &str, key: &str, file: &Field<'_>) -> S3Result<Described> {
    let own = |name: &str| fields.get(name).map(str::to_owned);
    let meta = Meta {
        content_type: own("content-type").or_else(|| file.content_type().map(ToString::to_string)),
        content_encoding: own("content-encoding"),
        content_disposition: own("content-disposition"),
        content_language: own("content-language"),
        cache_control: own("cache-control"),
        expires: None,
        redirect: own("x-amz-website-redirect-location"),
        user: fields.user_metadata().collect(),
        sums: Sums::default(),
        retain_until_ms: 0,
    };
    Ok(Described {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        meta,
        tags: meta::tags_of_form(fields.get("tagging"))?,
        how: Created::Post,
        conditions: WriteIf::default(),
    })
}

/// 204, or what `success_action_status` or `success_action_redirect` ask for.
fn accepted(fields: &Fields, bucket: &str, key: &str, etag: &str, change: &Change) -> S3Result<Response<Body>> {
    let quoted = format!("\"{etag}\"");
    let encoded = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string().replace("%2F", "/");
    let mut location = format!("/{bucket}/{encoded}");
    let (mut status, mut body) = (StatusCode::NO_CONTENT, Body::empty());
    match (fields.get("success_action_redirect").filter(|url| url.starts_with("http")), fields.get("success_action_status")) {
        (Some(url), _) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            status = StatusCode::SEE_OTHER;
            location = format!("{url}{joint}bucket={bucket}&key={encoded}&etag=%22{etag}%22");
        }
        (None, Some("200")) => status = StatusCode::OK,
        (None, Some("201")) => {
            status = StatusCode::CREATED;
            body = Body::from(created(&location, bucket, key, &quoted)?);
        }
        _ => {}
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::CREATED {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    }
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    put("etag", &quoted);
    put("location", &location);
    if let Some(version) = &change.version_id {
        put("x-amz-version-id", version);
    }
    Ok(response)
}

fn created(location: &str, bucket: &str, key: &str, etag: &str) -> S3Result<Vec<u8>> {
    let mut xml = Vec::new();
    let mut serializer = Serializer::new(&mut xml);
    let answer = PostResponse { location, bucket, key, etag };
    let written = serializer.decl().and_then(|()| answer.serialize(&mut serializer));
    written.map_err(|error| s3_error!(error, InternalError))?;
    Ok(xml)
}

/// Reads and forgets what is left, within limits.
async fn drain(form: &mut Multipart<'static>) {
    let mut left = DRAIN_BYTES;
    while let Ok(Some(mut field)) = form.next_field().await {
        while let Ok(Some(chunk)) = field.chunk().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

fn malformed(error: multer::Error) -> S3Error {
    s3_error!(error, MalformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data.")
}
