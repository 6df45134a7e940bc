//! The S3 operations: each reads its input, calls the store and shapes the answer. No rule lives here.

#[allow(clippy::wildcard_imports, reason = "every operation has two types of its own; all of them are used below")]
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::answers::owner;
use super::meta::{self, Meta, Sums};
use super::notify::Created;
use super::objects::{Arriving, Described, Precision, ReadIf, Slice, check_key, checksum, etag, timestamp};
use super::rows::WriteIf;
use super::{Aftermath, Buckets, bucket, lock, rows};

/// What the operations that carry a body have in common; their inputs are distinct types with equal fields.
macro_rules! arriving {
    ($req:ident, $input:ident) => {
        Arriving {
            stream: $input.body.take(),
            length: declared_length($input.content_length, &$req.headers)?,
            md5: $input.content_md5.take(),
            sums: Sums {
                crc32: $input.checksum_crc32.take(),
                crc32c: $input.checksum_crc32c.take(),
                crc64nvme: $input.checksum_crc64nvme.take(),
                sha1: $input.checksum_sha1.take(),
                sha256: $input.checksum_sha256.take(),
            },
            announced: announced($input.checksum_algorithm.as_ref(), &$req.headers),
            trailers: $req.trailing_headers.clone(),
        }
    };
}

/// The description of an object in the inputs of put and create-multipart.
macro_rules! described_meta {
    ($input:ident) => {
        Meta {
            content_type: $input.content_type.take(),
            content_encoding: meta::stored_encoding($input.content_encoding.take()),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            redirect: $input.website_redirect_location.take(),
            user: $input.metadata.take().unwrap_or_default(),
            sums: Sums::default(),
            retain_until_ms: 0,
        }
    };
}

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = req.input.bucket;
        let location = format!("/{name}");
        self.change(move |tx, _| {
            if bucket::exists(tx, &name)? {
                return Err(s3_error!(BucketAlreadyOwnedByYou, "You already own the bucket `{}`", name).into());
            }
            bucket::create(tx, &name)?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.row(&req.input.bucket).await?;
        let region = Some(self.inner.context.region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region: region, ..Default::default() }))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let shape = |(name, row): (String, rows::BucketRow)| Bucket {
            name: Some(name),
            creation_date: Some(timestamp(row.created_ms, Precision::Milliseconds)),
            ..Default::default()
        };
        let buckets = self.rows().await?.into_iter().map(shape).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), owner: Some(owner()), ..Default::default() }))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.change(move |tx, _| {
            let orphans = bucket::delete(tx, &req.input.bucket)?;
            Ok(((), Aftermath { orphans, ..Aftermath::default() }))
        })
        .await?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn get_bucket_location(&self, req: S3Request<GetBucketLocationInput>) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.row(&req.input.bucket).await?;
        // The oldest region has no name here.
        let region = Some(self.inner.context.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: region.map(Into::into) }))
    }

    async fn put_bucket_versioning(&self, req: S3Request<PutBucketVersioningInput>) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        Ok(S3Response::new(self.set_versioning(req.input).await?))
    }

    async fn get_bucket_versioning(&self, req: S3Request<GetBucketVersioningInput>) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        Ok(S3Response::new(self.versioning(req.input).await?))
    }

    async fn put_bucket_notification_configuration(
        &self,
        req: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        Ok(S3Response::new(self.set_notification(req.input).await?))
    }

    async fn get_bucket_notification_configuration(
        &self,
        req: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        Ok(S3Response::new(self.notification(req.input).await?))
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        Ok(S3Response::new(self.set_lifecycle(req.input).await?))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        Ok(S3Response::new(self.lifecycle(req.input).await?))
    }

    async fn delete_bucket_lifecycle(&self, req: S3Request<DeleteBucketLifecycleInput>) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        Ok(S3Response::new(self.remove_lifecycle(req.input).await?))
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut req.input;
        let described = Described {
            bucket: std::mem::take(&mut input.bucket),
            key: std::mem::take(&mut input.key),
            meta: described_meta!(input),
            tags: meta::tags_of_header(input.tagging.as_deref())?,
            how: Created::Put,
            conditions: WriteIf { matches: input.if_match.take(), none_match: input.if_none_match.take() },
        };
        let arriving = arriving!(req, input);
        let (change, md5, sums, _) = self.put(described, arriving).await?;
        let sums = checksum(&sums);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&md5)),
            version_id: change.version_id,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..Default::default()
        }))
    }

    /// Forms are taken by [`super::form`], streamed; s3s would hold them in memory.
    async fn post_object(&self, _: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
        Err(s3_error!(NotImplemented, "A form must be posted to its bucket"))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let conditions = ReadIf {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        let (mut row, mut version) = self.look_up(&input.bucket, &input.key, input.version_id.clone()).await?;
        conditions.check(&version)?;
        let mut slice = Slice::of(input.range, version.size)?;
        let body = if let Ok(body) = self.open(&version, slice).await {
            body
        } else {
            // Replaced between the look-up and here: the second look finds what replaced it.
            (row, version) = self.look_up(&input.bucket, &input.key, input.version_id).await?;
            conditions.check(&version)?;
            slice = Slice::of(input.range, version.size)?;
            self.open(&version, slice).await?
        };
        let sums = if slice.partial { Checksum::default() } else { checksum(&version.meta.sums) };
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(body),
            content_length: i64::try_from(slice.length).ok(),
            content_range: slice.content_range(version.size),
            content_type: Some(version.meta.content_type()),
            last_modified: Some(timestamp(version.modified_ms, Precision::Seconds)),
            e_tag: Some(etag(&version.etag)),
            tag_count: i32::try_from(version.tags.len()).ok().filter(|count| *count > 0),
            version_id: version.shown_id(&row),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            content_encoding: version.meta.content_encoding,
            content_disposition: version.meta.content_disposition,
            content_language: version.meta.content_language,
            cache_control: version.meta.cache_control,
            expires: version.meta.expires,
            website_redirect_location: version.meta.redirect,
            metadata: Some(version.meta.user),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let conditions = ReadIf {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        let (row, version) = self.look_up(&input.bucket, &input.key, input.version_id).await?;
        conditions.check(&version)?;
        let slice = Slice::of(input.range, version.size)?;
        let sums = if slice.partial { Checksum::default() } else { checksum(&version.meta.sums) };
        let (object_lock_mode, object_lock_retain_until_date) = lock::shown(&version);
        let output = HeadObjectOutput {
            object_lock_mode,
            object_lock_retain_until_date,
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(slice.length).ok(),
            content_range: slice.content_range(version.size),
            content_type: Some(version.meta.content_type()),
            last_modified: Some(timestamp(version.modified_ms, Precision::Seconds)),
            e_tag: Some(etag(&version.etag)),
            version_id: version.shown_id(&row),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            content_encoding: version.meta.content_encoding,
            content_disposition: version.meta.content_disposition,
            content_language: version.meta.content_language,
            cache_control: version.meta.cache_control,
            expires: version.meta.expires,
            website_redirect_location: version.meta.redirect,
            metadata: Some(version.meta.user),
            ..Default::default()
        };
        let mut response = S3Response::new(output);
        if slice.partial {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let (source, source_bucket, change, sums) = self.copy(req.input).await?;
        let result = CopyObjectResult {
            checksum_sha256: sums.sha256,
            e_tag: Some(etag(&source.etag)),
            last_modified: Some(timestamp(change.modified_ms, Precision::Milliseconds)),
            ..Default::default()
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: source.shown_id(&source_bucket),
            version_id: change.version_id,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let change =
            self.remove(&input.bucket, &input.key, input.version_id, input.if_match, input.bypass_governance_retention.unwrap_or_default()).await?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: change.delete_marker.then_some(true),
            version_id: change.version_id,
            ..Default::default()
        }))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, bypass_governance_retention, .. } = req.input;
        let bypass = bypass_governance_retention.unwrap_or_default();
        if delete.objects.is_empty() || delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "Between 1 and 1000 keys can be deleted at once"));
        }
        self.row(&bucket).await?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in delete.objects {
            let if_match = object.e_tag.map(ETagCondition::ETag);
            match self.remove(&bucket, &object.key, object.version_id.clone(), if_match, bypass).await {
                Ok(change) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    delete_marker: change.delete_marker.then_some(true),
                    delete_marker_version_id: change.version_id.filter(|_| change.delete_marker),
                    version_id: object.version_id,
                }),
                Err(failure) => {
                    let error = s3s::S3Error::from(failure);
                    errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: object.version_id,
                    });
                }
            }
        }
        let quiet = delete.quiet.unwrap_or_default();
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors).filter(|list| !list.is_empty()),
            ..Default::default()
        }))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        Ok(S3Response::new(self.list_v1(req.input).await?))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        Ok(S3Response::new(self.list_v2(req.input).await?))
    }

    async fn list_object_versions(&self, req: S3Request<ListObjectVersionsInput>) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        Ok(S3Response::new(self.list_versions(req.input).await?))
    }

    async fn put_object_retention(&self, req: S3Request<PutObjectRetentionInput>) -> S3Result<S3Response<PutObjectRetentionOutput>> {
        Ok(S3Response::new(self.set_retention(req.input).await?))
    }

    async fn put_object_tagging(&self, req: S3Request<PutObjectTaggingInput>) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let PutObjectTaggingInput { bucket, key, version_id, tagging, .. } = req.input;
        let tags = meta::tags_of_set(tagging.tag_set)?;
        let shown = self.retag(bucket, key, version_id, tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id: shown }))
    }

    async fn get_object_tagging(&self, req: S3Request<GetObjectTaggingInput>) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let (row, version) = self.look_up(&req.input.bucket, &req.input.key, req.input.version_id).await?;
        let version_id = version.shown_id(&row);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set: meta::tag_set(version.tags), version_id }))
    }

    async fn delete_object_tagging(&self, req: S3Request<DeleteObjectTaggingInput>) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let DeleteObjectTaggingInput { bucket, key, version_id, .. } = req.input;
        let shown = self.retag(bucket, key, version_id, meta::Tags::new()).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: shown }))
    }

    async fn create_multipart_upload(&self, mut req: S3Request<CreateMultipartUploadInput>) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = &mut req.input;
        let meta = described_meta!(input);
        let tags = meta::tags_of_header(input.tagging.as_deref())?;
        let upload_id = self.begin(&input.bucket, &input.key, meta, tags).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(req.input.bucket),
            key: Some(req.input.key),
            upload_id: Some(upload_id),
            checksum_algorithm: req.input.checksum_algorithm,
            ..Default::default()
        }))
    }

    async fn upload_part(&self, mut req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &mut req.input;
        let arriving = arriving!(req, input);
        let (md5, sums) = self.add_part(&input.bucket, &input.key, &input.upload_id, input.part_number, arriving).await?;
        let sums = checksum(&sums);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(etag(&md5)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(&self, req: S3Request<CompleteMultipartUploadInput>) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let conditions = WriteIf { matches: input.if_match, none_match: input.if_none_match };
        let (change, md5) = self.complete(&input.bucket, &input.key, &input.upload_id, listed, conditions).await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(etag(&md5)),
            version_id: change.version_id,
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(&self, req: S3Request<AbortMultipartUploadInput>) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort(&req.input.bucket, &req.input.key, &req.input.upload_id).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        Ok(S3Response::new(self.list_upload_parts(req.input).await?))
    }

    async fn list_multipart_uploads(&self, req: S3Request<ListMultipartUploadsInput>) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        Ok(S3Response::new(self.list_uploads(req.input).await?))
    }
}

impl Buckets {
    async fn retag(&self, bucket: String, key: String, version_id: Option<String>, tags: meta::Tags) -> S3Result<Option<String>> {
        check_key(&key)?;
        let shown = self
            .change(move |tx, _| {
                let shown = rows::set_tags(tx, &bucket, &key, version_id.as_deref(), &tags)?;
                Ok((shown, Aftermath::default()))
            })
            .await?;
        Ok(shown)
    }
}

fn declared_length(length: Option<i64>, headers: &http::HeaderMap) -> S3Result<u64> {
    let decoded = headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    match decoded.or(length) {
        None => Err(s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header.")),
        Some(length) => u64::try_from(length).map_err(|error| s3_error!(error, InvalidArgument)),
    }
}

/// Which checksum will follow the body: the trailer's name, or the algorithm of the SDK header.
fn announced(algorithm: Option<&ChecksumAlgorithm>, headers: &http::HeaderMap) -> String {
    let trailer = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok());
    trailer.or(algorithm.map(ChecksumAlgorithm::as_str)).unwrap_or_default().to_owned()
}
