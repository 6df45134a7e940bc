//! A role as it is sent in (contract §5.5).

use serde_json::{Map, Value};

use crate::auth::custom::CustomRole;
use crate::auth::roles::Rights;
use crate::http::fields::{Fields, Problem};

/// What was sent of a role.
#[derive(Clone, Debug)]
pub struct SentRole {
    /// Name, as rules name it.
    pub name: Option<String>,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What it gives.
    pub rights: Option<Rights>,
}

impl SentRole {
    /// Reads the fields.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn parse(fields: &mut Fields) -> Result<Self, Problem> {
        let name = fields.text("name", 1..=64)?;
        if name.as_ref().is_some_and(|name| name.trim() != name || name.bytes().all(|b| b.is_ascii_digit())) {
            return Err("`name` is no number, and has no blanks around it.".into());
        }
        let rights = match fields.value("rights") {
            None => None,
            Some(Value::Object(sent)) => Some(Rights::from_wire(&sent)?),
            Some(_) => return Err("`rights` is no JSON object.".into()),
        };
        Ok(Self { name, display_name: fields.text("display_name", 0..=128)?, rights })
    }

    /// Puts what was sent into a role.
    pub fn applied(&self, role: &mut CustomRole) {
        if let Some(name) = &self.name {
            role.name.clone_from(name);
        }
        if let Some(display_name) = &self.display_name {
            role.display_name.clone_from(display_name);
        }
        if role.display_name.is_empty() {
            role.display_name.clone_from(&role.name);
        }
        if let Some(rights) = self.rights {
            role.rights = wire(rights);
        }
    }
}

fn wire(rights: Rights) -> Map<String, Value> {
    match rights.to_wire() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
