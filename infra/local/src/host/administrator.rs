//! The first administrator of a local host. Deployed, the functions make him from the template's parameters.

use portcullis_core::audit::AuditLog;
use portcullis_core::auth::{Actor, password, roles};
use portcullis_core::aws::Clients;
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{FIRST_ADMIN_ID, FIRST_ADMIN_NAME, Identity, User, digest};

use super::HostError;

/// Name, password and key as the operator gave them.
#[derive(Clone, Debug, Default)]
pub struct AdminOptions {
    /// Login name; `admin` when absent. Only for a new administrator.
    pub name: Option<String>,
    /// Password. Without one there is no login until one is given, the key works all the same.
    pub password: Option<String>,
    /// Static API key; made when absent.
    pub apikey: Option<String>,
}

/// What became of him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminOutcome {
    /// Made now, with this key: the only time it can be shown.
    Created {
        /// The key.
        apikey: String,
    },
    /// He was there; whether key or password were changed as given.
    Existing {
        /// Whether something was changed.
        changed: bool,
    },
}

/// 36 characters of 144 random bits: the length clients expect (contract §0.2).
pub(super) fn random_key() -> Result<String, String> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system has no randomness: {e}"))?;
    Ok(hex::encode(bytes))
}

/// Makes him, or brings key and password up to what was given.
pub(super) async fn set_up(clients: &Clients, table: &str, audit: &str, options: &AdminOptions) -> Result<AdminOutcome, HostError> {
    let identity = Identity::new(clients.dynamodb().clone(), table);
    if let Some(key) = options.apikey.as_deref()
        && !((8..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(HostError::Administrator("the API key has 8 to 128 visible ASCII characters".into()));
    }
    match identity.user(FIRST_ADMIN_ID).await? {
        None => create(&identity, &AuditLog::new(clients.dynamodb().clone(), audit), options).await,
        Some(user) => update(&identity, user, options).await,
    }
}

async fn create(identity: &Identity, audit: &AuditLog, options: &AdminOptions) -> Result<AdminOutcome, HostError> {
    let apikey = options.apikey.clone().map_or_else(random_key, Ok).map_err(HostError::Administrator)?;
    let name = options.name.clone().unwrap_or_else(|| FIRST_ADMIN_NAME.to_owned());
    let user = User {
        id: FIRST_ADMIN_ID,
        display_name: "Administrator".into(),
        name,
        email: String::new(),
        roles: vec![roles::ADMIN.into()],
        apikey_sha256: Some(digest(&apikey)),
        password_hash: options.password.as_deref().map(password::hash).transpose().map_err(HostError::Administrator)?,
    };
    identity.create_user(audit, Actor::system(), &user).await?;
    Ok(AdminOutcome::Created { apikey })
}

async fn update(identity: &Identity, mut user: User, options: &AdminOptions) -> Result<AdminOutcome, HostError> {
    let mut changed = false;
    if let Some(given) = options.password.as_deref().filter(|given| !password::verify(given, user.password_hash.as_deref())) {
        user.password_hash = Some(password::hash(given).map_err(HostError::Administrator)?);
        identity.put_user(&user).await?;
        changed = true;
    }
    if let Some(digest) = options.apikey.as_deref().map(digest).filter(|digest| user.apikey_sha256.as_ref() != Some(digest)) {
        identity.replace_key(&user, &digest).await.map_err(|error| match error {
            StoreError::Conflict { .. } => HostError::Administrator("the API key belongs to another user".into()),
            error => error.into(),
        })?;
        changed = true;
    }
    Ok(AdminOutcome::Existing { changed })
}
