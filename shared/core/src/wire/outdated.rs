//! `process_info.outdated_data` (contract §2.3): whether a verdict would still be reached today.
//!
//! What always holds: nothing is called outdated that is not known to be. A verdict that rests on no rule (a cancel,
//! an upload that never arrived) can not be.

use crate::domain::rule::Rule;
use crate::domain::submission::{Basis, Record};
use crate::overrides::Overrides;
use crate::store::settings::Settings;
use crate::wire::engines::VERSION;

/// The rule changed since.
const CONFIGURATION: &str = "configuration";
/// Newer definitions exist.
const DEFINITIONS: &str = "enginedefinitions";

/// What of the basis of a finished submission is no longer in force. Cached settings only; what can not be read now is left out.
pub async fn of_record(settings: &Settings, record: &Record) -> Vec<&'static str> {
    let Some(outcome) = &record.outcome else { return Vec::new() };
    let rules = crate::rules::in_force(settings).await.ok();
    let published: Option<String> = settings.get(VERSION).await.ok().flatten();
    let overrides = Overrides::in_force(settings).await.ok();
    let definitions = published.zip(overrides).map(|(published, overrides)| overrides.definitions(&published));
    compare(&outcome.basis, &record.submission.rule, rules.as_deref(), definitions.as_deref())
}

fn compare(basis: &Basis, rule: &str, rules: Option<&[Rule]>, definitions: Option<&str>) -> Vec<&'static str> {
    let mut outdated = Vec::new();
    if !basis.definitions.is_empty() && definitions.is_some_and(|current| current != basis.definitions) {
        outdated.push(DEFINITIONS);
    }
    // A rule that is gone changed as well.
    let current = |rules: &[Rule]| rules.iter().any(|known| known.name == rule && known.version() == basis.rule);
    if !basis.rule.is_empty() && rules.is_some_and(|rules| !current(rules)) {
        outdated.push(CONFIGURATION);
    }
    outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_basis_is_compared_with_what_is_in_force() {
        let rule = Rule::default();
        let basis = Basis { rule: rule.version(), definitions: "d1".into(), cached_from: None };
        let name = rule.name.clone();
        let same = [rule];
        assert!(compare(&basis, &name, Some(&same), Some("d1")).is_empty());
        assert_eq!(compare(&basis, &name, Some(&same), Some("d2")), ["enginedefinitions"]);
        let changed = [Rule { timeout_seconds: 17, ..Rule::default() }];
        assert_eq!(compare(&basis, &name, Some(&changed), Some("d2")), ["enginedefinitions", "configuration"]);
        let renamed = [Rule { name: "other".into(), ..Rule::default() }];
        assert_eq!(compare(&basis, &name, Some(&renamed), None), ["configuration"]);
        let open = [Rule { anonymous: true, max_file_size: 5, ..Rule::default() }];
        assert!(compare(&basis, &name, Some(&open), None).is_empty(), "who may use a rule changes no verdict");
        assert!(compare(&Basis::default(), &name, Some(&changed), Some("d2")).is_empty());
        assert!(compare(&basis, &name, None, None).is_empty());
    }
}
