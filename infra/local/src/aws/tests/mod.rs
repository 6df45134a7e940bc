//! The emulator through the real AWS SDK, on loopback, with a folder of its own per test.

mod crash;
mod dynamodb;
mod events;
mod forms;
mod s3;
mod secrets;
mod sqs;
mod versions;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use aws_credential_types::Credentials;
use tempfile::TempDir;

use super::{Emulator, EmulatorConfig};

pub(super) const ACCESS_KEY: &str = "test";
pub(super) const SECRET_KEY: &str = "test-secret";
pub(super) const REGION: &str = "us-east-1";

/// A running emulator with its clients.
pub(super) struct Stack {
    pub(super) emulator: Emulator,
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) dynamodb: aws_sdk_dynamodb::Client,
    dir: TempDir,
}

impl Stack {
    pub(super) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(super) async fn start_in(dir: TempDir) -> Self {
        let emulator = Emulator::start(config(dir.path())).await.unwrap();
        let (s3, sqs, dynamodb) = clients(&emulator.endpoint());
        Self { emulator, s3, sqs, dynamodb, dir }
    }

    /// Stops without any goodbye and starts again on the same folder.
    pub(super) async fn restart(self) -> Self {
        let Self { emulator, dir, .. } = self;
        drop(emulator);
        Self::start_in(dir).await
    }

    /// Files in the body folders: finished, unfinished.
    pub(super) fn body_files(&self) -> (usize, usize) {
        let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
        let shards = std::fs::read_dir(self.dir.path().join("bodies")).unwrap();
        let finished = shards.map(|shard| count(&shard.unwrap().path())).sum();
        (finished, count(&self.dir.path().join("incoming")))
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) async fn bucket(&self, name: &str) {
        self.s3.create_bucket().bucket(name).send().await.unwrap();
    }

    pub(super) async fn put(&self, bucket: &str, key: &str, body: &[u8]) {
        self.s3.put_object().bucket(bucket).key(key).body(body.to_vec().into()).send().await.unwrap();
    }

    pub(super) async fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let object = self.s3.get_object().bucket(bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    pub(super) async fn keys(&self, bucket: &str) -> Vec<String> {
        let page = self.s3.list_objects_v2().bucket(bucket).send().await.unwrap();
        page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    pub(super) async fn queue(&self, name: &str) -> String {
        self.sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
    }
}

/// Clients of one endpoint.
pub(super) fn clients(endpoint: &str) -> (aws_sdk_s3::Client, aws_sdk_sqs::Client, aws_sdk_dynamodb::Client) {
    let keys = || Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    let http = aws_smithy_http_client::Builder::new().build_http();
    let s3 = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_s3::config::Region::new(REGION))
        .credentials_provider(keys())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .http_client(http.clone())
        .build();
    let sqs = aws_sdk_sqs::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_sqs::config::Region::new(REGION))
        .credentials_provider(keys())
        .endpoint_url(endpoint)
        .http_client(http.clone())
        .build();
    let dynamodb = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_dynamodb::config::Region::new(REGION))
        .credentials_provider(keys())
        .endpoint_url(endpoint)
        .http_client(http)
        .build();
    (aws_sdk_s3::Client::from_conf(s3), aws_sdk_sqs::Client::from_conf(sqs), aws_sdk_dynamodb::Client::from_conf(dynamodb))
}

pub(super) fn config(dir: &Path) -> EmulatorConfig {
    EmulatorConfig {
        data_dir: dir.to_owned(),
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        region: REGION.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
    }
}

/// HTTP status of a failed SDK call.
pub(super) fn status<E>(error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_belongs_to_one_emulator_and_only_loopback_is_served() {
    let stack = Stack::start().await;
    let second = Emulator::start(config(stack.dir())).await;
    assert!(matches!(second, Err(super::StartError::InUse(_))));
    let other = tempfile::tempdir().unwrap();
    let open = EmulatorConfig { addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), ..config(other.path()) };
    assert!(matches!(Emulator::start(open).await, Err(super::StartError::NotLoopback(_))));
    stack.emulator.shutdown().await;
}
