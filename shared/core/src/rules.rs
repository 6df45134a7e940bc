//! The rules in force, and which of them a submission gets.
//!
//! They are one document that is replaced as a whole: `GET` and `PUT /admin/config/rules` (ours). What always holds: a
//! document that is not valid in every part is never stored, and one that is stored all the same stops scans.

use std::cmp::Reverse;

use serde_json::Value;

use crate::auth::{Account, Caller};
use crate::domain::rule::{Rule, defaults};
use crate::http::error::{ApiError, ErrorCode};
use crate::store::StoreError;
use crate::store::settings::Settings;

/// Name of the setting: a JSON array of rules.
pub const SETTING: &str = "RULES";
/// Rules, at most: they are one item of the table.
const MAX_RULES: usize = 100;
/// The document, at most, in bytes.
const MAX_BYTES: usize = 300_000;

/// The rules in force. Without configuration: [`defaults`]. Never empty.
///
/// # Errors
/// Also when a rule is not valid: a misspelt engine must not mean that it does not look.
pub async fn in_force(settings: &Settings) -> Result<Vec<Rule>, StoreError> {
    or_defaults(settings.get(SETTING).await?)
}

/// The rules in force and their revision (0 = nothing was configured), past the cache.
pub async fn versioned(settings: &Settings) -> Result<(Vec<Rule>, u64), StoreError> {
    let (stored, revision) = settings.versioned(SETTING).await?;
    Ok((or_defaults(stored)?, revision))
}

/// A rule by name. One that the cache does not know yet is sought past it: who chose it may know newer rules.
pub async fn named(settings: &Settings, name: &str) -> Result<Option<Rule>, StoreError> {
    let of = |rules: Vec<Rule>| rules.into_iter().find(|rule| rule.name == name);
    match of(in_force(settings).await?) {
        Some(rule) => Ok(Some(rule)),
        None => Ok(of(versioned(settings).await?.0)),
    }
}

fn or_defaults(stored: Option<Vec<Rule>>) -> Result<Vec<Rule>, StoreError> {
    let rules = stored.unwrap_or_default();
    Rule::validate_all(&rules).map_err(|problem| StoreError::Permanent { what: "read the rules", source: problem.into() })?;
    Ok(if rules.is_empty() { defaults() } else { rules })
}

/// Reads rules that somebody wants in force.
///
/// # Errors
/// One sentence that names the rule and the field.
pub fn parse(sent: &[Value]) -> Result<Vec<Rule>, String> {
    if sent.is_empty() || sent.len() > MAX_RULES {
        return Err(format!("`rules` has {} rules, not 1 to {MAX_RULES}.", sent.len()));
    }
    let mut rules = Vec::new();
    for (position, rule) in sent.iter().enumerate() {
        let name = rule.get("name").and_then(Value::as_str).map_or_else(|| format!("number {position} of `rules`"), |name| format!("`{name}`"));
        // An array would do as a structure, and a rule without a name would get the default's.
        if !rule.get("name").is_some_and(Value::is_string) {
            return Err(format!("Rule {name}: `name` is missing or no text."));
        }
        // A list would do as a structure.
        if let Some(field) = ["extraction", "types", "s3"].into_iter().find(|field| rule.get(field).is_some_and(|value| !value.is_object())) {
            return Err(format!("Rule {name}: `{field}` is no object."));
        }
        if let Some((field, problem)) = field_by_field(rule) {
            return Err(format!("Rule {name}: `{field}`: {problem}."));
        }
        rules.push(serde_json::from_value(rule.clone()).map_err(|e| format!("Rule {name}: {e}."))?);
    }
    Rule::validate_all(&rules)?;
    // What lands in a watched bucket is judged, and promoted again: in a ring without end.
    let watches = |bucket: &str| rules.iter().flat_map(|rule| &rule.buckets).any(|pattern| pattern.split('/').next() == Some(bucket));
    let target = |rule: &Rule| rule.s3.promote_to.split('/').next().unwrap_or_default().to_owned();
    if let Some(rule) = rules.iter().find(|rule| !rule.s3.promote_to.is_empty() && watches(&target(rule))) {
        return Err(format!("Rule `{}`: `s3.promote_to` is in `{}`, a bucket that a rule watches.", rule.name, target(rule)));
    }
    if serde_json::to_string(&rules).map_or(MAX_BYTES, |text| text.len()) >= MAX_BYTES {
        return Err(format!("All rules together have more than {MAX_BYTES} bytes."));
    }
    Ok(rules)
}

/// The first field that can not be read by itself: what the parser says of a whole rule does not always name it.
fn field_by_field(rule: &Value) -> Option<(&str, String)> {
    rule.as_object()?.iter().find_map(|(field, value)| {
        let alone = Value::Object([(field.clone(), value.clone())].into_iter().collect());
        serde_json::from_value::<Rule>(alone).err().map(|problem| (field.as_str(), problem.to_string()))
    })
}

/// The rule for a submission through the API: the named one (a name supersedes the agent, contract §4.1), else one that
/// is for this agent, else one that is for any; of several that the caller may use the one with the highest priority,
/// among equals the first.
///
/// # Errors
/// `RuleNotFound`, or the caller may not use it: 400 without a key, 403 with one (contract §5.7).
pub fn select<'a>(rules: &'a [Rule], name: &str, user_agent: &str, caller: &Caller) -> Result<&'a Rule, ApiError> {
    let rule = if name.is_empty() {
        let is_for_agent = |rule: &&Rule| !user_agent.is_empty() && rule.user_agents.iter().any(|agent| agent == user_agent);
        let is_for_any = |rule: &&Rule| rule.user_agents.is_empty();
        best(&rules.iter().filter(is_for_agent), caller).or_else(|| best(&rules.iter().filter(is_for_any), caller))
    } else {
        rules.iter().find(|rule| rule.name == name)
    };
    let rule = rule.ok_or_else(|| ApiError::from(ErrorCode::RuleNotFound))?;
    match caller.account() {
        None if rule.anonymous => Ok(rule),
        None => Err(ErrorCode::BadKey.into()),
        Some(account) if is_for(rule, account) => Ok(rule),
        Some(_) => Err(ErrorCode::Forbidden.into()),
    }
}

/// The rule that comes first; one that the user may use, if there is one. Without a key there is no second choice: what
/// is closed must not look open because another rule is.
fn best<'a>(rules: &(impl Iterator<Item = &'a Rule> + Clone), caller: &Caller) -> Option<&'a Rule> {
    let first = |rules: &mut dyn Iterator<Item = &'a Rule>| rules.min_by_key(|rule| Reverse(rule.priority));
    let own = caller.account().and_then(|account| first(&mut rules.clone().filter(|rule| is_for(rule, account))));
    own.or_else(|| first(&mut rules.clone()))
}

/// Whether a user may use the rule.
fn is_for(rule: &Rule, account: &Account) -> bool {
    let user = &account.user;
    if rule.roles.is_empty() && rule.users.is_empty() {
        return true;
    }
    let has_role = |wanted: &String| user.roles.contains(wanted) || account.role_names.contains(wanted);
    rule.roles.iter().any(has_role) || rule.users.iter().any(|name| *name == user.name || *name == user.username())
}

/// The rules a client is shown: those for its agent and those for any, and only those it may use.
pub fn visible<'a>(rules: &'a [Rule], user_agent: Option<&str>, caller: &Caller) -> Vec<&'a Rule> {
    let agent_fits = |rule: &Rule| user_agent.is_none_or(|agent| rule.user_agents.is_empty() || rule.user_agents.iter().any(|a| a == agent));
    let caller_fits = |rule: &Rule| match caller.account() {
        None => rule.roles.is_empty() && rule.users.is_empty(),
        Some(account) => is_for(rule, account),
    };
    rules.iter().filter(|rule| agent_fits(rule) && caller_fits(rule)).collect()
}

/// The rule for an object in a watched bucket: the longest `bucket/prefix` that fits (of equal ones the rule with the
/// higher priority), else the first rule.
pub fn for_object<'a>(rules: &'a [Rule], bucket: &str, key: &str) -> Option<&'a Rule> {
    let path = format!("{bucket}/{key}");
    let fitting = rules.iter().flat_map(|rule| rule.buckets.iter().map(move |pattern| (pattern, rule)));
    let longest =
        fitting.filter(|(pattern, _)| path.starts_with(pattern.as_str())).min_by_key(|(pattern, rule)| Reverse((pattern.len(), rule.priority)));
    longest.map(|(_, rule)| rule).or_else(|| rules.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::custom::Roles;
    use crate::http::origin::Origin;
    use crate::store::identity::User;
    use std::sync::Arc;

    fn rule(name: &str) -> Rule {
        Rule { name: name.into(), ..Rule::default() }
    }

    fn user(role: &str) -> Caller {
        let user = User { roles: vec![role.into()], ..User::local(3, "u") };
        Caller::known(Arc::new(Account::of(user, &Roles::default())), Origin::default(), None)
    }

    #[test]
    fn nothing_is_promoted_into_a_bucket_that_any_rule_watches() {
        let rules = |to: &str| {
            [
                serde_json::json!({ "name": "a", "buckets": ["first"], "s3": { "promote_to": to } }),
                serde_json::json!({ "name": "b", "buckets": ["second/x/"] }),
            ]
        };
        assert!(parse(&rules("third/clean/")).is_ok());
        for to in ["first/clean/", "second", "second/y/"] {
            assert!(parse(&rules(to)).unwrap_err().contains("promote_to"), "{to}");
        }
    }

    #[test]
    fn anonymous_use_only_where_the_rule_opens_it() {
        let rules = [rule("closed"), Rule { anonymous: true, ..rule("open") }];
        assert_eq!(select(&rules, "", "", &Caller::default()).unwrap_err().code(), ErrorCode::BadKey);
        assert_eq!(select(&rules, "open", "", &Caller::default()).unwrap().name, "open");
    }

    #[test]
    fn a_name_supersedes_the_agent_and_an_unknown_one_is_an_error() {
        let rules = [rule("any"), Rule { user_agents: vec!["TeamCity".into()], ..rule("ci") }];
        assert_eq!(select(&rules, "", "TeamCity", &user("1")).unwrap().name, "ci");
        assert_eq!(select(&rules, "any", "TeamCity", &user("1")).unwrap().name, "any");
        assert_eq!(select(&rules, "", "other", &user("1")).unwrap().name, "any");
        assert_eq!(select(&rules, "nope", "", &user("1")).unwrap_err().code(), ErrorCode::RuleNotFound);
    }

    #[test]
    fn roles_limit_a_rule_by_id_or_name() {
        let rules = [Rule { roles: vec!["help_desk".into()], ..rule("desk") }];
        assert!(select(&rules, "desk", "", &user("4")).is_ok());
        assert_eq!(select(&rules, "desk", "", &user("3")).unwrap_err().code(), ErrorCode::Forbidden);
        assert!(visible(&rules, None, &Caller::default()).is_empty());
    }

    #[test]
    fn priority_decides_among_rules_that_fit_and_that_the_caller_may_use() {
        let of = |name: &str, priority| Rule { priority, ..rule(name) };
        let rules = [
            of("low", 0),
            of("high", 5),
            of("equal", 5),
            Rule { roles: vec!["help_desk".into()], ..of("desk", 9) },
            Rule { users: vec!["LOCAL/u".into()], ..of("own", 8) },
            Rule { users: vec!["somebody".into()], ..of("other", 10) },
            Rule { user_agents: vec!["TeamCity".into()], ..of("ci", -5) },
        ];
        assert_eq!(select(&rules, "", "", &user("4")).unwrap().name, "desk");
        assert_eq!(select(&rules, "", "", &user("1")).unwrap().name, "own", "not the one of others, not the one of the desk");
        assert_eq!(select(&rules[..3], "", "", &user("1")).unwrap().name, "high", "among equals the first");
        assert_eq!(select(&rules, "", "TeamCity", &user("1")).unwrap().name, "ci", "one for the agent comes before those for any");
        assert_eq!(select(&rules, "other", "", &user("1")).unwrap_err().code(), ErrorCode::Forbidden);
        assert_eq!(visible(&rules, Some("curl"), &Caller::default()).len(), 3);
        let same = [Rule { buckets: vec!["b/".into()], ..of("low", 0) }, Rule { buckets: vec!["b/".into()], ..of("high", 1) }];
        assert_eq!(for_object(&same, "b", "k").unwrap().name, "high");
    }

    #[test]
    fn what_is_wrong_with_rules_is_named_with_rule_and_field() {
        let parse = |text: &str| parse(serde_json::from_str::<Value>(text).unwrap().as_array().unwrap());
        assert_eq!(parse(r#"[{"name":"a","types":{"block":["E"]}},{"name":"b","priority":3}]"#).unwrap().len(), 2);
        for (text, named) in [
            (r#"[{"name":"a","max_size":1}]"#, "Rule `a`: `max_size`"),
            (r#"[{"name":"a","max_file_size":"big"}]"#, "Rule `a`: `max_file_size`"),
            (r#"[{"name":"a","extraction":{"max_deep":1}}]"#, "`max_deep`"),
            (r#"[{"name":"a","extraction":{"max_depth":99}}]"#, "`extraction.max_depth` is 99"),
            (r#"[{"name":"a","types":{"skip":["E"]}}]"#, "`types.skip`"),
            (r#"[{"name":"a","tolerate":[1]}]"#, "can not be tolerated"),
            (r#"[{"name":"a","tolerate":[99]}]"#, "`tolerate`"),
            (r#"[{"name":"a"},{"name":"a"}]"#, "stands twice"),
            (r#"[{"description":"no name"}]"#, "`name` is missing"),
            (r#"[["a"]]"#, "`name` is missing"),
            ("[]", "1 to 100"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(named), "{text}: {problem}");
        }
    }

    #[test]
    fn the_longest_bucket_prefix_wins() {
        let rules = [rule("first"), Rule { buckets: vec!["docs/".into()], ..rule("docs") }, Rule { buckets: vec!["docs/in/".into()], ..rule("in") }];
        assert_eq!(for_object(&rules, "docs", "in/a").unwrap().name, "in");
        assert_eq!(for_object(&rules, "docs", "x").unwrap().name, "docs");
        assert_eq!(for_object(&rules, "other", "x").unwrap().name, "first");
    }
}
