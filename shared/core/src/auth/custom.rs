//! Roles of one's own beside the default ones: one document, `ROLES`.
//!
//! What always holds: ids and names are unique over all roles, an id is never given twice, and a role that is not known gives nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::roles::{self, DefaultRole, ROLES, Rights};
use crate::store::StoreError;
use crate::store::settings::Settings;

/// First id of a role of one's own.
const FIRST: u64 = 5;
/// Roles of one's own, at most: they are one item of the table.
pub const MAX_ROLES: usize = 200;

/// A role of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Id, as users name it.
    pub id: u64,
    /// Name, as rules name it.
    pub name: String,
    /// Name shown to people.
    pub display_name: String,
    /// Rights, as on the wire.
    pub rights: Map<String, Value>,
}

/// All roles of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// The next id.
    pub next: u64,
    /// The roles.
    pub roles: Vec<CustomRole>,
}

impl Default for Roles {
    fn default() -> Self {
        Self { next: FIRST, roles: Vec::new() }
    }
}

/// A role, a default one or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Id, as users name it.
    pub id: String,
    /// Name, as rules name it.
    pub name: String,
    /// Name shown to people.
    pub display_name: String,
    /// What it gives.
    pub rights: Rights,
    /// Whether it can be changed: default ones can not.
    pub editable: bool,
}

impl Role {
    /// As the API shows it; the id is a number here and a text in users (contract §5.4, §5.5).
    pub fn to_wire(&self) -> Value {
        json!({
            "id": self.id.parse::<u64>().unwrap_or_default(),
            "name": self.name,
            "display_name": self.display_name,
            "rights": self.rights.to_wire(),
            "editable": self.editable,
        })
    }
}

impl From<&DefaultRole> for Role {
    fn from(role: &DefaultRole) -> Self {
        Self { id: role.id.into(), name: role.name.into(), display_name: role.display_name.into(), rights: role.rights(), editable: false }
    }
}

impl From<&CustomRole> for Role {
    fn from(role: &CustomRole) -> Self {
        // What can not be read gives nothing.
        let rights = Rights::from_wire(&role.rights).unwrap_or_default();
        Self { id: role.id.to_string(), name: role.name.clone(), display_name: role.display_name.clone(), rights, editable: true }
    }
}

impl Roles {
    /// Name of the setting.
    pub const NAME: &'static str = "ROLES";

    /// Those in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }

    /// Every role, the default ones first.
    pub fn all(&self) -> impl Iterator<Item = Role> {
        ROLES.iter().map(Role::from).chain(self.roles.iter().map(Role::from))
    }

    /// A role by id or name.
    pub fn find(&self, role: &str) -> Option<Role> {
        let custom = || self.roles.iter().find(|known| known.id.to_string() == role || known.name == role).map(Role::from);
        roles::find(role).map(Role::from).or_else(custom)
    }

    /// What some roles come to.
    pub fn rights<'a>(&self, of: impl IntoIterator<Item = &'a String>) -> Rights {
        of.into_iter().filter_map(|id| self.find(id)).fold(Rights::NONE, |rights, role| rights.and(role.rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_found_by_id_and_name_and_unknown_ones_give_nothing() {
        let rights = json!({ "users": ["read"] }).as_object().unwrap().clone();
        let roles = Roles { next: 6, roles: vec![CustomRole { id: 5, name: "desk".into(), display_name: "Desk".into(), rights }] };
        assert_eq!(roles.find("5"), roles.find("desk"));
        assert_eq!(roles.find("1").map(|role| (role.rights, role.editable)), Some((Rights::ALL, false)));
        assert_eq!(roles.find("6"), None);
        let users_read = Rights::NONE.with(roles::Right::UsersRead);
        assert_eq!(roles.rights(&["5".to_owned(), "99".to_owned()]), users_read);
        assert_eq!(roles.all().count(), 5);
        let broken = CustomRole { rights: json!({ "users": ["read"], "root": ["write"] }).as_object().unwrap().clone(), ..roles.roles[0].clone() };
        assert_eq!(Role::from(&broken).rights, Rights::NONE);
    }
}
