//! `POST /file/presign` (ours): the client uploads straight to S3, so files may be larger than an API body.
//!
//! The answer is a form for an HTML-style `POST` (S3's "POST policy"): only this way the size is bounded
//! by S3 itself. The policy names the exact key, the size range and the end of its life; the signature is
//! AWS Signature Version 4 over it.
//! Source: Amazon S3 API reference, "Creating a POST policy" and "Calculating a signature for POST".

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::auth::FileCaller;
use portcullis_core::aws::form_url;
use portcullis_core::clock::{iso, now_ms};
use portcullis_core::domain::submission::Source;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::bad;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::Upload;

/// What signing needs.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    region: String,
    config: SdkConfig,
    credentials: Option<SharedCredentialsProvider>,
}

impl Signing {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            config: config.clone(),
            credentials: config.credentials_provider(),
        }
    }

    /// The form fields for one upload of `1..=max_size` bytes to exactly `key`.
    async fn form(&self, bucket: &str, key: &str, max_size: u64, now: SystemTime, life: Duration) -> Result<Map<String, Value>, ApiError> {
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| ApiError::caused(ErrorCode::RequestFailed, e);
        let provider = self.credentials.as_ref().ok_or_else(|| failed("no credentials are configured".into()))?;
        let credentials = provider.provide_credentials().await.map_err(|e| failed(e.into()))?;
        let at = OffsetDateTime::from(now);
        let date = at.format(format_description!("[year][month][day]")).map_err(|e| failed(e.into()))?;
        let stamp = at.format(format_description!("[year][month][day]T[hour][minute][second]Z")).map_err(|e| failed(e.into()))?;
        let until = OffsetDateTime::from(now + life)
            .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z"))
            .map_err(|e| failed(e.into()))?;
        let mut fields = Map::from_iter([
            ("key".to_owned(), json!(key)),
            ("success_action_status".to_owned(), json!("201")),
            ("x-amz-algorithm".to_owned(), json!("AWS4-HMAC-SHA256")),
            ("x-amz-credential".to_owned(), json!(format!("{}/{date}/{}/s3/aws4_request", credentials.access_key_id(), self.region))),
            ("x-amz-date".to_owned(), json!(stamp)),
        ]);
        if let Some(token) = credentials.session_token() {
            fields.insert("x-amz-security-token".to_owned(), json!(token));
        }
        let mut conditions: Vec<Value> = fields.iter().map(|(name, value)| json!({ name: value })).collect();
        conditions.push(json!({ "bucket": bucket }));
        conditions.push(json!(["content-length-range", 1, max_size]));
        let policy = STANDARD.encode(json!({ "expiration": until, "conditions": conditions }).to_string());
        let signing_key = generate_signing_key(credentials.secret_access_key(), now, &self.region, "s3");
        fields.insert("x-amz-signature".to_owned(), json!(calculate_signature(signing_key, policy.as_bytes())));
        fields.insert("policy".to_owned(), json!(policy));
        Ok(fields)
    }
}

/// Records a submission and answers where to send its bytes. The same headers as `POST /file`; the body is ignored.
pub(crate) async fn presign(State(upload): State<Upload>, FileCaller(caller): FileCaller, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    if headers.get("downloadfrom").is_some_and(|link| !link.is_empty()) {
        return Err(bad("`downloadfrom` can not be combined with a presigned upload."));
    }
    let planned = upload.plan(&caller, &headers, Source::Presigned).await?;
    let submission = &planned.submission;
    let mut answer = upload.form(&submission.bucket, &submission.key, planned.rule.max_file_size).await?;
    upload.record(&planned).await?;
    tracing::info!(data_id = %submission.id, rule = submission.rule, "presigned");
    answer.insert("data_id".to_owned(), json!(submission.id));
    Ok(Json(Value::Object(answer)))
}

impl Upload {
    /// What a client needs to send at most `max_size` bytes to exactly this key.
    pub(crate) async fn form(&self, bucket: &str, key: &str, max_size: u64) -> Result<Map<String, Value>, ApiError> {
        let life = Duration::from_secs(self.presign_seconds);
        let fields = self.signing.form(bucket, key, max_size, SystemTime::now(), life).await?;
        Ok(Map::from_iter([
            ("method".to_owned(), json!("POST")),
            ("url".to_owned(), json!(form_url(&self.signing.config, bucket))),
            ("fields".to_owned(), Value::Object(fields)),
            ("file_field".to_owned(), json!("file")),
            ("max_file_size".to_owned(), json!(max_size)),
            ("expires_at".to_owned(), json!(iso(now_ms() + i64::try_from(life.as_millis()).unwrap_or_default()))),
            ("expires_in".to_owned(), json!(self.presign_seconds)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use std::time::UNIX_EPOCH;

    #[tokio::test]
    async fn the_policy_names_key_size_and_expiry_and_is_signed() {
        let signing = Signing {
            region: "us-east-1".into(),
            config: SdkConfig::builder().region(aws_config::Region::new("us-east-1")).build(),
            credentials: Some(SharedCredentialsProvider::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", Some("token".into()), None, "test"))),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_451_347_200);
        let fields = signing.form("bucket", "in/abc", 500, now, Duration::from_mins(15)).await.unwrap();
        let policy: Value = serde_json::from_slice(&STANDARD.decode(fields["policy"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(policy["expiration"], "2015-12-29T00:15:00.000Z");
        let conditions = policy["conditions"].as_array().unwrap();
        for wanted in
            [json!({"key": "in/abc"}), json!({"bucket": "bucket"}), json!(["content-length-range", 1, 500]), json!({"x-amz-security-token": "token"})]
        {
            assert!(conditions.contains(&wanted), "{wanted} in {policy}");
        }
        // S3 refuses a form with fields that the policy does not name.
        for name in fields.keys().filter(|name| !matches!(name.as_str(), "policy" | "x-amz-signature")) {
            assert!(conditions.iter().any(|c| c.get(name).is_some()), "{name}");
        }
        assert_eq!(fields["x-amz-signature"].as_str().unwrap().len(), 64);
        assert_eq!(form_url(&signing.config, "bucket"), "https://bucket.s3.us-east-1.amazonaws.com/");
    }
}
