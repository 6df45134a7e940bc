//! A directory as it is sent in (contract §5.6).

use serde_json::{Map, Value, json};

use crate::auth::directory::{Directory, Kind};
use crate::http::fields::{Fields, Problem};

const COMMON: [&str; 8] = ["id", "type", "name", "enabled", "sign_ins", "lockout", "enhanced_password_policy", "version"];
/// Texts of AD and LDAP, and of SAML, each with its longest in characters.
const BINDING: [(&str, usize); 7] = [
    ("bind_username", 512),
    ("bind_password", 512),
    ("bind_type", 64),
    ("user_dn", 1024),
    ("group_dn", 1024),
    ("username_attribute", 128),
    ("group_attribute", 128),
];
const FEDERATION: [(&str, usize); 5] =
    [("idp_metadata_url", 2048), ("idp_metadata", 50_000), ("host", 2048), ("login_url", 2048), ("default_role", 128)];
/// Servers of one directory, at most.
const SERVERS: usize = 10;

/// What was sent of a directory.
#[derive(Clone, Debug)]
pub struct SentDirectory {
    /// Name: can be given once.
    pub name: Option<String>,
    /// Whether its users get in.
    pub enabled: Option<bool>,
    sign_ins: Option<u64>,
    lockout: Option<u64>,
    enhanced_password_policy: Option<bool>,
    extra: Map<String, Value>,
}

impl SentDirectory {
    /// The fields for a kind of directory, of an object that stands at `at` ([`Fields::of`]).
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn fields(sent: Value, at: String, kind: Kind) -> Result<Fields, Problem> {
        let texts = match kind {
            Kind::Local => &[][..],
            Kind::Ad | Kind::Ldap => &BINDING[..],
            Kind::Saml => &FEDERATION[..],
        };
        let servers = matches!(kind, Kind::Ad | Kind::Ldap).then_some("servers");
        let known: Vec<&str> = COMMON.into_iter().chain(texts.iter().map(|(name, _)| *name)).chain(servers).collect();
        Fields::of(sent, at, &known)
    }

    /// Reads the fields.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn parse(fields: &mut Fields, kind: Kind) -> Result<Self, Problem> {
        let name = fields.text("name", 1..=64)?;
        if name.as_ref().is_some_and(|name| name.contains('/') || name.contains('#') || name.trim() != name) {
            return Err("`name` has no slash, no `#`, and no blanks around it.".into());
        }
        let mut extra = Map::new();
        for (field, longest) in BINDING.iter().chain(&FEDERATION) {
            if let Some(text) = fields.text(field, 0..=*longest)? {
                extra.insert((*field).to_owned(), text.into());
            }
        }
        if let Some(servers) = fields.objects("servers", SERVERS, &["host", "port", "encryption"])? {
            let servers = servers.into_iter().map(server).collect::<Result<Vec<_>, _>>()?;
            extra.insert("servers".to_owned(), servers.into());
        }
        let enabled = fields.bool("enabled")?;
        if enabled == Some(true) && !kind.verifies() {
            return Err("Not supported".into());
        }
        Ok(Self {
            name,
            enabled,
            sign_ins: fields.number("sign_ins", Directory::SIGN_INS)?,
            lockout: fields.number("lockout", Directory::LOCKOUT)?,
            enhanced_password_policy: fields.bool("enhanced_password_policy")?,
            extra,
        })
    }

    /// Puts what was sent into a directory; the name stays.
    pub fn applied(&self, directory: &mut Directory) {
        directory.enabled = self.enabled.unwrap_or(directory.enabled);
        directory.sign_ins = self.sign_ins.unwrap_or(directory.sign_ins);
        directory.lockout = self.lockout.unwrap_or(directory.lockout);
        directory.enhanced_password_policy = self.enhanced_password_policy.unwrap_or(directory.enhanced_password_policy);
        directory.extra.extend(self.extra.clone());
    }
}

fn server(mut fields: Fields) -> Result<Value, Problem> {
    let host = fields.text("host", 1..=253)?;
    let host = fields.required("host", host)?;
    let encryption = fields.word("encryption", &[("none", "none"), ("starttls", "starttls"), ("ssl", "ssl")])?.unwrap_or("none");
    let port = fields.number("port", 1..=65_535)?.unwrap_or(if encryption == "ssl" { 636 } else { 389 });
    Ok(json!({ "host": host, "port": port, "encryption": encryption }))
}

/// The field `type`, by which the others are known.
///
/// # Errors
/// One sentence that names it.
pub fn kind_of(sent: &Value) -> Result<Option<Kind>, Problem> {
    let Some(kind) = sent.get("type") else { return Ok(None) };
    let known = Kind::WORDS.iter().find(|(word, _)| kind.as_str() == Some(word));
    known.map(|(_, kind)| Some(*kind)).ok_or_else(|| "`type` is none of `LOCAL`, `AD`, `LDAP`, `SAML`.".into())
}
