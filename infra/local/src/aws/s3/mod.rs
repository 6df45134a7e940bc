//! S3: versioned buckets on SQLite rows and body files, served by `s3s`, which checks SigV4 and POST policies.
//!
//! What always holds: an object is visible when its row is committed, with its whole body in place and its events in
//! their queues; a transfer that fails leaves nothing.

mod answers;
mod bodies;
mod bucket;
mod cors;
mod error;
mod form;
mod listing;
mod lock;
mod meta;
mod multipart;
mod notify;
mod objects;
mod policy;
mod rows;
mod service;
mod settings;

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use s3s::auth::{S3Auth, SecretKey, SimpleAuth};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result, s3_error};

pub(super) use self::bodies::Bodies;
pub use self::bucket::{BucketSpec, QueueRule};
use self::error::Failure;
use self::notify::Context;
use super::db::Db;
use super::sqs::Queues;

/// The buckets, for the process that hosts them.
#[derive(Debug, Clone)]
pub struct Buckets {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Arc<Db>,
    bodies: Bodies,
    queues: Queues,
    context: Context,
    cors: cors::Cors,
}

impl Buckets {
    pub(super) fn new(db: Arc<Db>, bodies: Bodies, queues: Queues, region: String) -> Self {
        Self { inner: Arc::new(Inner { db, bodies, queues, context: Context { region }, cors: cors::Cors::default() }) }
    }

    /// Runs a change in one transaction, then wakes the queues and removes the bodies it names. Runs to its end even
    /// when the client goes away.
    async fn change<T: Send + 'static>(
        &self,
        job: impl FnOnce(&rusqlite::Transaction<'_>, &Inner) -> Result<(T, Aftermath), Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = Arc::clone(&self.inner);
        detached(async move {
            let within = Arc::clone(&inner);
            let (value, after) = inner.db.write(move |tx| job(tx, &within)).await?;
            for queue in &after.queues {
                inner.queues.wake(queue);
            }
            if !after.orphans.is_empty() {
                let bodies = inner.bodies.clone();
                tokio::task::spawn_blocking(move || bodies.remove(&after.orphans));
            }
            Ok(value)
        })
        .await
    }
}

/// What is to be done once a change is committed.
#[derive(Debug, Default)]
struct Aftermath {
    queues: Vec<String>,
    orphans: Vec<String>,
}

/// Runs the work in a task of its own, so that dropping the caller does not stop it half-way.
async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Failure::Body(std::io::Error::other(error))))
}

/// The S3 protocol over the buckets, for one key pair.
#[derive(Debug, Clone)]
pub(super) struct Server {
    buckets: Buckets,
    service: S3Service,
    keys: Arc<KeyPair>,
}

/// The one key pair.
struct KeyPair {
    access_key: String,
    secret_key: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(buckets: Buckets, access_key: String, secret_key: String) -> Self {
        let service = service(buckets.clone(), &access_key, &secret_key);
        Self { buckets, service, keys: Arc::new(KeyPair { access_key, secret_key }) }
    }

    /// Answers one call.
    pub(super) async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        let cors = &self.buckets.inner.cors;
        if let Some(answer) = cors.preflight(&request) {
            return answer;
        }
        if let Some((bucket, boundary)) = form::is_form(&request) {
            let origin = request.headers().get(http::header::ORIGIN).and_then(|origin| cors.permits(&bucket, origin));
            let mut answer = form::answer(&self.buckets, &self.keys, &bucket, &boundary, request.into_body()).await;
            cors::allow(answer.headers_mut(), origin);
            return answer;
        }
        self.service.call(request.map(Body::from)).await.unwrap_or_else(|error| {
            tracing::error!(?error, "an S3 call failed");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

fn service(buckets: Buckets, access_key: &str, secret_key: &str) -> S3Service {
    let mut builder = S3ServiceBuilder::new(buckets);
    builder.set_auth(OneKey(SimpleAuth::from_single(access_key, secret_key)));
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = 900;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

/// Answers an unknown key as S3 does.
struct OneKey(SimpleAuth);

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let unknown = || s3_error!(InvalidAccessKeyId, "The access key Id you provided does not exist in our records.");
        self.0.lookup(access_key).cloned().ok_or_else(unknown)
    }
}
