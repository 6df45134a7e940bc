//! Writing, reading, copying and deleting single objects.

use std::time::{Duration, SystemTime};

use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    Checksum, ChecksumAlgorithm, CopyObjectInput, CopySource, ETag, ETagCondition, MetadataDirective, Range, StreamingBlob, TaggingDirective,
    Timestamp,
};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::bodies::{Draft, Length};
use super::error::Failure;
use super::meta::{self, Meta, Sums, Tags};
use super::notify::Created;
use super::rows::{self, BucketRow, Change, NewObject, Version, WriteIf};
use super::{Aftermath, Buckets};

/// A body on its way in, with everything the client said about it.
pub(super) struct Arriving {
    pub(super) stream: Option<StreamingBlob>,
    /// Declared bytes of content (not of the chunked transfer).
    pub(super) length: u64,
    /// `Content-MD5`, base64.
    pub(super) md5: Option<String>,
    /// Checksums sent in front of the body.
    pub(super) sums: Sums,
    /// Algorithm or trailer announced for behind the body.
    pub(super) announced: String,
    pub(super) trailers: Option<TrailingHeaders>,
}

/// A new object without its body.
pub(super) struct Described {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) meta: Meta,
    pub(super) tags: Tags,
    pub(super) how: Created,
    pub(super) conditions: WriteIf,
}

/// Conditions of a read.
#[derive(Debug, Default)]
pub(super) struct ReadIf {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_match: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

/// Part of an object: bytes `start..start + length` of `size`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) partial: bool,
}

impl Slice {
    pub(super) fn of(range: Option<Range>, size: u64) -> S3Result<Self> {
        let Some(range) = range else { return Ok(Self { start: 0, length: size, partial: false }) };
        let unsatisfiable = || {
            let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
            let mut headers = http::HeaderMap::new();
            if let Ok(value) = http::HeaderValue::try_from(format!("bytes */{size}")) {
                headers.insert(http::header::CONTENT_RANGE, value);
            }
            error.set_headers(headers);
            error
        };
        let bytes = range.check(size).map_err(|_| unsatisfiable())?;
        Ok(Self { start: bytes.start, length: bytes.end - bytes.start, partial: true })
    }

    pub(super) fn content_range(&self, size: u64) -> Option<String> {
        self.partial.then(|| format!("bytes {}-{}/{size}", self.start, (self.start + self.length).saturating_sub(1)))
    }
}

impl ReadIf {
    /// Precedence of RFC 9110, section 13.2.2, as S3 documents it.
    pub(super) fn check(&self, version: &Version) -> S3Result<()> {
        let modified = timestamp(version.modified_ms, Precision::Seconds);
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        let unchanged = || s3_error!(NotModified, "Not Modified");
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !rows::fits(condition, &version.etag) => return Err(failed()),
            (None, Some(since)) if modified > *since => return Err(failed()),
            _ => {}
        }
        let weak = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == version.etag,
        };
        match (&self.none_match, &self.modified_since) {
            (Some(condition), _) if weak(condition) => Err(unchanged()),
            (None, Some(since)) if modified <= *since => Err(unchanged()),
            _ => Ok(()),
        }
    }
}

impl Buckets {
    /// Stores a body as an object.
    pub(super) async fn put(&self, described: Described, arriving: Arriving) -> S3Result<(Change, String, Sums, u64)> {
        check_key(&described.key)?;
        self.row(&described.bucket).await?;
        let (draft, sums) = self.arrive(arriving).await?;
        let etag = hex::encode(draft.md5);
        let size = draft.size;
        let mut described = described;
        described.meta.sums = sums.clone();
        let change = self.publish(described, draft, etag.clone()).await?;
        Ok((change, etag, sums, size))
    }

    /// Takes a body in and checks every digest the client gave.
    pub(super) async fn arrive(&self, arriving: Arriving) -> S3Result<(Draft, Sums)> {
        let stream = arriving.stream.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
        let mut sent = arriving.sums;
        let hasher: ChecksumHasher = sent.hasher(&arriving.announced);
        let mut draft = self.inner.bodies.receive(stream, Length::Exactly(arriving.length), hasher).await?;
        if let Some(md5) = arriving.md5 {
            use base64::Engine as _;
            let wanted = base64::engine::general_purpose::STANDARD
                .decode(md5)
                .map_err(|error| s3_error!(error, InvalidDigest, "The Content-MD5 you specified is not valid."))?;
            if wanted != draft.md5 {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        sent.add_trailers(arriving.trailers.as_ref());
        let sums = sent.verified(std::mem::take(&mut draft.sums))?;
        Ok((draft, sums))
    }

    /// Moves the body to its place and makes the object visible.
    pub(super) async fn publish(&self, described: Described, draft: Draft, etag: String) -> Result<Change, Failure> {
        self.change(move |tx, inner| {
            let mut draft = draft;
            let object = NewObject {
                bucket: described.bucket,
                key: described.key,
                size: draft.size,
                etag,
                body: draft.name.clone(),
                meta: described.meta,
                tags: described.tags,
                how: described.how,
                conditions: described.conditions,
            };
            inner.bodies.finish(&mut draft)?;
            let mut change = rows::insert(tx, &inner.context, &object)?;
            // Last step before the commit: should that fail, the next start removes the body.
            draft.keep();
            let after = aftermath(&mut change);
            Ok((change, after))
        })
        .await
    }

    /// The version a read asks for.
    pub(super) async fn look_up(&self, bucket: &str, key: &str, version_id: Option<String>) -> Result<(BucketRow, Version), Failure> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.inner.db.read(move |conn| rows::readable(conn, &bucket, &key, version_id.as_deref())).await
    }

    /// Opens the bytes of a version.
    pub(super) async fn open(&self, version: &Version, slice: Slice) -> Result<StreamingBlob, Failure> {
        let name = version.body.as_deref().unwrap_or_default();
        Ok(self.inner.bodies.stream(name, slice.start, slice.length).await?)
    }

    /// CopyObject: the bytes are shared, the description is copied or replaced as the directives say.
    /// Answers source, its bucket, what changed, and the checksums of the copy.
    pub(super) async fn copy(&self, input: CopyObjectInput) -> S3Result<(Version, BucketRow, Change, Sums)> {
        check_key(&input.key)?;
        let CopySource::Bucket { bucket, key, version_id } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "Access points are not supported by the local host"));
        };
        let (source_bucket, source) = self.look_up(bucket, key, version_id.as_deref().map(str::to_owned)).await?;
        let conditions = ReadIf {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.check(&source).map_err(|_| s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))?;
        let replace_meta = input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let replace_tags = input.tagging_directive.as_ref().is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        if **bucket == *input.bucket && **key == *input.key && version_id.is_none() && !replace_meta {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing it."
            ));
        }
        let asked = input.checksum_algorithm.as_ref().is_some_and(|algorithm| algorithm.as_str() == ChecksumAlgorithm::SHA256);
        let mut meta = if replace_meta {
            Meta {
                content_type: input.content_type,
                content_encoding: meta::stored_encoding(input.content_encoding),
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                expires: input.expires,
                redirect: input.website_redirect_location,
                user: input.metadata.unwrap_or_default(),
                sums: source.meta.sums.clone(),
                retain_until_ms: 0,
            }
        } else {
            source.meta.clone()
        };
        if asked {
            meta.sums = Sums { sha256: Some(self.sha256(&source).await?), ..Sums::default() };
        }
        let sums = meta.sums.clone();
        let tags = if replace_tags { meta::tags_of_header(input.tagging.as_deref())? } else { source.tags.clone() };
        let bodies = self.inner.bodies.clone();
        let name = source.body.clone().unwrap_or_default();
        let mut draft = blocking(move || Ok(bodies.link(&name)?)).await?;
        draft.size = source.size;
        let (bucket, key) = (input.bucket, input.key);
        let described = Described { bucket, key, meta, tags, how: Created::Copy, conditions: WriteIf::default() };
        let change = self.publish(described, draft, source.etag.clone()).await?;
        Ok((source, source_bucket, change, sums))
    }

    /// SHA-256 of a version's bytes, base64.
    async fn sha256(&self, version: &Version) -> S3Result<String> {
        use base64::Engine as _;
        use futures::TryStreamExt as _;
        use sha2::Digest as _;
        let mut body = self.open(version, Slice { start: 0, length: version.size, partial: false }).await?;
        let mut digest = sha2::Sha256::new();
        while let Some(piece) = body.try_next().await.map_err(|error| s3_error!(InternalError, "The source can not be read: {}", error))? {
            digest.update(&piece);
        }
        Ok(base64::engine::general_purpose::STANDARD.encode(digest.finalize()))
    }

    /// DeleteObject.
    pub(super) async fn remove(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<String>,
        if_match: Option<ETagCondition>,
        bypass_lock: bool,
    ) -> Result<Change, Failure> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.change(move |tx, _| {
            let mut change = rows::delete(tx, &bucket, &key, version_id.as_deref(), if_match.as_ref(), bypass_lock)?;
            let after = aftermath(&mut change);
            Ok((change, after))
        })
        .await
    }
}

/// Runs file work on a thread made for it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::Body(std::io::Error::other(error))))
}

/// Refuses what no client can mean: empty keys and NUL characters. Anything else is a name like any other.
pub(super) fn check_key(key: &str) -> S3Result<()> {
    if key.is_empty() || key.contains('\0') {
        return Err(s3_error!(InvalidArgument, "The object key must not be empty or contain NUL"));
    }
    if key.len() > 1024 {
        return Err(s3_error!(KeyTooLongError, "Your key is too long"));
    }
    Ok(())
}

/// How exact a time is: HTTP headers have seconds, XML has milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Seconds,
    Milliseconds,
}

/// Epoch milliseconds as the protocol's type.
pub(super) fn timestamp(ms: i64, precision: Precision) -> Timestamp {
    let ms = u64::try_from(ms).unwrap_or(0);
    let ms = if precision == Precision::Seconds { ms / 1000 * 1000 } else { ms };
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

/// The ETag of a row.
pub(super) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

/// The stored checksums as the protocol's type.
pub(super) fn checksum(sums: &Sums) -> Checksum {
    Checksum {
        checksum_crc32: sums.crc32.clone(),
        checksum_crc32c: sums.crc32c.clone(),
        checksum_crc64nvme: sums.crc64nvme.clone(),
        checksum_sha1: sums.sha1.clone(),
        checksum_sha256: sums.sha256.clone(),
        ..Checksum::default()
    }
}

fn aftermath(change: &mut Change) -> Aftermath {
    Aftermath { queues: std::mem::take(&mut change.queues), orphans: std::mem::take(&mut change.orphans) }
}
