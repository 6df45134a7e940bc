//! Rights and roles (contract §5.5): 17 rights, each to read and to write, and the four default roles.

use serde_json::{Map, Value, json};

/// Full rights.
pub const ADMIN: &str = "1";

macro_rules! rights {
    ($($name:literal $read:ident $write:ident $doc:literal)*) => {
        /// A right to read or to write something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Right { $(
            #[doc = concat!("`", $name, "` read: ", $doc)] $read,
            #[doc = concat!("`", $name, "` write: ", $doc)] $write,
        )* }
        /// Names of the rights, each with what it is to read and to write.
        pub const RIGHTS: &[(&str, Right, Right)] = &[$(($name, Right::$read, Right::$write),)*];
    };
}

rights! {
    "agents" AgentsRead AgentsWrite "nodes."
    "cert" CertRead CertWrite "certificates."
    "configlog" ConfigLogRead ConfigLogWrite "the audit log."
    "engines" EnginesRead EnginesWrite "engines, YARA sources and packages."
    "external" ExternalRead ExternalWrite "external scanners, post actions."
    "license" LicenseRead LicenseWrite "the licence."
    "quarantine" QuarantineRead QuarantineWrite "blocked originals."
    "retention" RetentionRead RetentionWrite "how long things are kept."
    "rule" RuleRead RuleWrite "the rules as they are configured."
    "scan" ScanRead ScanWrite "settings of scanning, sessions, webhooks, health; import and export; rescans."
    "scanlog" ScanLogRead ScanLogWrite "results of others; cancelling what others submitted."
    "skip" SkipRead SkipWrite "the skip lists."
    "update" UpdateRead UpdateWrite "settings of updates."
    "updatelog" UpdateLogRead UpdateLogWrite "the history of updates."
    "users" UsersRead UsersWrite "users, roles and directories."
    "workflow" WorkflowRead WorkflowWrite "workflow templates."
    "zone" ZoneRead ZoneWrite "security zones."
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u64);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self((1 << (2 * RIGHTS.len())) - 1);

    /// With one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the right is among them.
    pub const fn has(self, right: Right) -> bool {
        self.0 & 1 << right as u8 != 0
    }

    /// Whether all of `other` are among them.
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// As roles show them: every right with `read` and `write`, as far as they are given.
    pub fn to_wire(self) -> Value {
        let words = |read, write| {
            let given = [("read", read), ("write", write)].into_iter().filter(|(_, right)| self.has(*right));
            given.map(|(word, _)| word).collect::<Vec<_>>()
        };
        Value::Object(RIGHTS.iter().map(|(name, read, write)| ((*name).to_owned(), json!(words(*read, *write)))).collect())
    }

    /// From what a client sent; the problem names its field. What is absent is not given.
    pub fn from_wire(sent: &Map<String, Value>) -> Result<Self, String> {
        let mut rights = Self::NONE;
        for (name, words) in sent {
            let Some((name, read, write)) = RIGHTS.iter().find(|(known, ..)| known == name) else {
                return Err(format!("There is no field `rights.{}`.", crate::domain::name::display(name)));
            };
            let problem = || format!("`rights.{name}` is no list of `read` and `write`.");
            for word in words.as_array().ok_or_else(problem)? {
                rights = rights.with(match word.as_str() {
                    Some("read") => *read,
                    Some("write") => *write,
                    _ => return Err(problem()),
                });
            }
        }
        Ok(rights)
    }
}

/// A default role: it can not be changed.
#[derive(Clone, Copy, Debug)]
pub struct DefaultRole {
    /// Id, as users name it.
    pub id: &'static str,
    /// Name.
    pub name: &'static str,
    /// Name shown to people.
    pub display_name: &'static str,
    /// Rights to read, by name; `*`: all.
    read: &'static [&'static str],
    /// Rights to write, by name; `*`: all.
    write: &'static [&'static str],
    /// Taken away again from `*`.
    but: &'static [&'static str],
}

const OPERATION: &[&str] = &["scanlog", "updatelog", "rule", "zone", "workflow", "agents", "engines", "update", "scan"];
const HELP: &[&str] = &["scanlog", "updatelog", "rule", "zone", "workflow", "agents", "engines", "scan"];

/// The four default roles. Each may read results of anyone.
pub const ROLES: &[DefaultRole] = &[
    DefaultRole { id: ADMIN, name: "admin", display_name: "Administrators", read: &["*"], write: &["*"], but: &[] },
    DefaultRole { id: "2", name: "security_admin", display_name: "Security administrators", read: OPERATION, write: OPERATION, but: &[] },
    DefaultRole { id: "3", name: "security_auditor", display_name: "Security auditor", read: &["*"], write: &[], but: &["external"] },
    DefaultRole { id: "4", name: "help_desk", display_name: "Help desk", read: HELP, write: &[], but: &[] },
];

impl DefaultRole {
    /// Its rights.
    pub fn rights(&self) -> Rights {
        let named = |list: &[&str], name: &str| (list.contains(&"*") && !self.but.contains(&name)) || list.contains(&name);
        RIGHTS.iter().fold(Rights::NONE, |rights, (name, read, write)| {
            let rights = if named(self.read, name) { rights.with(*read) } else { rights };
            if named(self.write, name) { rights.with(*write) } else { rights }
        })
    }
}

/// A default role by id or name.
pub fn find(role: &str) -> Option<&'static DefaultRole> {
    ROLES.iter().find(|known| known.id == role || known.name == role)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rights of a role in words: `rw` for both, `r`, or nothing.
    fn words(role: &str) -> Vec<String> {
        let rights = find(role).unwrap().rights();
        let word = |(name, read, write): &(&str, Right, Right)| match (rights.has(*read), rights.has(*write)) {
            (true, true) => Some(format!("{name} rw")),
            (true, false) => Some(format!("{name} r")),
            (false, false) => None,
            (false, true) => panic!("{name}: only to write"),
        };
        RIGHTS.iter().filter_map(word).collect()
    }

    #[test]
    fn there_are_seventeen_rights_and_the_administrator_has_them_all() {
        assert_eq!(RIGHTS.len(), 17);
        assert_eq!(find("admin").unwrap().rights(), Rights::ALL);
        assert_eq!(words(ADMIN).len(), 17);
    }

    #[test]
    fn default_roles_are_those_of_the_contract() {
        let named = |names: &[&str], mode: &str| {
            let mut list: Vec<_> = names.iter().map(|name| format!("{name} {mode}")).collect();
            list.sort();
            list
        };
        assert_eq!(
            words("security_admin"),
            named(&["scanlog", "updatelog", "rule", "zone", "workflow", "agents", "engines", "update", "scan"], "rw")
        );
        assert_eq!(words("help_desk"), named(&["scanlog", "updatelog", "rule", "zone", "workflow", "agents", "engines", "scan"], "r"));
        let auditor = words("security_auditor");
        assert_eq!((auditor.len(), auditor.iter().any(|word| word.starts_with("external") || word.ends_with("rw"))), (16, false));
    }

    #[test]
    fn rights_come_and_go_over_the_wire() {
        for role in ROLES {
            let wire = role.rights().to_wire();
            assert_eq!(wire.as_object().unwrap().len(), 17);
            assert_eq!(Rights::from_wire(wire.as_object().unwrap()), Ok(role.rights()));
        }
        let read = |text: &str| Rights::from_wire(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap());
        assert_eq!(read(r#"{"users":["read"],"scan":[]}"#), Ok(Rights::NONE.with(Right::UsersRead)));
        for (text, names) in [
            (r#"{"user":["read"]}"#, "`rights.user`"),
            (r#"{"users":["execute"]}"#, "`rights.users`"),
            (r#"{"users":"read"}"#, "`rights.users`"),
            (r#"{"users":[1]}"#, "`rights.users`"),
        ] {
            assert!(read(text).unwrap_err().contains(names), "{text}");
        }
        assert!(Rights::ALL.covers(Rights::NONE.with(Right::ZoneWrite)) && !Rights::NONE.covers(Rights::ALL));
    }
}
