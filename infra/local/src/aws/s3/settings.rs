//! Settings of a bucket: versioning, notifications, lifecycle (kept, not executed).

#[allow(clippy::wildcard_imports, reason = "two types per operation")]
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::{Aftermath, Buckets, bucket, notify, rows};

impl Buckets {
    pub(super) async fn set_versioning(&self, input: PutBucketVersioningInput) -> S3Result<PutBucketVersioningOutput> {
        let name = input.bucket;
        let status = input.versioning_configuration.status;
        let status = status.ok_or_else(|| s3_error!(MalformedXML, "Status is missing"))?.as_str().to_owned();
        if status != "Enabled" && status != "Suspended" {
            return Err(s3_error!(MalformedXML, "`{}` is not a versioning status", status));
        }
        self.change(move |tx, _| {
            rows::bucket(tx, &name)?;
            bucket::set_versioning(tx, &name, &status)?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(PutBucketVersioningOutput::default())
    }

    pub(super) async fn versioning(&self, input: GetBucketVersioningInput) -> S3Result<GetBucketVersioningOutput> {
        let status = Some(self.row(&input.bucket).await?.versioning).filter(|status| !status.is_empty());
        Ok(GetBucketVersioningOutput { status: status.map(Into::into), ..Default::default() })
    }

    pub(super) async fn set_notification(
        &self,
        input: PutBucketNotificationConfigurationInput,
    ) -> S3Result<PutBucketNotificationConfigurationOutput> {
        self.change(move |tx, _| {
            let queues = bucket::set_notification(tx, &input.bucket, input.notification_configuration)?;
            Ok(((), Aftermath { queues, ..Aftermath::default() }))
        })
        .await?;
        Ok(PutBucketNotificationConfigurationOutput::default())
    }

    pub(super) async fn notification(&self, input: GetBucketNotificationConfigurationInput) -> S3Result<GetBucketNotificationConfigurationOutput> {
        let stored = notify::configuration(&self.row(&input.bucket).await?)?;
        Ok(GetBucketNotificationConfigurationOutput {
            event_bridge_configuration: stored.event_bridge_configuration,
            queue_configurations: stored.queue_configurations,
            ..Default::default()
        })
    }

    pub(super) async fn set_lifecycle(&self, input: PutBucketLifecycleConfigurationInput) -> S3Result<PutBucketLifecycleConfigurationOutput> {
        self.change(move |tx, _| {
            rows::bucket(tx, &input.bucket)?;
            bucket::set_lifecycle(tx, &input.bucket, input.lifecycle_configuration.as_ref())?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(PutBucketLifecycleConfigurationOutput::default())
    }

    pub(super) async fn lifecycle(&self, input: GetBucketLifecycleConfigurationInput) -> S3Result<GetBucketLifecycleConfigurationOutput> {
        let missing = || s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist");
        let text = self.row(&input.bucket).await?.lifecycle.ok_or_else(missing)?;
        let stored: BucketLifecycleConfiguration = serde_json::from_str(&text).map_err(|error| s3_error!(error, InternalError))?;
        let rules = Some(stored.rules);
        Ok(GetBucketLifecycleConfigurationOutput { rules, ..Default::default() })
    }

    pub(super) async fn remove_lifecycle(&self, input: DeleteBucketLifecycleInput) -> S3Result<DeleteBucketLifecycleOutput> {
        self.change(move |tx, _| {
            rows::bucket(tx, &input.bucket)?;
            bucket::set_lifecycle(tx, &input.bucket, None)?;
            Ok(((), Aftermath::default()))
        })
        .await?;
        Ok(DeleteBucketLifecycleOutput::default())
    }
}
