//! The skip lists of `/admin/config/skip` (contract §6.4): contents that are let in, kept out, or not shown to some engines.
//!
//! What always holds: only SHA-256 and SHA-512 can let a content in or keep engines from it (whoever can make two files with
//! one MD5 or SHA-1 could bring the second one in under the first one's name), and leaving out engines never makes a content
//! clean by itself: what no engine looked at is `Not Scanned`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::engine::{CATALOGUE, EngineIdentity};
use super::report::Digests;

/// Largest document, in bytes: it is one item of the table.
pub const MAX_BYTES: usize = 300_000;
/// Longest comment, in bytes.
const MAX_COMMENT: usize = 500;
/// Names of the three lists on the wire, each with its other name.
const LISTS: [(&str, &str); 3] = [("whitelist", "allowlist"), ("blacklist", "blocklist"), ("skip", "skip")];

/// Why a content is on a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// For people; that of a blocked content is shown with its results.
    #[serde(default)]
    pub comment: String,
}

/// A content that some engines do not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// Names of engines, at least one.
    pub engines: Vec<String>,
}

/// The lists, by lower-case hex digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkipLists {
    /// Let in as 7 `Allowlisted`. SHA-256 or SHA-512.
    pub whitelist: BTreeMap<String, Listed>,
    /// Kept out as 8 `Blocklisted`. Any digest.
    pub blacklist: BTreeMap<String, Listed>,
    /// Not shown to some engines. SHA-256 or SHA-512.
    pub skip: BTreeMap<String, Skipped>,
}

/// What the lists say of one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruled<'a> {
    /// On the whitelist.
    pub allowed: bool,
    /// On the blacklist, with its comment.
    pub blocked: Option<&'a str>,
    /// Names of engines whose findings do not count.
    pub skips: Vec<&'a str>,
}

impl SkipLists {
    /// Name of the setting.
    pub const SETTING: &'static str = "SKIP";

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.whitelist.is_empty() && self.blacklist.is_empty() && self.skip.is_empty()
    }

    /// What is said of a content. Both lists are told: the block list is the stronger one.
    pub fn of(&self, digests: &Digests) -> Ruled<'_> {
        let mut ruled = Ruled::default();
        for digest in [&digests.sha256, &digests.sha512, &digests.sha1, &digests.md5] {
            ruled.allowed |= self.whitelist.contains_key(digest);
            ruled.blocked = ruled.blocked.or_else(|| self.blacklist.get(digest).map(|listed| listed.comment.as_str()));
            ruled.skips.extend(self.skip.get(digest).into_iter().flat_map(|skipped| skipped.engines.iter().map(String::as_str)));
        }
        ruled
    }

    /// Reads a body that is to replace the lists.
    ///
    /// # Errors
    /// One sentence that names the list and the entry.
    pub fn parse(sent: &Map<String, Value>) -> Result<Self, String> {
        if let Some(unknown) = sent.keys().find(|name| !LISTS.iter().any(|(one, other)| [*one, *other].contains(&name.as_str()))) {
            return Err(format!("There is no field `{unknown}`."));
        }
        let mut lists = Self::default();
        for (list, alias) in LISTS {
            let found = match (sent.get(list), sent.get(alias).filter(|_| alias != list)) {
                (Some(_), Some(_)) => return Err(format!("`{list}` and `{alias}` are the same list and were both sent.")),
                (Some(found), None) | (None, Some(found)) => found,
                // A list that is left out could mean "as it is" or "empty", and an empty block list lets files in.
                (None, None) => return Err(format!("`{list}` is missing: all three lists are replaced.")),
            };
            let entries = found.as_object().ok_or_else(|| format!("`{list}` is no object."))?;
            for (digest, entry) in entries {
                let digest = canonical(list, digest)?;
                let field = format!("{list}.{digest}");
                let twice = if list == "skip" {
                    lists.skip.insert(digest, skipped(&field, entry)?).is_some()
                } else {
                    let listed = listed(&field, entry)?;
                    if list == "whitelist" { &mut lists.whitelist } else { &mut lists.blacklist }.insert(digest, listed).is_some()
                };
                if twice {
                    return Err(format!("`{field}` stands twice."));
                }
            }
        }
        if let Some(both) = lists.whitelist.keys().find(|digest| lists.blacklist.contains_key(*digest)) {
            return Err(format!("`{both}` is on `whitelist` and on `blacklist`."));
        }
        let bytes = serde_json::to_string(&lists).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_BYTES {
            return Err(format!(
                "The lists have {bytes} bytes, more than {MAX_BYTES}: longer ones belong into `hashes/` of the definitions bucket (see `portcullis import-hashes`)."
            ));
        }
        Ok(lists)
    }
}

/// A digest in lower case, if this list takes its kind.
fn canonical(list: &str, digest: &str) -> Result<String, String> {
    let shown: String = digest.chars().take(140).collect();
    if !matches!(digest.len(), 32 | 40 | 64 | 128) || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("`{list}.{shown}` is no md5, sha1, sha256 or sha512 in hexadecimal."));
    }
    if list != "blacklist" && digest.len() < 64 {
        return Err(format!("`{list}.{shown}` is an md5 or sha1, which have collisions: `{list}` takes sha256 and sha512 only."));
    }
    Ok(digest.to_ascii_lowercase())
}

fn comment(field: &str, entry: &Map<String, Value>) -> Result<String, String> {
    let comment = entry.get("comment").map_or(Some(""), Value::as_str).filter(|text| text.len() <= MAX_COMMENT);
    comment.map(str::to_owned).ok_or_else(|| format!("`{field}.comment` is no text of at most {MAX_COMMENT} bytes."))
}

fn fields<'a>(field: &str, entry: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let fields = entry.as_object().ok_or_else(|| format!("`{field}` is no object."))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("There is no field `{field}.{unknown}`.")),
        None => Ok(fields),
    }
}

fn listed(field: &str, entry: &Value) -> Result<Listed, String> {
    Ok(Listed { comment: comment(field, fields(field, entry, &["comment"])?)? })
}

fn skipped(field: &str, entry: &Value) -> Result<Skipped, String> {
    let fields = fields(field, entry, &["comment", "engines"])?;
    let named = fields.get("engines").and_then(Value::as_array).filter(|engines| !engines.is_empty());
    let named = named.ok_or_else(|| format!("`{field}.engines` is no list of at least one engine."))?;
    let mut engines: Vec<String> = Vec::new();
    for engine in named {
        let name =
            engine.as_str().and_then(scanning_engine).ok_or_else(|| format!("`{field}.engines` names `{engine}`, which is no engine that scans."))?;
        if !engines.iter().any(|known| known == name.name) {
            engines.push(name.name.to_owned());
        }
    }
    Ok(Skipped { comment: comment(field, fields)?, engines })
}

/// An engine with rows of its own, by id or by name in whatever case.
fn scanning_engine(text: &str) -> Option<&'static EngineIdentity> {
    CATALOGUE.iter().find(|engine| engine.kind == "av" && (engine.id == text || engine.name.eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<SkipLists, String> {
        SkipLists::parse(body.as_object().unwrap())
    }

    #[test]
    fn digests_are_found_in_whatever_case_they_were_sent_and_aliases_count() {
        let (a, b, md5) = ("A".repeat(64), "b".repeat(128), "c".repeat(32));
        let lists = parse(&json!({
            "allowlist": { a.clone(): { "comment": "ours" } },
            "blocklist": { md5.clone(): {} },
            "skip": { b.clone(): { "comment": "", "engines": ["yara-x", "pdf_1_linux", "YARA-X"] } },
        }))
        .unwrap();
        let of =
            |sha256: &str, sha512: &str, md5: &str| Digests { sha256: sha256.into(), sha512: sha512.into(), md5: md5.into(), sha1: "d".repeat(40) };
        assert!(lists.of(&of(&a.to_lowercase(), "", "")).allowed);
        assert_eq!(lists.of(&of("", "", &md5)).blocked, Some(""));
        assert_eq!(lists.of(&of("", &b, "")).skips, ["YARA-X", "PDF"]);
        assert_eq!(lists.of(&of("", "", "")), Ruled::default());
        let shown = serde_json::to_value(&lists).unwrap();
        assert_eq!(parse(&shown), Ok(lists), "what is shown can be sent");
    }

    #[test]
    fn what_could_let_files_in_by_mistake_is_refused_with_its_name() {
        let sha = "e".repeat(64);
        let empty = || json!({ "whitelist": {}, "blacklist": {}, "skip": {} });
        let with = |list: &str, digest: &str, entry: Value| {
            let mut body = empty();
            body[list][digest] = entry;
            body
        };
        let mut both = with("whitelist", &sha, json!({}));
        both["blacklist"][sha.to_uppercase()] = json!({});
        let mut twice = with("blacklist", &sha, json!({}));
        twice["blacklist"][sha.to_uppercase()] = json!({});
        let mut alias = empty();
        alias["allowlist"] = json!({});
        for (body, names) in [
            (with("whitelist", &"a".repeat(32), json!({})), "`whitelist.aaaa"),
            (with("skip", &"a".repeat(40), json!({ "engines": ["PDF"] })), "collisions"),
            (with("blacklist", "xyz", json!({})), "`blacklist.xyz`"),
            (with("blacklist", &sha, json!({ "comment": 1 })), ".comment`"),
            (with("blacklist", &sha, json!({ "engines": [] })), ".engines`"),
            (with("blacklist", &sha, json!([])), "no object"),
            (with("skip", &sha, json!({ "engines": [] })), "at least one engine"),
            (with("skip", &sha, json!({ "engines": ["totaldefense"] })), "totaldefense"),
            (with("skip", &sha, json!({ "engines": ["Archive Extraction"] })), "Archive Extraction"),
            (json!({ "whitelist": {}, "skip": {} }), "`blacklist` is missing"),
            (json!({ "whitelist": [], "blacklist": {}, "skip": {} }), "`whitelist` is no object"),
            (json!({ "greylist": {} }), "`greylist`"),
            (both, "`whitelist` and on `blacklist`"),
            (twice, "twice"),
            (alias, "`allowlist`"),
        ] {
            let problem = parse(&body).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
        let many: Map<String, Value> = (0..4000).map(|n| (format!("{n:064x}"), json!({}))).collect();
        let problem = parse(&json!({ "whitelist": {}, "blacklist": many, "skip": {} })).unwrap_err();
        assert!(problem.contains("definitions bucket"), "{problem}");
    }
}
