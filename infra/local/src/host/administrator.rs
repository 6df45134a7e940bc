//! The first administrator of a local host. Deployed, the functions make him from the template's parameters.

use portcullis_core::audit::{AuditLog, Change};
use portcullis_core::auth::{Actor, password, roles};
use portcullis_core::aws::Clients;
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{FIRST_ADMIN_ID, FIRST_ADMIN_NAME, Identity, Refused, User, digest};

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
    let audit = AuditLog::new(clients.dynamodb().clone(), audit);
    match identity.versioned(FIRST_ADMIN_ID).await? {
        None => create(&identity, &audit, options).await,
        Some((user, revision)) => update(&identity, &audit, user, revision, options).await,
    }
}

async fn create(identity: &Identity, audit: &AuditLog, options: &AdminOptions) -> Result<AdminOutcome, HostError> {
    let apikey = options.apikey.clone().map_or_else(random_key, Ok).map_err(HostError::Administrator)?;
    let name = options.name.clone().unwrap_or_else(|| FIRST_ADMIN_NAME.to_owned());
    let user = User {
        display_name: "Administrator".into(),
        roles: vec![roles::ADMIN.into()],
        apikey_sha256: Some(digest(&apikey)),
        password_hash: options.password.as_deref().map(password::hash).transpose().map_err(HostError::Administrator)?,
        ..User::local(FIRST_ADMIN_ID, name)
    };
    match identity.create_user(audit, Actor::system(), &user).await {
        Ok(()) => Ok(AdminOutcome::Created { apikey }),
        // He was deleted, or his name or key is another user's now: he does not come back by a restart.
        Err(StoreError::Conflict { .. }) => Ok(AdminOutcome::Existing { changed: false }),
        Err(error) => Err(error.into()),
    }
}

async fn update(identity: &Identity, audit: &AuditLog, before: User, revision: u64, options: &AdminOptions) -> Result<AdminOutcome, HostError> {
    let guard = identity.guard().await?;
    let mut after = before.clone();
    if let Some(given) = options.password.as_deref().filter(|given| !password::verify(given, before.password_hash.as_deref())) {
        after.password_hash = Some(password::hash(given).map_err(HostError::Administrator)?);
    }
    if let Some(digest) = options.apikey.as_deref().map(digest) {
        after.apikey_sha256 = Some(digest);
    }
    let changed = before != after;
    if changed {
        let change = Change {
            by: Actor::system(),
            action: "user.update",
            target: format!("user/{}", after.id),
            before: before.told(),
            after: after.told_changed(&before),
        };
        match identity.update_user(audit, &change, (&before, revision), &after, guard).await? {
            None => {}
            Some(Refused::Key) => return Err(HostError::Administrator("the API key belongs to another user".into())),
            Some(other) => return Err(HostError::Administrator(format!("he was changed by somebody else at this moment ({other:?})"))),
        }
    }
    Ok(AdminOutcome::Existing { changed })
}
