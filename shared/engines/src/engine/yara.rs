//! YARA-X over the bundled rule pack and the operator's rules.
//!
//! A rule's metadata decides what a match means: `severity = "malicious"` is `Infected`,
//! `"suspicious"` is `Suspicious`, `"informational"` is only listed. A rule without it (operators'
//! rules usually have none) is told as "Yara Rule Matched": whether that blocks is the submission's
//! rule to say (`yara_blocks`), and decided where its codes are collected. What always holds: a scan
//! that did not reach the end of the content is `Failed`.

use std::time::Duration;

use portcullis_core::domain::engine::{EngineIdentity, YARA_X};
use portcullis_core::domain::report::YaraHit;
use portcullis_core::domain::verdict::Code;
use yara_x::{MetaValue, Rule, Rules, ScanError, Scanner};

pub(crate) use super::yara_pack::configure;
use super::yara_pack::{self, Pack};
use super::{Engine, EngineOutcome, Session, Subject};

/// Matches kept per pattern: conditions that count need few, and match lists of large files cost memory.
const MATCHES_PER_PATTERN: usize = 1_000;
/// Hits listed per file.
const LISTED_HITS: usize = 100;

/// The engine.
pub struct Yara {
    pack: Pack,
}

impl Yara {
    /// Compiles the rules, or takes them from the cache.
    pub(crate) fn load(dir: Option<&std::path::Path>, cache_dir: Option<&std::path::Path>) -> Self {
        Self { pack: yara_pack::load(dir, cache_dir) }
    }

    /// The bundled rules only.
    pub fn load_bundled() -> Self {
        Self::load(None, None)
    }

    /// The compiled rules.
    pub fn rules(&self) -> &Rules {
        &self.pack.rules
    }
}

impl Engine for Yara {
    fn identity(&self) -> EngineIdentity {
        YARA_X
    }
    fn version(&self) -> String {
        format!("{} ({} rules)", yara_x::VERSION, self.pack.count)
    }
    fn def_time(&self) -> std::borrow::Cow<'_, str> {
        self.pack.def_time.as_str().into()
    }
    fn issues(&self) -> &[String] {
        &self.pack.issues
    }
    fn session(&self) -> Box<dyn Session + '_> {
        let mut scanner = Scanner::new(&self.pack.rules);
        scanner.max_matches_per_pattern(MATCHES_PER_PATTERN).fast_scan(true);
        Box::new(YaraSession { scanner })
    }
}

struct YaraSession<'r> {
    scanner: Scanner<'r>,
}

impl Session for YaraSession<'_> {
    fn scan(&mut self, subject: &Subject<'_>, budget: Duration) -> EngineOutcome {
        // The scanner counts in whole seconds.
        self.scanner.set_timeout(budget.max(Duration::from_secs(1)));
        let results = match self.scanner.scan(subject.content) {
            Ok(results) => results,
            Err(ScanError::Timeout) => return EngineOutcome::failed("the scan ran out of time"),
            Err(error) => return EngineOutcome::failed(format!("the scan failed: {error}")),
        };
        let mut outcome = EngineOutcome::clean();
        for rule in results.matching_rules() {
            judge(&rule, &mut outcome);
        }
        outcome
    }
}

fn judge(rule: &Rule<'_, '_>, outcome: &mut EngineOutcome) {
    let (mut description, mut severity, mut threat) = (rule.namespace(), None, None);
    for (key, value) in rule.metadata() {
        match (key, value) {
            ("description", MetaValue::String(text)) => description = text,
            ("severity", MetaValue::String(text)) => severity = Some(text),
            ("threat", MetaValue::String(text)) => threat = Some(text),
            _ => {}
        }
    }
    if outcome.hits.len() < LISTED_HITS {
        outcome.hits.push(YaraHit { rule: rule.identifier().into(), description: description.into() });
    }
    let code = match severity {
        Some("informational") => return,
        Some("suspicious") => Code::Suspicious,
        Some("malicious") => Code::Infected,
        // No severity, or one that is misspelt: blocks, unless the rule of the submission says otherwise.
        _ => {
            if !outcome.also.contains(&Code::YaraRuleMatched) {
                outcome.also.push(Code::YaraRuleMatched);
            }
            if outcome.threat.is_empty() {
                outcome.threat = threat.map_or_else(|| format!("YARA.{}", rule.identifier()), Into::into);
            }
            return;
        }
    };
    if code.row().severity > outcome.code.row().severity {
        outcome.code = code;
        outcome.threat = threat.map_or_else(|| format!("YARA.{}", rule.identifier()), Into::into);
    }
}
