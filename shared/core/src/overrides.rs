//! What administrators decided beyond the rules: engines that are switched off or pinned, contents that are listed.
//!
//! Each scan reads it anew (settings are cached for 5 s) and gives it to its worker with the job. What always holds: a verdict
//! rests on the overrides like it rests on the definitions ([`Overrides::definitions`]), so nothing that was judged before a
//! change is taken over after it; and an engine that is off can only take something away from what proves a file clean.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::engine::{CATALOGUE, EngineIdentity};
use crate::domain::skip::SkipLists;
use crate::domain::yara::PackageRef;
use crate::store::StoreError;
use crate::store::settings::Settings;

/// Definitions that stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// When they were pinned, ms since the epoch.
    pub at: i64,
    /// Prefix of the copies in the definitions bucket, with a slash at its end; empty: the definitions of this engine are
    /// not ours, or are its code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
    /// The YARA package that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageRef>,
}

/// What was decided about one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineState {
    /// Switched off.
    pub disabled: bool,
    /// Not to be updated. Engines are part of this software: it is remembered and shown, a deployment changes them all the same.
    pub engine_pinned: bool,
    /// Whose definitions do not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_pinned: Option<Pinned>,
}

/// By engine id; an engine without an entry is on and not pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineStates(pub BTreeMap<String, EngineState>);

impl EngineStates {
    /// Name of the setting.
    pub const SETTING: &'static str = "ENGINE_STATES";

    /// What was decided about an engine.
    pub fn of(&self, engine: &EngineIdentity) -> EngineState {
        self.0.get(engine.id).cloned().unwrap_or_default()
    }

    /// Whether an engine is switched off.
    pub fn is_disabled(&self, engine: &EngineIdentity) -> bool {
        self.0.get(engine.id).is_some_and(|state| state.disabled)
    }

    /// The definitions that stay, by engine id.
    pub fn pins(&self) -> BTreeMap<String, Pinned> {
        self.0.iter().filter_map(|(id, state)| Some((id.clone(), state.database_pinned.clone()?))).collect()
    }

    /// Sets the state of an engine; one that is as if nothing was decided has no entry.
    pub fn set(&mut self, engine: &EngineIdentity, state: EngineState) {
        if state == EngineState::default() {
            self.0.remove(engine.id);
        } else {
            self.0.insert(engine.id.to_owned(), state);
        }
    }

    /// The states in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::SETTING).await?.unwrap_or_default())
    }
}

/// What a scan is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// Names of engines that do not run.
    pub disabled: BTreeSet<String>,
    /// Listed contents.
    pub lists: SkipLists,
}

impl Overrides {
    /// What is in force.
    ///
    /// # Errors
    /// Also when a document can not be read: nobody knows then what is on the block list.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        let states = EngineStates::in_force(settings).await?;
        let lists = settings.get::<SkipLists>(SkipLists::SETTING).await?.unwrap_or_default();
        let disabled = CATALOGUE.iter().filter(|engine| states.is_disabled(engine)).map(|engine| engine.name.to_owned()).collect();
        Ok(Self { disabled, lists })
    }

    /// 16 hex characters, equal for overrides that judge alike; empty when there are none.
    pub fn version(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        // Maps and sets are sorted: equal overrides have equal texts.
        let text = serde_json::json!([self.disabled, self.lists]).to_string();
        hex::encode(Sha256::digest(text.as_bytes())).chars().take(16).collect()
    }

    /// The version of definitions that a verdict rests on, those of the workers and these overrides together: 32 hex characters.
    pub fn definitions(&self, of_workers: &str) -> String {
        let own = self.version();
        if own.is_empty() {
            return of_workers.to_owned();
        }
        hex::encode(Sha256::digest(format!("{own}/{of_workers}").as_bytes())).chars().take(32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::engine::{PDF, YARA_X};
    use crate::domain::skip::Listed;

    #[test]
    fn each_override_makes_another_version_and_none_makes_none() {
        let none = Overrides::default();
        assert_eq!((none.version().as_str(), none.definitions("d").as_str()), ("", "d"));
        let off = Overrides { disabled: BTreeSet::from([PDF.name.into()]), ..Overrides::default() };
        let mut listed = Overrides::default();
        listed.lists.blacklist.insert("a".repeat(64), Listed::default());
        let mut other = Overrides::default();
        other.lists.whitelist.insert("a".repeat(64), Listed::default());
        let versions: BTreeSet<_> = [&none, &off, &listed, &other].iter().map(|overrides| overrides.definitions("d")).collect();
        assert_eq!(versions.len(), 4);
        assert_ne!(off.definitions("d"), off.definitions("e"));
    }

    #[test]
    fn an_engine_about_which_nothing_is_decided_has_no_entry() {
        let mut states = EngineStates::default();
        states.set(&YARA_X, EngineState { disabled: true, ..EngineState::default() });
        assert!(states.is_disabled(&YARA_X) && !states.is_disabled(&PDF));
        states.set(&YARA_X, EngineState::default());
        assert_eq!(serde_json::to_string(&states).unwrap(), "{}");
    }
}
