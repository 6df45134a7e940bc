//! What an export is made of, and how each part of it is read back.
//!
//! | section of `config` | settings |
//! |---|---|
//! | `rules` | the rules, as `/admin/config/rules` shows them |
//! | `settings` | the documents of `/admin/config`, by the last part of their path |
//! | `engines` | what was decided about each engine, by id |
//! | `yara_sources` | the sources of YARA rules |
//!
//! What always holds: a section is read by the rules of its own endpoint, so an import can put nothing in force that a `PUT`
//! could not; what a file does not have stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::auth::roles::Right;
use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::domain::rule::{Rule, defaults};
use portcullis_core::domain::yara::Sources;
use portcullis_core::overrides::EngineStates;
use portcullis_core::rules;
use portcullis_core::store::StoreError;
use portcullis_core::store::settings::Settings;
use serde_json::{Map, Value, json};

use super::accounts::SECTIONS;
use crate::config::documents::{DOCUMENTS, Document};
use crate::yara::sources_of;

/// All documents of `/admin/config` that an export has.
fn documents() -> impl Iterator<Item = &'static Document> {
    DOCUMENTS.iter()
}

/// Every setting at one moment: what is in force, and its revision.
pub(crate) struct State {
    documents: BTreeMap<&'static str, (Value, u64)>,
    definitions_bucket: String,
}

/// What an import changes.
pub(crate) struct Changes {
    /// Settings: name, new value, the revision it was made of.
    pub(crate) documents: Vec<(&'static str, Value, u64)>,
    /// Sections that differ from what is in force.
    pub(crate) sections: BTreeSet<String>,
    /// Rights that are needed for that.
    pub(crate) rights: Vec<Right>,
    /// Engines (by id) whose databases are to be pinned: `true`, or not any more.
    pub(crate) pins: BTreeMap<&'static str, bool>,
}

/// Rights that reading everything needs.
pub(crate) fn reading() -> impl Iterator<Item = Right> {
    documents().map(|document| document.read).chain([Right::ScanRead, Right::RuleRead, Right::EnginesRead, Right::UsersRead])
}

impl State {
    pub(crate) async fn read(settings: &Settings, definitions_bucket: &str) -> Result<Self, StoreError> {
        let names: BTreeSet<&'static str> =
            documents().map(|document| document.setting).chain([rules::SETTING, EngineStates::SETTING, Sources::SETTING]).collect();
        let mut found = BTreeMap::new();
        for name in names {
            let (stored, revision) = settings.versioned::<Value>(name).await?;
            let value = match documents().find(|document| document.setting == name) {
                Some(document) => document.in_force(stored),
                None => stored.unwrap_or_default(),
            };
            found.insert(name, (value, revision));
        }
        Ok(Self { documents: found, definitions_bucket: definitions_bucket.to_owned() })
    }

    fn value(&self, name: &str) -> &Value {
        self.documents.get(name).map_or(&Value::Null, |(value, _)| value)
    }

    fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        let stored: Option<Vec<Rule>> = serde_json::from_value(self.value(rules::SETTING).clone())
            .map_err(|e| StoreError::Permanent { what: "read the rules", source: e.into() })?;
        Ok(stored.filter(|rules| !rules.is_empty()).unwrap_or_else(defaults))
    }

    fn engines(&self) -> Result<EngineStates, StoreError> {
        let stored: Option<EngineStates> = serde_json::from_value(self.value(EngineStates::SETTING).clone())
            .map_err(|e| StoreError::Permanent { what: "read the engines", source: e.into() })?;
        Ok(stored.unwrap_or_default())
    }

    /// The section `config` of an export.
    pub(crate) fn shown(&self) -> Result<Value, StoreError> {
        let settings: Map<String, Value> =
            documents().map(|document| (document.name().to_owned(), document.shown(self.value(document.setting)))).collect();
        let mut config = json!({ "rules": self.rules()?, "settings": settings, "engines": engines_shown(&self.engines()?) });
        // Without configuration it is the deployment's own bucket, which is none of another one.
        if !self.value(Sources::SETTING).is_null() {
            config["yara_sources"] = self.value(Sources::SETTING).clone();
        }
        Ok(config)
    }

    /// What the section `config` of a file would change.
    ///
    /// # Errors
    /// One sentence that names the section and the field.
    pub(crate) fn compared(&self, config: &Map<String, Value>) -> Result<Changes, String> {
        let mut changes = Changes { documents: Vec::new(), sections: BTreeSet::new(), rights: Vec::new(), pins: BTreeMap::new() };
        for (section, sent) in config {
            match section.as_str() {
                "rules" => self.rules_of(sent, &mut changes)?,
                "settings" => self.settings_of(sent, &mut changes)?,
                "engines" => self.engines_of(sent, &mut changes)?,
                "yara_sources" => self.sources_of(sent, &mut changes)?,
                // Judged with who the caller is, by themselves.
                accounts if SECTIONS.contains(&accounts) => {}
                other => return Err(format!("`config.{}` is no section of an export of Portcullis.", portcullis_core::domain::name::display(other))),
            }
        }
        Ok(changes)
    }

    fn differs(&self, changes: &mut Changes, section: &str, right: Right, name: &'static str, value: Value) {
        let revision = self.documents.get(name).map_or(0, |(_, revision)| *revision);
        changes.sections.insert(section.to_owned());
        changes.rights.push(right);
        changes.documents.retain(|(known, ..)| *known != name);
        changes.documents.push((name, value, revision));
    }

    fn rules_of(&self, sent: &Value, changes: &mut Changes) -> Result<(), String> {
        let sent = sent.as_array().ok_or("`config.rules` is no list.")?;
        let rules = rules::parse(sent).map_err(|problem| format!("`config.rules`: {problem}"))?;
        if rules != self.rules().map_err(|e| unreadable(&e))? {
            self.differs(changes, "rules", Right::RuleWrite, rules::SETTING, json!(rules));
        }
        Ok(())
    }

    fn settings_of(&self, sent: &Value, changes: &mut Changes) -> Result<(), String> {
        let sent = sent.as_object().ok_or("`config.settings` is no object.")?;
        // Several names may be parts of one document: each is put onto what the ones before made.
        let mut made: BTreeMap<&'static str, Value> = BTreeMap::new();
        for (name, body) in sent {
            let section = format!("settings.{}", portcullis_core::domain::name::display(name));
            let document = documents().find(|document| document.name() == name).ok_or_else(|| format!("There is no field `config.{section}`."))?;
            let body = body.as_object().ok_or_else(|| format!("`config.{section}` is no object."))?;
            let base = made.get(document.setting).unwrap_or_else(|| self.value(document.setting)).clone();
            let after = document.changed(&base, body).map_err(|problem| format!("`config.{section}`: {problem}"))?;
            if after != base {
                made.insert(document.setting, after.clone());
                self.differs(changes, &section, document.write, document.setting, after);
            }
        }
        Ok(())
    }

    fn engines_of(&self, sent: &Value, changes: &mut Changes) -> Result<(), String> {
        let sent = sent.as_object().ok_or("`config.engines` is no object.")?;
        let before = self.engines().map_err(|e| unreadable(&e))?;
        let mut after = before.clone();
        for (id, body) in sent {
            let field = format!("config.engines.{}", portcullis_core::domain::name::display(id));
            let engine = CATALOGUE.iter().find(|engine| engine.id == id).ok_or_else(|| format!("There is no field `{field}`."))?;
            let body = body.as_object().ok_or_else(|| format!("`{field}` is no object."))?;
            let mut state = before.of(engine);
            for (name, value) in body {
                let flag = value.as_bool().ok_or_else(|| format!("`{field}.{name}` is neither true nor false."))?;
                match name.as_str() {
                    "enabled" if !flag && engine.kind != "av" => return Err(format!("`{field}.enabled`: this engine can not be disabled.")),
                    "enabled" => state.disabled = !flag,
                    "engine_pinned" => state.engine_pinned = flag,
                    "database_pinned" => {
                        if flag != state.database_pinned.is_some() {
                            changes.pins.insert(engine.id, flag);
                        }
                    }
                    _ => return Err(format!("There is no field `{field}.{name}`.")),
                }
            }
            after.set(engine, state);
        }
        if after != before || !changes.pins.is_empty() {
            self.differs(changes, "engines", Right::EnginesWrite, EngineStates::SETTING, json!(after));
        }
        Ok(())
    }

    fn sources_of(&self, sent: &Value, changes: &mut Changes) -> Result<(), String> {
        let problem = |problem: String| format!("`config.yara_sources`: {problem}");
        let sources = sources_of(sent.clone(), &self.definitions_bucket).map_err(problem)?;
        let in_force = self.value(Sources::SETTING);
        let before = if in_force.is_null() { json!(Sources::default_of(&self.definitions_bucket)) } else { in_force.clone() };
        if json!(sources) != before {
            self.differs(changes, "yara_sources", Right::EnginesWrite, Sources::SETTING, json!(sources));
        }
        Ok(())
    }
}

fn unreadable(error: &StoreError) -> String {
    tracing::error!(error = %portcullis_core::error::chain(error), "what is in force can not be compared with an import");
    "What is in force can not be read.".into()
}

fn engines_shown(states: &EngineStates) -> Value {
    let shown = CATALOGUE.iter().map(|engine| {
        let state = states.of(engine);
        let body = json!({ "enabled": !state.disabled, "engine_pinned": state.engine_pinned, "database_pinned": state.database_pinned.is_some() });
        (engine.id.to_owned(), body)
    });
    Value::Object(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let value = |name: &str| documents().find(|document| document.setting == name).map_or(Value::Null, |document| document.in_force(None));
        let names = documents().map(|document| document.setting).chain([rules::SETTING, EngineStates::SETTING, Sources::SETTING]);
        State { documents: names.map(|name| (name, (value(name), 3))).collect(), definitions_bucket: "definitions".into() }
    }

    #[test]
    fn what_is_exported_changes_nothing_when_it_is_imported() {
        let state = state();
        let changes = state.compared(state.shown().unwrap().as_object().unwrap()).unwrap();
        assert!(changes.documents.is_empty() && changes.sections.is_empty() && changes.pins.is_empty(), "{:?}", changes.sections);
    }

    #[test]
    fn changes_of_parts_of_one_document_are_one_write_and_ask_for_their_rights() {
        let config = json!({
            "settings": { "auditlog": { "cleanuprange": 5 }, "quarantine": { "cleanuprange": 6 }, "scan": { "max_queue_per_agent": 20_000 } },
            "engines": { "pdf_1_linux": { "enabled": false }, "yarax_1_linux": { "database_pinned": true } },
            "rules": [{ "name": "only" }],
            "yara_sources": { "local_sources": [], "http_sources": [] },
        });
        let changes = state().compared(config.as_object().unwrap()).unwrap();
        let names: BTreeSet<_> = changes.documents.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, BTreeSet::from(["ENGINE_STATES", "RETENTION", "RULES", "YARA_SOURCES"]));
        assert_eq!(changes.documents.len(), 4);
        let retention = &changes.documents.iter().find(|(name, ..)| *name == "RETENTION").unwrap().1;
        assert_eq!((&retention["auditlog"], &retention["quarantine"], &retention["scanhistory"]), (&json!(5), &json!(6), &json!(720)));
        for right in [Right::RetentionWrite, Right::EnginesWrite, Right::RuleWrite] {
            assert!(changes.rights.contains(&right));
        }
        assert!(!changes.rights.contains(&Right::ScanWrite), "the queue stays as it is");
        assert_eq!(changes.pins, BTreeMap::from([("yarax_1_linux", true)]));
    }

    #[test]
    fn a_problem_names_its_section_and_field() {
        for (config, names) in [
            (json!({ "policy.rule.rule": { "items": [] } }), "`config.policy.rule.rule`"),
            (json!({ "rules": {} }), "`config.rules`"),
            (json!({ "rules": [{ "name": "a", "engines": ["Nobody"] }] }), "`config.rules`"),
            (json!({ "settings": { "moon": {} } }), "`config.settings.moon`"),
            (json!({ "settings": { "scan": { "max_queue_per_agent": 0 } } }), "`max_queue_per_agent`"),
            (json!({ "settings": { "skip": { "whitelist": {} } } }), "`config.settings.skip`"),
            (json!({ "engines": { "nobody": {} } }), "`config.engines.nobody`"),
            (json!({ "engines": { "archive_1_linux": { "enabled": false } } }), "`config.engines.archive_1_linux.enabled`"),
            (json!({ "engines": { "pdf_1_linux": { "enabled": 1 } } }), "`config.engines.pdf_1_linux.enabled`"),
            (json!({ "engines": { "pdf_1_linux": { "state": true } } }), "`config.engines.pdf_1_linux.state`"),
            (json!({ "yara_sources": [] }), "`config.yara_sources`"),
            (json!({ "yara_sources": { "local_sources": [{ "source": "/etc", "state": "enabled" }] } }), "`config.yara_sources`"),
        ] {
            let problem = state().compared(config.as_object().unwrap()).err().unwrap();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
