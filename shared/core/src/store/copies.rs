//! Copies of objects within S3: of exactly one version, and shown to be that.
//!
//! What always holds: a copy is answered only when S3's own SHA-256 over its bytes (or, of a server that has none, the one over
//! what is read back) is the one that was judged; so whoever
//! removes an original after this loses nothing. A copy that is there already is not made again.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, MetadataDirective, TaggingDirective};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::objects::Objects;
use crate::domain::submission::ObjectRef;

/// What stays as it is in a copy source: the key's own separators.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Metadata that names the submission a copy was made for.
const DATA_ID: &str = "data-id";

/// What a copy is made with.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// Bucket it goes to.
    pub bucket: &'a str,
    /// Key it gets.
    pub key: &'a str,
    /// SHA-256 of the content as it was judged, hex.
    pub sha256: &'a str,
    /// The submission.
    pub data_id: &'a str,
    /// Tags it has from the start.
    pub tags: &'a [(&'a str, String)],
}

/// A copy that is proven to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The copy.
    pub object: ObjectRef,
    /// It can not be deleted before, ms since the epoch; 0 = it can.
    pub locked_until: i64,
}

impl Objects {
    /// Copies exactly this version. A copy of the same content for the same submission that is there already is taken.
    ///
    /// # Errors
    /// `Conflict` when the object is another one by now, `Missing` when it is gone, `Permanent` when the copy is not proven.
    pub async fn copy_proven(&self, from: &ObjectRef, to: Copied<'_>) -> Result<Proven, StoreError> {
        const WHAT: &str = "copy an object";
        let digest = digest_to_prove(to)?;
        if let Some(there) = self.proven(to, None, &digest).await? {
            return Ok(there);
        }
        let path = |text: &str| utf8_percent_encode(text, IN_PATHS).to_string();
        let version = from.version.as_ref().map(|version| format!("?versionId={}", path(version))).unwrap_or_default();
        let tagging: Vec<_> = to.tags.iter().map(|(name, value)| format!("{}={}", form(name), form(value))).collect();
        let sent = self
            .client()
            .copy_object()
            .copy_source(format!("{}/{}{version}", from.bucket, path(&from.key)))
            .copy_source_if_match(format!("\"{}\"", from.etag))
            .bucket(to.bucket)
            .key(to.key)
            .content_type("application/octet-stream")
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(HashMap::from([(DATA_ID.to_owned(), to.data_id.to_owned())])))
            .tagging_directive(TaggingDirective::Replace)
            .set_tagging((!tagging.is_empty()).then(|| tagging.join("&")))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await;
        let output = match sent {
            Ok(output) => output,
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 412 => return Err(StoreError::Conflict { what: WHAT }),
            Err(error) => return Err(StoreError::from_sdk(WHAT, error)),
        };
        let unproven = || StoreError::Permanent { what: WHAT, source: "the copy has other bytes than were judged".into() };
        self.proven(to, output.version_id, &digest).await?.ok_or_else(unproven)
    }

    /// The copy under the key, if it is one of this content for this submission.
    ///
    /// # Errors
    /// When S3 can not be asked.
    pub async fn copy_there(&self, to: Copied<'_>) -> Result<Option<Proven>, StoreError> {
        self.proven(to, None, &digest_to_prove(to)?).await
    }

    /// The object under the key, or that version of it, if it is a copy of this content for this submission.
    async fn proven(&self, to: Copied<'_>, version: Option<String>, digest: &str) -> Result<Option<Proven>, StoreError> {
        let request = self.client().head_object().bucket(to.bucket).key(to.key).set_version_id(version);
        let output = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(output) => output,
            Err(SdkError::ServiceError(service)) if service.err().is_not_found() || service.raw().status().as_u16() == 404 => return Ok(None),
            Err(error) => return Err(StoreError::from_sdk("look at a copy", error)),
        };
        let is_of = |name: &str| output.metadata().and_then(|metadata| metadata.get(name)).is_some_and(|value| value == to.data_id);
        if !is_of(DATA_ID) {
            return Ok(None);
        }
        let is_same = match output.checksum_sha256() {
            Some(sha256) => sha256 == digest,
            // S3 always has one; not every server that speaks its protocol.
            None => self.digest_of(to, output.version_id.clone()).await? == digest,
        };
        if !is_same {
            return Ok(None);
        }
        let object = ObjectRef {
            bucket: to.bucket.to_owned(),
            key: to.key.to_owned(),
            version: output.version_id,
            etag: output.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
            size: output.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
        };
        Ok(Some(Proven { object, locked_until: ms(output.object_lock_retain_until_date) }))
    }

    /// SHA-256 of an object, as S3 writes it, by reading all of it.
    async fn digest_of(&self, to: Copied<'_>, version: Option<String>) -> Result<String, StoreError> {
        const WHAT: &str = "read a copy";
        let request = self.client().get_object().bucket(to.bucket).key(to.key).set_version_id(version);
        let mut body = request.send().await.map_err(|e| StoreError::from_sdk(WHAT, e))?.body;
        let mut digest = Sha256::new();
        while let Some(piece) = body.next().await {
            digest.update(piece.map_err(|e| StoreError::Retry { what: WHAT, source: e.into() })?);
        }
        Ok(base64(&digest.finalize()))
    }

    /// Until when this version can not be deleted, ms since the epoch; 0 = it can; `None`: it is not there.
    pub async fn locked_until(&self, object: &ObjectRef) -> Result<Option<i64>, StoreError> {
        let request = self.client().head_object().bucket(&object.bucket).key(&object.key).set_version_id(object.version.clone());
        match request.send().await {
            Ok(output) => Ok(Some(ms(output.object_lock_retain_until_date))),
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(StoreError::from_sdk("look at an object", error)),
        }
    }

    /// Removes exactly this version, for good. One that is not there is removed.
    ///
    /// # Errors
    /// `Permanent` also when it is locked, or has no version: its key may have another content by now.
    pub async fn remove_version(&self, object: &ObjectRef) -> Result<(), StoreError> {
        const WHAT: &str = "remove a version";
        let Some(version) = &object.version else {
            return Err(StoreError::Permanent { what: WHAT, source: "the bucket has no versions".into() });
        };
        let request = self.client().delete_object().bucket(&object.bucket).key(&object.key).version_id(version);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match StoreError::from_sdk(WHAT, error) {
                StoreError::Missing { .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    /// A link to this version that needs no key, for `life`; a browser stores it under `name` and shows it never.
    pub async fn link(&self, object: &ObjectRef, name: &str, life: Duration) -> Result<String, StoreError> {
        let config = PresigningConfig::expires_in(life).map_err(|e| StoreError::corrupt("make a link", e))?;
        let request = self.client().get_object().bucket(&object.bucket).key(&object.key).set_version_id(object.version.clone());
        let request =
            request.response_content_type("application/octet-stream").response_content_disposition(format!("attachment; filename=\"{name}\""));
        let presigned = request.presigned(config).await.map_err(|e| StoreError::from_sdk("make a link", e))?;
        Ok(presigned.uri().to_owned())
    }
}

/// SHA-256 as S3 writes it.
fn digest_to_prove(to: Copied<'_>) -> Result<String, StoreError> {
    let digest = hex::decode(to.sha256).ok().filter(|bytes| bytes.len() == 32).map(|bytes| base64(&bytes));
    digest.ok_or_else(|| StoreError::Permanent { what: "copy an object", source: "its content was never read".into() })
}

fn ms(at: Option<DateTime>) -> i64 {
    at.and_then(|at| at.to_millis().ok()).unwrap_or_default()
}

/// As in a form: what is neither letter nor digit is encoded.
fn form(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn base64(bytes: &[u8]) -> String {
    aws_smithy_types::base64::encode(bytes)
}
