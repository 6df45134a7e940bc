//! Rules (Core: workflows): what is done with a file, its limits, who may use it, what blocks.
//!
//! A [`Rule`] is configuration as an operator writes it. What always holds: every limit has a finite
//! default, and a rule that names no engine uses all of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::engine::{CATALOGUE, HASH_REPUTATION};
use super::types::TypeLists;
use super::verdict::Code;

/// Limits on what comes out of archives. Counted on what is really produced; headers are not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractionLimits {
    /// Whether archives are opened at all.
    pub enabled: bool,
    /// Levels of nesting that are opened: 1 opens the submitted archive only. Range 1–50.
    pub max_depth: u32,
    /// Entries of all levels together. Range 1–1 000 000.
    pub max_entries: u64,
    /// Extracted bytes of all levels together. Range 1–1 TiB.
    pub max_total_bytes: u64,
    /// Extracted bytes ÷ bytes of the submitted file. Applies once more than [`Self::RATIO_FLOOR_BYTES`] came out. Range 2–100 000.
    pub max_ratio: u64,
    /// Time for extraction and scanning of all levels, in seconds. Range 1–900.
    pub timeout_seconds: u64,
}

impl ExtractionLimits {
    /// Small files compress extremely well without being bombs (a log of one line, say): below this the ratio is not looked at.
    pub const RATIO_FLOOR_BYTES: u64 = 16 * 1024 * 1024;
}

impl Default for ExtractionLimits {
    fn default() -> Self {
        Self { enabled: true, max_depth: 10, max_entries: 50_000, max_total_bytes: 4 * 1024 * 1024 * 1024, max_ratio: 200, timeout_seconds: 180 }
    }
}

/// What becomes of objects in watched buckets once they are judged. Nothing by default: they are tagged and stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Actions {
    /// `bucket/prefix` that what is clean is copied to, its own key behind the prefix; empty = nowhere. Not a watched bucket.
    pub promote_to: String,
    /// Whether the original of what was promoted is removed, once the copy is proven.
    pub remove_promoted: bool,
    /// Whether what is blocked is moved to quarantine: copied, the copy proven, then the judged version removed.
    pub quarantine: bool,
}

/// One rule. Unknown fields are refused, so that a misspelt limit is an error and not a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // switches of a document that people write
pub struct Rule {
    /// Name, as clients send it in the `rule` header. Compared exactly.
    pub name: String,
    /// For people.
    pub description: String,
    /// Which rule is taken when a client names none and several fit: the one with the higher number, among equals the first.
    /// There is one queue, so it hastens no scan. Range −1000–1000.
    pub priority: i32,
    /// Largest file accepted, in bytes (`max_file_size` of `/file/rules`). Range 1–5 GiB (one S3 PUT).
    pub max_file_size: u64,
    /// Whether files are accepted without a key. Off by default: anyone who can reach the API could then fill the queue.
    pub anonymous: bool,
    /// User agents the rule is for; empty = any.
    pub user_agents: Vec<String>,
    /// Role names (or ids) that may use it; with `users` empty as well: any user.
    pub roles: Vec<String>,
    /// Names of users that may use it, whatever their roles: `name` or `directory/name`.
    pub users: Vec<String>,
    /// `bucket/prefix` patterns (prefix match) whose objects are scanned under this rule.
    pub buckets: Vec<String>,
    /// Names of engines to run; empty = all.
    pub engines: Vec<String>,
    /// Names of engines that must have looked at the whole content; empty = every engine of the rule. The failure of another
    /// one is shown in its row, and does not block as long as at least one engine succeeded.
    pub required_engines: Vec<String>,
    /// Archives.
    pub extraction: ExtractionLimits,
    /// Types that are not let in, or let in without a scan.
    pub types: TypeLists,
    /// Whether a hit of a YARA rule without `severity` blocks (code 21); else it is only listed. Rules with the severity
    /// `malicious` or `suspicious` always count as what an engine found.
    pub yara_blocks: bool,
    /// Codes that are reported but do not block. Threats and failures always block (see `Code::is_tolerable`).
    pub tolerate: Vec<Code>,
    /// Time for the whole analysis, in seconds. Range 1–900.
    pub timeout_seconds: u64,
    /// Whether files may come in parts (`/file/multipart`). Off by default, as in Core (contract §7.1).
    pub multipart: bool,
    /// Hours for which the verdict of the same content under the same rule and definitions is taken over; 0 = never. Range 0–720.
    pub hash_cache_hours: u64,
    /// Whether a copy of what was submitted and blocked is held in quarantine, beyond the life of the upload.
    pub quarantine: bool,
    /// Objects in watched buckets.
    pub s3: S3Actions,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            name: "File process".into(),
            description: String::new(),
            priority: 0,
            max_file_size: 200_000_000,
            anonymous: false,
            user_agents: Vec::new(),
            roles: Vec::new(),
            users: Vec::new(),
            buckets: Vec::new(),
            engines: Vec::new(),
            required_engines: Vec::new(),
            extraction: ExtractionLimits::default(),
            types: TypeLists::default(),
            yara_blocks: true,
            tolerate: Vec::new(),
            timeout_seconds: 240,
            multipart: false,
            hash_cache_hours: 24,
            quarantine: true,
            s3: S3Actions::default(),
        }
    }
}

impl Rule {
    /// Version of the settings that a verdict depends on: 16 hex characters, equal for rules that judge alike. Who may use
    /// the rule, and for what size, changes no verdict.
    pub fn version(&self) -> String {
        // Every field stands here, so that a new one has to be put on one of the two sides.
        let Self {
            engines,
            required_engines,
            extraction,
            types,
            yara_blocks,
            tolerate,
            timeout_seconds,
            name: _,
            description: _,
            priority: _,
            max_file_size: _,
            anonymous: _,
            user_agents: _,
            roles: _,
            users: _,
            buckets: _,
            multipart: _,
            hash_cache_hours: _,
            quarantine: _,
            s3: _,
        } = self;
        let judging = serde_json::json!([engines, required_engines, extraction, types, yara_blocks, tolerate, timeout_seconds]);
        hex::encode(Sha256::digest(judging.to_string().as_bytes())).chars().take(16).collect()
    }

    /// Whether a failure of this engine blocks.
    pub fn requires(&self, engine: &str) -> bool {
        self.required_engines.is_empty() || self.required_engines.iter().any(|name| name == engine)
    }

    /// Whether the rule says what can be done: every value within its range, every engine one that exists.
    ///
    /// # Errors
    /// One sentence that names the rule and the value.
    pub fn validate(&self) -> Result<(), String> {
        let limits = &self.extraction;
        let ranges = [
            ("max_file_size", self.max_file_size, 1, 5 * 1024 * 1024 * 1024),
            ("timeout_seconds", self.timeout_seconds, 1, 900),
            ("extraction.max_depth", u64::from(limits.max_depth), 1, 50),
            ("extraction.max_entries", limits.max_entries, 1, 1_000_000),
            ("extraction.max_total_bytes", limits.max_total_bytes, 1, 1 << 40),
            ("extraction.max_ratio", limits.max_ratio, 2, 100_000),
            ("hash_cache_hours", self.hash_cache_hours, 0, 720),
            ("extraction.timeout_seconds", limits.timeout_seconds, 1, 900),
        ];
        let wrong = |what: String| Err(format!("Rule `{}`: {what}.", self.name));
        if self.name.is_empty() || self.name.len() > 128 {
            return wrong("a name has 1 to 128 bytes".into());
        }
        if !(-1000..=1000).contains(&self.priority) {
            return wrong(format!("`priority` is {}, not within -1000 to 1000", self.priority));
        }
        if self.description.len() > 1000 {
            return wrong("`description` has more than 1000 bytes".into());
        }
        let (bucket, prefix) = self.s3.promote_to.split_once('/').unwrap_or((&self.s3.promote_to, ""));
        if !self.s3.promote_to.is_empty() && (!(3..=63).contains(&bucket.len()) || prefix.len() > 512) {
            return wrong(format!("`s3.promote_to` is `{}`, not `bucket/prefix`", self.s3.promote_to));
        }
        if !bucket.is_empty() && self.buckets.iter().any(|pattern| pattern.split('/').next() == Some(bucket)) {
            return wrong(format!("`s3.promote_to` is in `{bucket}`, a bucket that the rule itself watches"));
        }
        if self.s3.remove_promoted && bucket.is_empty() {
            return wrong("`s3.remove_promoted` needs `s3.promote_to`".into());
        }
        if let Err(problem) = self.types.validate() {
            return wrong(problem);
        }
        // What is not scanned must at least be looked up: a report without any engine is never clean.
        if !self.types.skip.is_empty() && !self.engines.is_empty() && !self.engines.iter().any(|name| name == HASH_REPUTATION.name) {
            return wrong(format!("with `types.skip` its engines must include `{}`", HASH_REPUTATION.name));
        }
        if let Some((field, value, from, to)) = ranges.into_iter().find(|(_, value, from, to)| !(from..=to).contains(&value)) {
            return wrong(format!("`{field}` is {value}, not within {from} to {to}"));
        }
        if let Some(engine) = self.required_engines.iter().find(|name| !self.engines.is_empty() && !self.engines.contains(name)) {
            return wrong(format!("the required engine `{engine}` is not one of its engines"));
        }
        if let Some(engine) =
            self.engines.iter().chain(&self.required_engines).find(|name| !CATALOGUE.iter().any(|known| known.kind == "av" && known.name == *name))
        {
            return wrong(format!("there is no engine `{engine}`"));
        }
        if let Some(code) = self.tolerate.iter().find(|code| !code.is_tolerable()) {
            return wrong(format!("code {} `{}` can not be tolerated", code.value(), code.text()));
        }
        Ok(())
    }

    /// A set of rules as a whole: each one valid, no name twice.
    ///
    /// # Errors
    /// As [`Rule::validate`].
    pub fn validate_all(rules: &[Self]) -> Result<(), String> {
        for (position, rule) in rules.iter().enumerate() {
            rule.validate()?;
            if rules.iter().take(position).any(|other| other.name == rule.name) {
                return Err(format!("Rule `{}` stands twice.", rule.name));
            }
        }
        Ok(())
    }
}

/// The rules in force as long as nobody configured any. The first is the one that is taken when no name is given.
pub fn defaults() -> Vec<Rule> {
    let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
    let rule = |name: &str, description: &str| Rule { name: name.into(), description: description.into(), ..Rule::default() };
    vec![
        rule("File process", "Every type, every engine, archives opened."),
        Rule {
            types: TypeLists { allow: list(&["D", "P", "G", "T"]), block: list(&["E"]), ..TypeLists::default() },
            ..rule("Documents only", "Office documents, PDF, images and text; anything else is blocked, archives too.")
        },
        Rule {
            extraction: ExtractionLimits {
                max_depth: 3,
                max_entries: 2_000,
                max_total_bytes: 512 * 1024 * 1024,
                max_ratio: 50,
                timeout_seconds: 60,
                ..ExtractionLimits::default()
            },
            ..rule("Strict archives", "Tight limits on what comes out of archives.")
        },
        Rule {
            max_file_size: 20_000_000,
            timeout_seconds: 30,
            extraction: ExtractionLimits { max_depth: 2, max_entries: 500, timeout_seconds: 20, ..ExtractionLimits::default() },
            ..rule("Quick scan", "Small files in little time: what takes longer than 30 s is blocked.")
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_begin_with_the_plain_one() {
        assert_eq!(Rule::default().validate(), Ok(()));
        assert_eq!(Rule::validate_all(&defaults()), Ok(()));
        assert_eq!(defaults()[0].version(), Rule::default().version());
    }

    /// Every field changed, one at a time: those a verdict depends on make a new version, the others do not.
    #[test]
    fn the_version_follows_what_a_verdict_depends_on() {
        let default = serde_json::to_value(Rule::default()).unwrap();
        let changed = |field: &str| match field {
            "name" | "description" => "x".into(),
            "priority" | "max_file_size" | "timeout_seconds" | "hash_cache_hours" => 7.into(),
            "anonymous" | "multipart" => true.into(),
            "yara_blocks" | "quarantine" => false.into(),
            "s3" => serde_json::json!({ "quarantine": true }),
            "extraction" => serde_json::json!({ "max_depth": 2 }),
            "types" => serde_json::json!({ "block": ["E"] }),
            "tolerate" => serde_json::json!([17]),
            "engines" | "required_engines" => serde_json::json!(["YARA-X"]),
            "user_agents" | "roles" | "users" | "buckets" => serde_json::json!(["x"]),
            other => panic!("field `{other}` is new: say whether a verdict depends on it"),
        };
        let judging = ["engines", "required_engines", "extraction", "types", "yara_blocks", "tolerate", "timeout_seconds"];
        for field in default.as_object().unwrap().keys() {
            let mut other = default.clone();
            other[field] = changed(field);
            let other: Rule = serde_json::from_value(other).unwrap();
            assert_ne!(other, Rule::default(), "{field}");
            assert_eq!(other.version() != Rule::default().version(), judging.contains(&field.as_str()), "{field}");
        }
        for (list, entry) in [("allow", "P"), ("skip", "G")] {
            let types: TypeLists = serde_json::from_value(serde_json::json!({ list: [entry] })).unwrap();
            assert_ne!(Rule { types, ..Rule::default() }.version(), Rule::default().version(), "{list}");
        }
        for field in serde_json::to_value(ExtractionLimits::default()).unwrap().as_object().unwrap().keys() {
            let value = if field == "enabled" { false.into() } else { serde_json::Value::from(3) };
            let extraction: ExtractionLimits = serde_json::from_value(serde_json::json!({ field: value })).unwrap();
            assert_ne!(Rule { extraction, ..Rule::default() }.version(), Rule::default().version(), "{field}");
        }
    }

    #[test]
    fn a_value_out_of_range_an_unknown_engine_and_a_threat_to_tolerate_are_named() {
        let wrong = [
            (Rule { timeout_seconds: 0, ..Rule::default() }, "`timeout_seconds` is 0"),
            (Rule { max_file_size: u64::MAX, ..Rule::default() }, "`max_file_size`"),
            (Rule { engines: vec!["YARAX".into()], ..Rule::default() }, "no engine `YARAX`"),
            (Rule { required_engines: vec!["Yara".into()], ..Rule::default() }, "no engine `Yara`"),
            (
                Rule { engines: vec!["YARA-X".into()], required_engines: vec!["Hash Reputation".into()], ..Rule::default() },
                "`Hash Reputation` is not one of its engines",
            ),
            (Rule { tolerate: vec![Code::Infected], ..Rule::default() }, "can not be tolerated"),
            (Rule { s3: S3Actions { promote_to: "x/".into(), ..S3Actions::default() }, ..Rule::default() }, "`s3.promote_to`"),
            (Rule { s3: S3Actions { remove_promoted: true, ..S3Actions::default() }, ..Rule::default() }, "`s3.remove_promoted`"),
            (
                Rule {
                    buckets: vec!["in-box/a/".into()],
                    s3: S3Actions { promote_to: "in-box/b/".into(), ..S3Actions::default() },
                    ..Rule::default()
                },
                "itself watches",
            ),
            (Rule { priority: 2000, ..Rule::default() }, "`priority` is 2000"),
            (Rule { types: TypeLists { skip: vec!["E".into()], ..TypeLists::default() }, ..Rule::default() }, "`types.skip`"),
            (
                Rule { types: TypeLists { skip: vec!["G".into()], ..TypeLists::default() }, engines: vec!["YARA-X".into()], ..Rule::default() },
                "must include `Hash Reputation`",
            ),
            (Rule { name: String::new(), ..Rule::default() }, "1 to 128 bytes"),
        ];
        for (rule, text) in wrong {
            let problem = rule.validate().unwrap_err();
            assert!(problem.contains(text), "{problem}");
        }
        assert!(Rule::validate_all(&[Rule::default(), Rule::default()]).unwrap_err().contains("twice"));
    }
}
