//! Roles, directories and users in an export, and their secrets beside it.
//!
//! | section of `config` | what |
//! |---|---|
//! | `roles` | roles of one's own, by name |
//! | `directories` | user directories, by name |
//! | `users` | users, by directory and name; their roles by name |
//!
//! What always holds: each is read and judged as its own endpoint does it, so that nobody gives or takes over what he does not
//! have, and an administrator who can get in is left. Ids are each deployment's own. What a file does not have stays.

use std::collections::BTreeMap;

use portcullis_core::auth::accounts::directory::kind_of;
use portcullis_core::auth::accounts::{SentDirectory, SentRole, SentUser, World, has_all};
use portcullis_core::auth::custom::{CustomRole, MAX_ROLES, Role, Roles};
use portcullis_core::auth::directory::{Directories, Directory, MAX_DIRECTORIES, SECRETS};
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Authenticator, Caller, password};
use portcullis_core::clock::now_ms;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, Problem, bad};
use portcullis_core::store::identity::{LOCAL_DIRECTORY, MOST, Replaced, User};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The sections that are read here.
pub(crate) const SECTIONS: [&str; 3] = ["roles", "directories", "users"];
/// Fields of a user in a file.
const USER: &[&str] = &["name", "directory", "display_name", "email", "roles", "ui_settings", "enabled"];

/// What is told only under a password: by `<directory>/<user>`, and by directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    users: BTreeMap<String, Credentials>,
    directories: BTreeMap<String, Map<String, Value>>,
}

/// What a user gets in with: as it is stored, which is no password and no key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apikey_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
}

impl Secrets {
    /// Of an export that was opened.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn parse(plain: &[u8]) -> Result<Self, Problem> {
        let secrets: Self = serde_json::from_slice(plain).map_err(|e| format!("`secrets`: {e}."))?;
        for (user, credentials) in &secrets.users {
            let digest = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let fine = credentials.apikey_sha256.as_ref().is_none_or(digest);
            if !fine || !credentials.password_hash.as_ref().is_none_or(|hash| password::is_hash(hash)) {
                return Err(format!("`secrets`: those of `{}` are not of an export of Portcullis.", portcullis_core::domain::name::display(user)));
            }
        }
        Ok(secrets)
    }
}

/// Roles, directories and users at one moment.
pub(crate) struct Accounts {
    world: World,
    users: Vec<(User, u64)>,
}

/// What an import changes of them.
pub(crate) struct Changed {
    /// The state as it will be.
    pub(crate) world: World,
    pub(crate) roles: bool,
    pub(crate) directories: bool,
    pub(crate) users: Vec<Replaced>,
}

impl Changed {
    /// Whether it changes anything.
    pub(crate) fn is_empty(&self) -> bool {
        !self.roles && !self.directories && self.users.is_empty()
    }

    /// For the audit log: without secrets.
    pub(crate) fn told(&self) -> Value {
        let users = self.users.iter().map(|replaced| match &replaced.before {
            Some((before, _)) => replaced.after.told_changed(before),
            None => replaced.after.told(),
        });
        let mut told = json!({ "users": users.collect::<Vec<_>>() });
        if self.roles {
            told["roles"] = json!(self.world.roles);
        }
        if self.directories {
            told["directories"] = self.world.directories.directories.iter().map(Directory::told).collect();
        }
        told
    }
}

impl Accounts {
    pub(crate) async fn read(auth: &Authenticator) -> Result<Self, ApiError> {
        Ok(Self { world: World::read(auth).await?, users: auth.identity().users().await? })
    }

    /// Adds the sections of an export.
    pub(crate) fn show(&self, config: &mut Value) {
        let without = |mut shown: Value, fields: &[&str]| {
            if let Some(object) = shown.as_object_mut() {
                object.retain(|name, _| !fields.contains(&name.as_str()));
            }
            shown
        };
        config["roles"] = self.world.roles.roles.iter().map(|role| without(Role::from(role).to_wire(), &["id", "editable"])).collect();
        config["directories"] = self.world.directories.directories.iter().map(|directory| without(directory.to_wire(), &["id"])).collect();
        let role = |id: &String| self.world.roles.find(id).map_or_else(|| id.clone(), |role| role.name);
        let user = |(user, _): &(User, u64)| {
            json!({
                "name": user.name,
                "directory": user.directory,
                "display_name": user.display_name,
                "email": user.email,
                "roles": user.roles.iter().map(role).collect::<Vec<_>>(),
                "ui_settings": user.ui_settings,
                "enabled": user.enabled,
            })
        };
        config["users"] = self.users.iter().map(user).collect();
    }

    /// What is told only under a password.
    pub(crate) fn secrets(&self) -> Secrets {
        let credentials = |user: &User| Credentials { apikey_sha256: user.apikey_sha256.clone(), password_hash: user.password_hash.clone() };
        let users = self.users.iter().map(|(user, _)| (user.username(), credentials(user))).filter(|(_, has)| *has != Credentials::default());
        let secret = |directory: &Directory| -> Map<String, Value> {
            directory.extra.iter().filter(|(name, _)| SECRETS.contains(&name.as_str())).map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let directories = self.world.directories.directories.iter().map(|directory| (directory.name.clone(), secret(directory)));
        Secrets { users: users.collect(), directories: directories.filter(|(_, has)| !has.is_empty()).collect() }
    }

    /// What the sections of a file would change. Users who are new have no id yet.
    ///
    /// # Errors
    /// 400 with a text that names section and field; 405 for what the caller may not give, or whom he may not change; 409 when
    /// no administrator would be left.
    pub(crate) fn compared(&self, config: &Map<String, Value>, secrets: Option<&Secrets>, caller: &Caller) -> Result<Changed, ApiError> {
        let mut world = self.world.clone();
        if let Some(sent) = config.get("roles") {
            roles_of(sent, &mut world.roles, caller)?;
        }
        let directories = match config.get("directories") {
            Some(sent) => directories_of(sent, secrets, &mut world.directories)?,
            None => Vec::new(),
        };
        let users = match config.get("users") {
            Some(sent) => self.users_of(sent, secrets, &world, caller)?,
            None => Vec::new(),
        };
        let changed = Changed { roles: world.roles != self.world.roles, directories: world.directories != self.world.directories, world, users };
        if changed.is_empty() {
            return Ok(changed);
        }
        caller.require(Right::UsersWrite)?;
        // A directory's settings are about all of its users.
        for (user, _) in self.users.iter().filter(|(user, _)| directories.contains(&user.directory_id)) {
            self.world.covers(caller, &user.roles)?;
        }
        if changed.users.len() > MOST {
            let text = format!("`config.users` changes {} users; one import changes at most {MOST}: send them in several.", changed.users.len());
            return Err(bad(text));
        }
        let others = self.users.iter().map(|(user, _)| user).filter(|user| changed.users.iter().all(|replaced| replaced.after.id != user.id));
        changed.world.has_administrator(others.chain(changed.users.iter().map(|replaced| &replaced.after)))?;
        Ok(changed)
    }

    fn users_of(&self, sent: &Value, secrets: Option<&Secrets>, world: &World, caller: &Caller) -> Result<Vec<Replaced>, ApiError> {
        let mut replaced: Vec<Replaced> = Vec::new();
        for (position, sent) in list(sent, "users")?.iter().enumerate() {
            let at = format!("config.users[{position}].");
            let mut fields = Fields::of(sent.clone(), at.clone(), USER).map_err(bad)?;
            let name = fields.text("directory", 1..=64).map_err(bad)?.unwrap_or_else(|| LOCAL_DIRECTORY.into());
            let unknown = || bad(format!("`{at}directory`: there is no directory `{}`.", portcullis_core::domain::name::display(&name)));
            let directory = world.directories.by_name(&name).ok_or_else(unknown)?;
            let (sent, _) = SentUser::parse(&mut fields, None).map_err(bad)?;
            let name = sent.name.clone().ok_or_else(|| bad(format!("`{at}name` is missing.")))?;
            let before = self.users.iter().find(|(user, _)| user.directory_id == directory.id && user.name == name).cloned();
            let base = before.clone().map_or_else(
                || User { directory_id: directory.id, directory: directory.name.clone(), ..User::local(0, name.clone()) },
                |(user, _)| user,
            );
            if before.is_none() && !directory.kind.verifies() {
                return Err(bad(format!("`{at}directory`: users of `{}` are not supported.", directory.name)));
            }
            let mut after = sent.applied(&base, world, None)?;
            if let Some(credentials) = secrets.and_then(|secrets| secrets.users.get(&after.username())) {
                if credentials.password_hash != after.password_hash {
                    after.password_hash.clone_from(&credentials.password_hash);
                    after.sessions_since = now_ms();
                    after.kept_session = None;
                }
                after.apikey_sha256.clone_from(&credentials.apikey_sha256);
            }
            if replaced.iter().any(|other| other.after.username() == after.username()) {
                return Err(bad(format!("`config.users` has `{}` twice.", after.username())));
            }
            match &before {
                Some((before, _)) if *before == after => continue,
                Some((before, _)) => self.world.covers(caller, &before.roles)?,
                None => after.sessions_since = 0,
            }
            world.covers(caller, &after.roles)?;
            replaced.push(Replaced { before, after });
        }
        Ok(replaced)
    }
}

fn list<'a>(sent: &'a Value, section: &str) -> Result<&'a Vec<Value>, ApiError> {
    sent.as_array().ok_or_else(|| bad(format!("`config.{section}` is no list.")))
}

/// Puts the roles of a file into those that are there.
fn roles_of(sent: &Value, roles: &mut Roles, caller: &Caller) -> Result<(), ApiError> {
    for (position, sent) in list(sent, "roles")?.iter().enumerate() {
        let at = format!("config.roles[{position}].");
        let mut fields = Fields::of(sent.clone(), at.clone(), &["name", "display_name", "rights"]).map_err(bad)?;
        let sent = SentRole::parse(&mut fields).map_err(bad)?;
        let name = fields.required("name", sent.name.clone()).map_err(bad)?;
        let rights = fields.required("rights", sent.rights).map_err(bad)?;
        if roles.find(&name).is_some_and(|role| !role.editable) {
            return Err(bad(format!("`{at}name`: the default role `{name}` can not be changed.")));
        }
        let known = roles.roles.iter().position(|role| role.name == name);
        let before = known.and_then(|known| roles.roles.get(known)).cloned();
        let mut after = before.clone().unwrap_or(CustomRole { id: roles.next, name: name.clone(), display_name: String::new(), rights: Map::new() });
        sent.applied(&mut after);
        if before.as_ref() == Some(&after) {
            continue;
        }
        has_all(caller, rights)?;
        if known.is_none() && roles.roles.len() >= MAX_ROLES {
            return Err(bad(format!("`config.roles`: there are {MAX_ROLES} roles already.")));
        }
        if let Some(role) = known.and_then(|known| roles.roles.get_mut(known)) {
            has_all(caller, Role::from(&*role).rights)?;
            *role = after;
        } else {
            roles.next += 1;
            roles.roles.push(after);
        }
    }
    Ok(())
}

/// Puts the directories of a file into those that are there; answers the ids of those that are changed.
fn directories_of(sent: &Value, secrets: Option<&Secrets>, directories: &mut Directories) -> Result<Vec<u64>, ApiError> {
    let mut changed = Vec::new();
    for (position, sent) in list(sent, "directories")?.iter().enumerate() {
        let at = format!("config.directories[{position}].");
        let kind = kind_of(sent).map_err(bad)?.ok_or_else(|| bad(format!("`{at}type` is missing.")))?;
        let mut sent = sent.clone();
        let secret = sent.get("name").and_then(Value::as_str).and_then(|name| secrets?.directories.get(name)).cloned();
        if let (Some(object), Some(secret)) = (sent.as_object_mut(), secret) {
            object.extend(secret);
        }
        let mut fields = SentDirectory::fields(sent, at.clone(), kind).map_err(bad)?;
        if fields.has("id") || fields.has("version") {
            return Err(bad(format!("`{at}id` and `{at}version` are each deployment's own.")));
        }
        let sent = SentDirectory::parse(&mut fields, kind).map_err(bad)?;
        let name = fields.required("name", sent.name.clone()).map_err(bad)?;
        if let Some(directory) = directories.directories.iter_mut().find(|directory| directory.name == name) {
            if directory.kind != kind {
                return Err(bad(format!("`{at}type`: the directory `{name}` is of another one.")));
            }
            let before = directory.clone();
            sent.applied(directory);
            if *directory != before {
                changed.push(directory.id);
            }
        } else {
            if directories.directories.len() >= MAX_DIRECTORIES {
                return Err(bad(format!("`config.directories`: there are {MAX_DIRECTORIES} directories already.")));
            }
            let mut directory = Directory::new(directories.next, kind, name);
            sent.applied(&mut directory);
            directories.next += 1;
            directories.directories.push(directory);
        }
    }
    Ok(changed)
}

/// The password of the secrets in a file, as the header says it.
pub(crate) fn password_of(header: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(password) = header else { return Ok(None) };
    if !super::sealed::PASSWORD.contains(&password.chars().count()) {
        let (shortest, longest) = (super::sealed::PASSWORD.start(), super::sealed::PASSWORD.end());
        return Err(bad(format!("`{}` has {shortest} to {longest} characters.", super::HEADER)));
    }
    Ok(Some(password))
}

/// What went wrong in the machine, not in the file.
pub(crate) fn no_memory() -> ApiError {
    ApiError::caused(ErrorCode::Internal, std::io::Error::other("secrets can not be sealed: no randomness or memory"))
}
