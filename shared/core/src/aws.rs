//! AWS clients: created lazily, shared, with a small TLS set-up.
//!
//! TLS trusts Amazon's own roots only (these functions call nothing but AWS; parsing the system's 140
//! roots costs 4 ms of every cold start), unless `AWS_CA_BUNDLE` names another PEM file.

use std::sync::OnceLock;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

/// Amazon Root CA 1–4 and Starfield Services Root CA G2, from <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: &[u8] = include_bytes!("../certs/amazon-roots.pem");

/// The SDK clients of one process.
#[derive(Debug)]
pub struct Clients {
    config: SdkConfig,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
    secrets: OnceLock<aws_sdk_secretsmanager::Client>,
}

impl Clients {
    /// From the environment, as Lambda sets it.
    ///
    /// # Errors
    /// When `AWS_CA_BUNDLE` names a file that can not be used.
    pub async fn from_env() -> Result<Self, ClientError> {
        let roots = match std::env::var_os("AWS_CA_BUNDLE") {
            Some(path) => std::fs::read(&path).map_err(ClientError::CaBundle)?,
            None => AMAZON_ROOTS.to_vec(),
        };
        let tls = TlsContext::builder()
            .with_trust_store(TrustStore::empty().with_pem_certificate(roots))
            .build()
            .map_err(|e| ClientError::Tls(e.into()))?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https();
        Ok(Self::new(aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await))
    }

    /// With a configuration of one's own (endpoint, credentials).
    pub const fn new(config: SdkConfig) -> Self {
        Self { config, dynamodb: OnceLock::new(), s3: OnceLock::new(), sqs: OnceLock::new(), secrets: OnceLock::new() }
    }

    /// A configuration for an endpoint on this machine, with static credentials.
    pub fn for_endpoint(endpoint: &str, region: &str, access_key: &str, secret_key: &str) -> Self {
        let http = Builder::new().build_http();
        let credentials = aws_credential_types::Credentials::new(access_key, secret_key, None, None, "static");
        Self::new(
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(http)
                .endpoint_url(endpoint)
                .region(aws_config::Region::new(region.to_owned()))
                .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
                .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new()))
                .time_source(aws_smithy_async::time::SystemTimeSource::new())
                .build(),
        )
    }

    /// Region, credentials and endpoint, for signing by hand.
    pub const fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| aws_sdk_dynamodb::Client::new(&self.config))
    }

    /// S3. With an endpoint of one's own, buckets are addressed by path: host names of buckets resolve only at AWS.
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            let own_endpoint = self.config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
            aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&self.config).force_path_style(own_endpoint).build())
        })
    }

    /// SQS.
    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.sqs.get_or_init(|| aws_sdk_sqs::Client::new(&self.config))
    }

    /// Secrets Manager.
    pub fn secrets(&self) -> &aws_sdk_secretsmanager::Client {
        self.secrets.get_or_init(|| aws_sdk_secretsmanager::Client::new(&self.config))
    }
}

/// Where a form with a file for `bucket` is sent: the bucket's own host at AWS, a path elsewhere.
pub fn form_url(config: &SdkConfig, bucket: &str) -> String {
    if let Some(endpoint) = config.endpoint_url() {
        return format!("{}/{bucket}", endpoint.trim_end_matches('/'));
    }
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{bucket}.s3.{region}.{suffix}/")
}

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `AWS_CA_BUNDLE` could not be read.
    #[error("AWS_CA_BUNDLE can not be read")]
    CaBundle(#[source] std::io::Error),
    /// The certificates can not be used.
    #[error("TLS can not be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}
