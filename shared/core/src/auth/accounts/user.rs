//! A user as it is sent in (contract §5.4): read once, applied to the state of a moment as often as needed.

use serde_json::{Map, Value};

use super::world::World;
use crate::auth::password;
use crate::clock::now_ms;
use crate::http::error::ApiError;
use crate::http::fields::{Fields, Problem, bad};
use crate::store::identity::{User, digest};

/// Every field there may be. `api_key` is what some clients call `apikey`; those after `version` are read only and ignored, so that
/// what was read can be sent back.
pub const FIELDS: &[&str] = &[
    "id",
    "user_id",
    "name",
    "display_name",
    "email",
    "directory_id",
    "roles",
    "apikey",
    "api_key",
    "ui_settings",
    "password",
    "enabled",
    "version",
    "has_apikey",
    "has_password",
    "locked_until",
];
/// Settings of user interfaces, at most, in bytes of JSON.
const UI_SETTINGS: usize = 16 * 1024;

/// What becomes of a static key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// It is taken away.
    None,
    /// It is the one of this digest.
    Digest(String),
}

/// What was sent of a user; `None`: not sent.
#[derive(Debug, Default)]
pub struct SentUser {
    /// Login name.
    pub name: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    directory_id: Option<u64>,
    /// Roles, by id or name.
    pub roles: Option<Vec<String>>,
    apikey: Option<Key>,
    ui_settings: Option<Map<String, Value>>,
    password: Option<(String, String)>,
    enabled: Option<bool>,
}

impl SentUser {
    /// Reads the fields; `id`: the one in the path, if there is one. Hashes the password, which takes some 25 ms.
    ///
    /// # Errors
    /// 400 with a text that names the field.
    pub async fn read(mut fields: Fields, id: Option<u64>) -> Result<Self, ApiError> {
        let (mut sent, password) = Self::parse(&mut fields, id).map_err(bad)?;
        if let Some(password) = password {
            let clear = password.clone();
            let hash = password::apart(move || password::hash(&clear)).await?;
            sent.password = Some((password, hash.map_err(bad)?));
        }
        Ok(sent)
    }

    /// The fields as they are, and the password, which is not hashed yet.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn parse(fields: &mut Fields, id: Option<u64>) -> Result<(Self, Option<String>), Problem> {
        for field in ["id", "user_id"] {
            let told = fields.number_or_text(field, 0..=u64::MAX)?;
            if told.is_some() && told != id {
                return Err(format!("`{field}` can not be given or changed."));
            }
        }
        let name = fields.text("name", 1..=128)?;
        if name.as_ref().is_some_and(|name| name.contains('/') || name.trim() != name) {
            return Err("`name` has no slash, and no blanks around it.".into());
        }
        let ui_settings = match fields.value("ui_settings") {
            None => None,
            Some(Value::Object(map)) if Value::Object(map.clone()).to_string().len() <= UI_SETTINGS => Some(map),
            Some(_) => return Err(format!("`ui_settings` is no object of at most {UI_SETTINGS} bytes.")),
        };
        let (key, alias) = (apikey(fields, "apikey")?, apikey(fields, "api_key")?);
        if key.is_some() && alias.is_some() && key != alias {
            return Err("`apikey` and `api_key` are the same field and have two values.".into());
        }
        let password = fields.text("password", 1..=1024)?;
        let sent = Self {
            name,
            display_name: fields.text("display_name", 0..=256)?,
            email: fields.text("email", 0..=254)?,
            directory_id: fields.number_or_text("directory_id", 1..=u64::from(u32::MAX))?,
            roles: fields.texts("roles", 50, 1..=128)?,
            apikey: key.or(alias),
            ui_settings,
            password: None,
            enabled: fields.bool("enabled")?,
        };
        Ok((sent, password))
    }

    /// The user with what was sent; `keep`: the session that outlives a new password.
    ///
    /// # Errors
    /// 400 with a text that names the field.
    pub fn applied(&self, before: &User, world: &World, keep: Option<&str>) -> Result<User, ApiError> {
        let mut user = before.clone();
        if let Some(name) = &self.name {
            user.name.clone_from(name);
        }
        if let Some(display_name) = &self.display_name {
            user.display_name.clone_from(display_name);
        }
        if user.display_name.is_empty() {
            user.display_name.clone_from(&user.name);
        }
        if let Some(email) = &self.email {
            user.email.clone_from(email);
        }
        if let Some(id) = self.directory_id.filter(|id| *id != user.directory_id) {
            let directory = world.directories.by_id(id).ok_or_else(|| bad(format!("`directory_id`: there is no directory `{id}`.")))?;
            if !directory.kind.verifies() {
                return Err(bad("Not supported"));
            }
            user.directory_id = id;
            user.directory.clone_from(&directory.name);
        }
        if let Some(roles) = &self.roles {
            // A role nobody knows would be a user who may do nothing, or later something unexpected.
            let found = roles.iter().map(|role| world.roles.find(role).map(|role| role.id).ok_or(role));
            user.roles = found.collect::<Result<_, _>>().map_err(|unknown| bad(format!("`roles`: there is no role `{unknown}`.")))?;
            user.roles.sort_unstable();
            user.roles.dedup();
        }
        if let Some(apikey) = &self.apikey {
            user.apikey_sha256 = if let Key::Digest(digest) = apikey { Some(digest.clone()) } else { None };
        }
        if let Some(ui_settings) = &self.ui_settings {
            user.ui_settings.clone_from(ui_settings);
        }
        if let Some((password, hash)) = &self.password {
            let enhanced = world.directories.by_id(user.directory_id).is_some_and(|directory| directory.enhanced_password_policy);
            password::policy(password, &user.name, enhanced).map_err(|problem| bad(format!("`password`: {problem}")))?;
            user.password_hash = Some(hash.clone());
            user.sessions_since = now_ms();
            user.kept_session = keep.map(str::to_owned);
        }
        if let Some(enabled) = self.enabled {
            if user.enabled && !enabled {
                user.sessions_since = now_ms();
                user.kept_session = None;
            }
            user.enabled = enabled;
        }
        Ok(user)
    }
}

/// A key's digest; an empty one, or `null`, takes the key away.
fn apikey(fields: &mut Fields, name: &str) -> Result<Option<Key>, Problem> {
    match fields.value(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Key::None)),
        Some(Value::String(key)) if key.is_empty() => Ok(Some(Key::None)),
        Some(Value::String(key)) if (16..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(Key::Digest(digest(&key))))
        }
        Some(_) => Err(format!("`{name}` is no text of 16 to 128 visible ASCII characters.")),
    }
}
