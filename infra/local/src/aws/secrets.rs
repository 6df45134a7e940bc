//! Secrets Manager: secrets with versions and stages, as JSON 1.1 over `X-Amz-Target`.
//!
//! What always holds: a secret has exactly one `AWSCURRENT`, and the version that was it before is `AWSPREVIOUS`.
//! Not there: binary secrets, rotation functions, deletion, policies, tags, replicas.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ACCOUNT_ID;
use super::db::{Db, DbError, now_ms};

/// Prefix of `X-Amz-Target`.
pub(super) const TARGET: &str = "secretsmanager.";

/// Longest secret, in bytes, as AWS has it.
const LONGEST: usize = 65_536;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The store failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// No such secret, version or stage.
    #[error("Secrets Manager can't find the specified secret.")]
    ResourceNotFound,
    /// The name, or the version with another value, exists.
    #[error("The operation failed because the secret or version already exists.")]
    ResourceExists,
    /// A parameter is missing or out of range.
    #[error("{0}")]
    InvalidParameter(&'static str),
    /// The operation is not played.
    #[error("The operation is not available here.")]
    Unknown,
}

impl SecretsError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Db(_) => "InternalServiceError",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceExists => "ResourceExistsException",
            Self::InvalidParameter(_) => "InvalidParameterException",
            Self::Unknown => "UnknownOperationException",
        }
    }
}

impl From<rusqlite::Error> for SecretsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

/// The secrets, for the process that hosts them: what the HTTP protocol does, without the HTTP.
#[derive(Debug, Clone)]
pub struct Secrets {
    db: Arc<Db>,
    region: String,
}

/// A version, as it is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(rename = "ARN")]
    arn: String,
    name: String,
    version_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<String>,
    version_stages: Vec<&'static str>,
    created_date: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Call {
    name: Option<String>,
    secret_id: Option<String>,
    secret_string: Option<String>,
    client_request_token: Option<String>,
    version_stage: Option<String>,
    version_id: Option<String>,
}

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

impl Secrets {
    pub(super) fn new(db: Arc<Db>, region: String) -> Self {
        Self { db, region }
    }

    /// Creates the secret with what `make` answers, unless it exists: then it stays as it is.
    pub async fn ensure(&self, name: &str, make: impl FnOnce() -> String + Send + 'static) -> Result<(), SecretsError> {
        let name = name.to_owned();
        let write = move |tx: &Transaction<'_>| {
            if exists(tx, &name)? {
                return Ok(());
            }
            create(tx, &name, &make(), None).map(drop)
        };
        self.db.write(write).await
    }

    /// Answers one call of the protocol.
    pub(super) async fn handle(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answered = match serde_json::from_slice::<Call>(body) {
            Ok(call) => self.answer(operation, call).await,
            Err(_) => Err(SecretsError::InvalidParameter("The request is no JSON of the expected shape.")),
        };
        let (status, json) = match answered {
            Ok(json) => (StatusCode::OK, json),
            Err(error) => {
                let status = if matches!(error, SecretsError::Db(_)) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
                (status, json!({ "__type": error.kind(), "Message": error.to_string() }))
            }
        };
        let mut response = Response::new(Bytes::from(json.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        response
    }

    async fn answer(&self, operation: &str, call: Call) -> Result<Value, SecretsError> {
        let name = match operation {
            "CreateSecret" => call.name.clone(),
            "PutSecretValue" | "GetSecretValue" => call.secret_id.clone(),
            _ => return Err(SecretsError::Unknown),
        };
        let name = self.name_of(&name.ok_or(SecretsError::InvalidParameter("You must name the secret."))?);
        let arn = format!("{}{name}", self.arn_stem());
        let operation = operation.to_owned();
        let work = move |tx: &Transaction<'_>| {
            let token = call.client_request_token.as_deref();
            let mut version = match operation.as_str() {
                "CreateSecret" => create(tx, &name, value(call.secret_string.as_deref())?, token)?,
                "PutSecretValue" => put(tx, &name, value(call.secret_string.as_deref())?, token)?,
                _ => find(tx, &name, call.version_id.as_deref(), call.version_stage.as_deref())?,
            };
            version.arn = arn;
            if operation != "GetSecretValue" {
                version.secret_string = None;
            }
            Ok(version)
        };
        let version: Version = self.db.write::<_, SecretsError>(work).await?;
        serde_json::to_value(version).map_err(|error| SecretsError::Db(error.into()))
    }

    fn arn_stem(&self) -> String {
        format!("arn:aws:secretsmanager:{}:{ACCOUNT_ID}:secret:", self.region)
    }

    /// A secret is named by its name or its ARN.
    fn name_of(&self, id: &str) -> String {
        id.strip_prefix(&self.arn_stem()).unwrap_or(id).to_owned()
    }
}

fn value(text: Option<&str>) -> Result<&str, SecretsError> {
    text.filter(|text| (1..=LONGEST).contains(&text.len())).ok_or(SecretsError::InvalidParameter("SecretString has 1 to 65536 bytes."))
}

fn exists(tx: &Transaction<'_>, name: &str) -> Result<bool, SecretsError> {
    Ok(tx.query_row("SELECT 1 FROM secrets WHERE name = ?1", [name], |_| Ok(())).optional()?.is_some())
}

fn create(tx: &Transaction<'_>, name: &str, value: &str, token: Option<&str>) -> Result<Version, SecretsError> {
    let valid = (1..=512).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b));
    if !valid {
        return Err(SecretsError::InvalidParameter("The name has characters that are not allowed."));
    }
    if exists(tx, name)? {
        return Err(SecretsError::ResourceExists);
    }
    tx.execute("INSERT INTO secrets(name, created_ms) VALUES (?1, ?2)", params![name, now_ms()])?;
    put(tx, name, value, token)
}

/// A new version is current; the one that was current is the previous, and the one before that has no stage left.
fn put(tx: &Transaction<'_>, name: &str, value: &str, token: Option<&str>) -> Result<Version, SecretsError> {
    if !exists(tx, name)? {
        return Err(SecretsError::ResourceNotFound);
    }
    let id = token.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let same = tx.query_row("SELECT value FROM secret_versions WHERE name = ?1 AND version_id = ?2", [name, &id], |row| row.get::<_, String>(0));
    match same.optional()? {
        Some(stored) if stored == value => return find(tx, name, Some(&id), None),
        Some(_) => return Err(SecretsError::ResourceExists),
        None => {}
    }
    tx.execute("UPDATE secret_versions SET stage = NULL WHERE name = ?1 AND stage = ?2", [name, PREVIOUS])?;
    tx.execute("UPDATE secret_versions SET stage = ?2 WHERE name = ?1 AND stage = ?3", [name, PREVIOUS, CURRENT])?;
    tx.execute(
        "INSERT INTO secret_versions(name, version_id, value, stage, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, id, value, CURRENT, now_ms()],
    )?;
    find(tx, name, Some(&id), None)
}

fn find(tx: &Transaction<'_>, name: &str, id: Option<&str>, stage: Option<&str>) -> Result<Version, SecretsError> {
    let stage = stage.or(if id.is_some() { None } else { Some(CURRENT) });
    let found = tx.query_row(
        "SELECT version_id, value, stage, created_ms FROM secret_versions WHERE name = ?1 AND version_id = ifnull(?2, version_id) AND (?3 IS NULL OR stage = ?3)",
        params![name, id, stage],
        |row| {
            let stage: Option<String> = row.get(2)?;
            let created: i64 = row.get(3)?;
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of this millennium fit an f64 exactly")]
            let created_date = created as f64 / 1000.0;
            Ok(Version {
                arn: String::new(),
                name: name.to_owned(),
                version_id: row.get(0)?,
                secret_string: Some(row.get(1)?),
                version_stages: [CURRENT, PREVIOUS].into_iter().filter(|known| stage.as_deref() == Some(*known)).collect(),
                created_date,
            })
        },
    );
    found.optional()?.ok_or(SecretsError::ResourceNotFound)
}
