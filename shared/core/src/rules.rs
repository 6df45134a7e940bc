//! The rules in force, and which of them a submission gets.

use crate::auth::{Caller, roles};
use crate::domain::rule::Rule;
use crate::http::error::{ApiError, ErrorCode};
use crate::store::StoreError;
use crate::store::settings::Settings;

/// Name of the setting: a JSON array of rules.
pub const SETTING: &str = "RULES";

/// The rules in force. Without configuration: one rule with the defaults. Never empty.
///
/// # Errors
/// Also when a rule is not valid: a misspelt engine must not mean that it does not look.
pub async fn in_force(settings: &Settings) -> Result<Vec<Rule>, StoreError> {
    let rules: Vec<Rule> = settings.get(SETTING).await?.unwrap_or_default();
    Rule::validate_all(&rules).map_err(|problem| StoreError::Permanent { what: "read the rules", source: problem.into() })?;
    Ok(if rules.is_empty() { vec![Rule::default()] } else { rules })
}

/// The rule for a submission through the API: the named one (a name supersedes the agent, contract §4.1),
/// else the first that is for this agent only, else the first that is for any.
///
/// # Errors
/// `RuleNotFound`, or the caller may not use it: 400 without a key, 403 with one (contract §5.7).
pub fn select<'a>(rules: &'a [Rule], name: &str, user_agent: &str, caller: &Caller) -> Result<&'a Rule, ApiError> {
    let rule = if name.is_empty() {
        let for_agent = rules.iter().find(|rule| !user_agent.is_empty() && rule.user_agents.iter().any(|agent| agent == user_agent));
        for_agent.or_else(|| rules.iter().find(|rule| rule.user_agents.is_empty()))
    } else {
        rules.iter().find(|rule| rule.name == name)
    };
    let rule = rule.ok_or_else(|| ApiError::from(ErrorCode::RuleNotFound))?;
    match caller {
        Caller::Anonymous if rule.anonymous => Ok(rule),
        Caller::Anonymous => Err(ErrorCode::BadKey.into()),
        Caller::User(user) if is_for(rule, &user.roles) => Ok(rule),
        Caller::User(_) => Err(ErrorCode::Forbidden.into()),
    }
}

/// Whether someone with these roles may use the rule.
fn is_for(rule: &Rule, of_user: &[String]) -> bool {
    rule.roles.is_empty()
        || of_user.iter().any(|id| rule.roles.iter().any(|wanted| wanted == id || roles::find(id).is_some_and(|role| role.name == wanted)))
}

/// The rules a client is shown: those for its agent and those for any, and only those its roles may use.
pub fn visible<'a>(rules: &'a [Rule], user_agent: Option<&str>, caller: &Caller) -> Vec<&'a Rule> {
    let agent_fits = |rule: &Rule| user_agent.is_none_or(|agent| rule.user_agents.is_empty() || rule.user_agents.iter().any(|a| a == agent));
    let caller_fits = |rule: &Rule| match caller {
        Caller::Anonymous => rule.roles.is_empty(),
        Caller::User(user) => is_for(rule, &user.roles),
    };
    rules.iter().filter(|rule| agent_fits(rule) && caller_fits(rule)).collect()
}

/// The rule for an object in a watched bucket: the longest `bucket/prefix` that fits, else the first rule.
pub fn for_object<'a>(rules: &'a [Rule], bucket: &str, key: &str) -> Option<&'a Rule> {
    let path = format!("{bucket}/{key}");
    let fitting = rules.iter().flat_map(|rule| rule.buckets.iter().map(move |pattern| (pattern, rule)));
    let longest = fitting.filter(|(pattern, _)| path.starts_with(pattern.as_str())).max_by_key(|(pattern, _)| pattern.len());
    longest.map(|(_, rule)| rule).or_else(|| rules.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::identity::User;
    use std::sync::Arc;

    fn rule(name: &str) -> Rule {
        Rule { name: name.into(), ..Rule::default() }
    }

    fn user(role: &str) -> Caller {
        Caller::User(Arc::new(User {
            id: 3,
            name: "u".into(),
            display_name: "U".into(),
            email: String::new(),
            roles: vec![role.into()],
            apikey_sha256: None,
            password_hash: None,
        }))
    }

    #[test]
    fn anonymous_use_only_where_the_rule_opens_it() {
        let rules = [rule("closed"), Rule { anonymous: true, ..rule("open") }];
        assert_eq!(select(&rules, "", "", &Caller::Anonymous).unwrap_err().code(), ErrorCode::BadKey);
        assert_eq!(select(&rules, "open", "", &Caller::Anonymous).unwrap().name, "open");
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
        assert!(visible(&rules, None, &Caller::Anonymous).is_empty());
    }

    #[test]
    fn the_longest_bucket_prefix_wins() {
        let rules = [rule("first"), Rule { buckets: vec!["docs/".into()], ..rule("docs") }, Rule { buckets: vec!["docs/in/".into()], ..rule("in") }];
        assert_eq!(for_object(&rules, "docs", "in/a").unwrap().name, "in");
        assert_eq!(for_object(&rules, "docs", "x").unwrap().name, "docs");
        assert_eq!(for_object(&rules, "other", "x").unwrap().name, "first");
    }
}
