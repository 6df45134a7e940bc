//! Identifiers of submissions and of the children of archives.
//!
//! A `data_id` is 32 lower-case hex characters, as clients expect (contract §0.2). The first 24 name
//! the submission, the last 8 a number: the submitted file has a random number `r`, its child `n`
//! (1-based, in order of extraction) has `r + n`. So a child's id leads to its submission's record
//! without an index, an archive of 10 000 files costs one record and not 10 001, and 96 random bits
//! keep ids unguessable. What always holds: two ids with the same 24 characters are of one submission.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Length of a data id in characters.
const LENGTH: usize = 32;
/// Characters that name the submission.
const GROUP: usize = 24;

/// A data id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataId(String);

impl DataId {
    /// A new random id.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The id of an S3 object that no API call announced: the same object version gives the same id, so that a message delivered twice scans once.
    pub fn of_object(bucket: &str, key: &str, version: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [bucket, key, version] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hex::encode(hash.finalize());
        Self(digest.chars().take(LENGTH).collect())
    }

    /// Parses what a client sent. `None` for anything that can not be an id.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then(|| Self(text.to_owned()))
    }

    /// The part that names the submission.
    pub fn group(&self) -> &str {
        self.0.get(..GROUP).unwrap_or_default()
    }

    /// The id of child `number` (from 1) of the archive with this id; `number` 0 is the archive itself.
    #[must_use]
    pub fn child(&self, number: u32) -> Self {
        Self(format!("{}{:08x}", self.group(), self.number().wrapping_add(number)))
    }

    /// The number of `other` under this submission: 0 for itself. Meaningful only within one group.
    pub fn number_of(&self, other: &Self) -> u32 {
        other.number().wrapping_sub(self.number())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn number(&self) -> u32 {
        self.0.get(GROUP..).and_then(|tail| u32::from_str_radix(tail, 16).ok()).unwrap_or_default()
    }
}

impl fmt::Display for DataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DataId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no data id"))
    }
}

impl From<DataId> for String {
    fn from(id: DataId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_share_the_group_and_count_up_with_wrap_around() {
        let root = DataId::parse("0123456789abcdef01234567ffffffff").unwrap();
        assert_eq!(root.child(0), root);
        assert_eq!(root.child(1).as_str(), "0123456789abcdef0123456700000000");
        assert_eq!(root.number_of(&root.child(10_000)), 10_000);
        assert_eq!(root.child(7).group(), root.group());
    }

    #[test]
    fn only_32_lower_case_hex_characters_are_an_id() {
        assert!(DataId::parse("0123456789ABCDEF0123456789abcdef").is_none());
        assert!(DataId::parse("../../../../../../../../etc/pass").is_none());
        assert!(DataId::parse("").is_none());
        assert_eq!(DataId::random().as_str().len(), 32);
    }

    #[test]
    fn an_object_version_has_one_id() {
        assert_eq!(DataId::of_object("b", "k", "v"), DataId::of_object("b", "k", "v"));
        assert_ne!(DataId::of_object("bk", "", "v"), DataId::of_object("b", "k", "v"));
    }
}
