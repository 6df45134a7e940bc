//! User directories (contract §5.6): where users belong, and where their credentials are verified.
//!
//! Directories of the kind LOCAL verify against the table. The other kinds are kept with all their settings and can not be
//! enabled; what verifies credentials ([`Kind::verifies`], and the login) is decided by the kind alone, so that they have their place.
//! What always holds: the directory LOCAL (id 1) is there; one that is not enabled lets nobody in; secrets are never shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::store::StoreError;
use crate::store::identity::{LOCAL_DIRECTORY, LOCAL_DIRECTORY_ID, MASK};
use crate::store::settings::Settings;

/// Directories, at most: they are one item of the table.
pub const MAX_DIRECTORIES: usize = 50;
/// What is never shown.
pub const SECRETS: [&str; 1] = ["bind_password"];

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// Users with passwords in the table.
    Local,
    /// Active Directory.
    Ad,
    /// LDAP.
    Ldap,
    /// SAML.
    Saml,
}

impl Kind {
    /// The kinds by name.
    pub const WORDS: &'static [(&'static str, Self)] = &[("LOCAL", Self::Local), ("AD", Self::Ad), ("LDAP", Self::Ldap), ("SAML", Self::Saml)];

    /// Whether credentials can be verified: only then a directory can be enabled and have users.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::Local)
    }
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Id, as users name it.
    pub id: u64,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Name: what stands before the slash of `<directory>/<user>`.
    pub name: String,
    /// Whether its users may log in and use keys.
    pub enabled: bool,
    /// Failed logins that lock a user out; 0 = never.
    pub sign_ins: u64,
    /// How long he is locked out, in minutes; 0 = not at all.
    pub lockout: u64,
    /// Whether passwords have to be hard to guess ([`super::password::policy`]).
    pub enhanced_password_policy: bool,
    /// The settings of the other kinds, as they were sent.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Directory {
    /// Failed logins in a row, at most 100.
    pub const SIGN_INS: std::ops::RangeInclusive<u64> = 0..=100;
    /// Minutes, at most a day.
    pub const LOCKOUT: std::ops::RangeInclusive<u64> = 0..=1440;

    /// A directory as it is where nobody configured it.
    pub fn new(id: u64, kind: Kind, name: impl Into<String>) -> Self {
        Self { id, kind, name: name.into(), enabled: kind.verifies(), sign_ins: 3, lockout: 5, enhanced_password_policy: false, extra: Map::new() }
    }

    /// As the API shows it: without secrets.
    pub fn to_wire(&self) -> Value {
        let mut shown = json!({
            "id": self.id,
            "type": self.kind,
            "name": self.name,
            "enabled": self.enabled,
            "sign_ins": self.sign_ins,
            "lockout": self.lockout,
            "enhanced_password_policy": self.enhanced_password_policy,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(self.extra.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str())).map(|(name, value)| (name.clone(), value.clone())));
        }
        shown
    }

    /// As the audit log tells of it: secrets by their mask.
    pub fn told(&self) -> Value {
        let mut told = self.to_wire();
        for secret in SECRETS.iter().filter(|secret| self.extra.contains_key(**secret)) {
            told[*secret] = json!(MASK);
        }
        told
    }
}

/// All directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directories {
    /// The next id.
    pub next: u64,
    /// The directories.
    pub directories: Vec<Directory>,
}

impl Default for Directories {
    fn default() -> Self {
        Self { next: LOCAL_DIRECTORY_ID + 1, directories: vec![Directory::new(LOCAL_DIRECTORY_ID, Kind::Local, LOCAL_DIRECTORY)] }
    }
}

impl Directories {
    /// Name of the setting.
    pub const NAME: &'static str = "DIRECTORIES";

    /// Those in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }

    /// A directory by id.
    pub fn by_id(&self, id: u64) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.id == id)
    }

    /// A directory by name.
    pub fn by_name(&self, name: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.name == name)
    }

    /// Whether users of a directory may log in and use keys.
    pub fn lets_in(&self, id: u64) -> bool {
        self.by_id(id).is_some_and(|directory| directory.enabled && directory.kind.verifies())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_can_not_verify_lets_nobody_in_and_secrets_are_not_shown() {
        let mut directories = Directories::default();
        assert!(directories.lets_in(LOCAL_DIRECTORY_ID) && !directories.lets_in(2));
        let extra = json!({ "bind_username": "cn=p", "bind_password": "s3cret" }).as_object().unwrap().clone();
        directories.directories.push(Directory { enabled: true, extra, ..Directory::new(2, Kind::Ldap, "corp") });
        assert!(!directories.lets_in(2), "enabled around the API");
        let ldap = directories.by_name("corp").unwrap();
        assert!(!ldap.to_wire().to_string().contains("s3cret") && !ldap.told().to_string().contains("s3cret"));
        assert_eq!((&ldap.told()["bind_password"], &ldap.to_wire()["bind_username"]), (&json!("***"), &json!("cn=p")));
    }
}
