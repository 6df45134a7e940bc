//! The default roles and their rights (contract §5.5). Roles of one's own come with user management.

/// Full rights.
pub const ADMIN: &str = "1";

/// The rights that routes ask for so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `agents` read: nodes.
    AgentsRead,
    /// `users` read.
    UsersRead,
    /// `users` write.
    UsersWrite,
    /// `scanlog` read: results of others.
    ScanLogRead,
    /// `scanlog` write: cancelling what others submitted.
    ScanLogWrite,
    /// `engines` read: YARA sources and packages.
    EnginesRead,
    /// `engines` write.
    EnginesWrite,
    /// `rule` read: the rules as they are configured.
    RuleRead,
    /// `rule` write.
    RuleWrite,
    /// `scan` read: settings of scanning, rescans.
    ScanRead,
    /// `scan` write.
    ScanWrite,
}

/// A role.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Id, as users name it.
    pub id: &'static str,
    /// Name.
    pub name: &'static str,
    /// Name shown to people.
    pub display_name: &'static str,
    rights: &'static [Right],
}

/// The four default roles. Each may read results of anyone.
pub const ROLES: &[Role] = &[
    Role {
        id: ADMIN,
        name: "admin",
        display_name: "Administrators",
        rights: &[
            Right::AgentsRead,
            Right::UsersRead,
            Right::UsersWrite,
            Right::ScanLogRead,
            Right::ScanLogWrite,
            Right::EnginesRead,
            Right::EnginesWrite,
            Right::RuleRead,
            Right::RuleWrite,
            Right::ScanRead,
            Right::ScanWrite,
        ],
    },
    Role {
        id: "2",
        name: "security_admin",
        display_name: "Security administrators",
        rights: &[
            Right::AgentsRead,
            Right::ScanLogRead,
            Right::ScanLogWrite,
            Right::EnginesRead,
            Right::EnginesWrite,
            Right::RuleRead,
            Right::RuleWrite,
            Right::ScanRead,
            Right::ScanWrite,
        ],
    },
    Role {
        id: "3",
        name: "security_auditor",
        display_name: "Security auditor",
        rights: &[Right::AgentsRead, Right::UsersRead, Right::ScanLogRead, Right::EnginesRead, Right::RuleRead, Right::ScanRead],
    },
    Role {
        id: "4",
        name: "help_desk",
        display_name: "Help desk",
        rights: &[Right::AgentsRead, Right::ScanLogRead, Right::EnginesRead, Right::RuleRead, Right::ScanRead],
    },
];

/// A role by id or name.
pub fn find(role: &str) -> Option<&'static Role> {
    ROLES.iter().find(|known| known.id == role || known.name == role)
}

/// Whether a role gives a right. An unknown role gives none.
pub fn allows(role: &str, right: Right) -> bool {
    find(role).is_some_and(|role| role.rights.contains(&right))
}
