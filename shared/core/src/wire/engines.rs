//! `/stat/engines` and the engine list of `/stat/nodes` (contract §6.9).

use serde::Serialize;

use crate::domain::engine::{CATALOGUE, EngineIdentity, EngineStatus};
use crate::overrides::EngineStates;

/// One engine; all eleven fields are needed by clients.
#[derive(Clone, Debug, Serialize)]
pub struct Engine {
    active: bool,
    def_time: String,
    download_progress: u8,
    download_time: String,
    eng_id: &'static str,
    eng_name: &'static str,
    eng_type: &'static str,
    eng_ver: String,
    engine_type: &'static str,
    state: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// One engine as a node lists it.
#[derive(Clone, Debug, Serialize)]
pub struct NodeEngine {
    active: bool,
    db_ver: String,
    def_time: String,
    eng_name: &'static str,
    eng_ver: String,
    engine_type: &'static str,
    id: &'static str,
}

/// The catalogue with what the scan function last published. Before its first start the engines are
/// listed with this software's version and no definition date: they are part of it and will be there.
pub fn list(published: &[EngineStatus], states: &EngineStates) -> Vec<Engine> {
    rows(published, states)
        .map(|(identity, status)| Engine {
            active: status.active,
            def_time: status.def_time.clone(),
            download_progress: 100,
            download_time: status.def_time,
            eng_id: identity.id,
            eng_name: identity.name,
            eng_type: "Bundled engine",
            eng_ver: status.version,
            engine_type: identity.kind,
            state: match status.active {
                true => "production",
                false if states.is_disabled(identity) => "disabled",
                false => "permanently failed",
            },
            kind: "engine",
        })
        .collect()
}

/// The same for `/stat/nodes`.
pub fn list_of_node(published: &[EngineStatus], states: &EngineStates) -> Vec<NodeEngine> {
    rows(published, states)
        .map(|(identity, status)| NodeEngine {
            active: status.active,
            db_ver: status.def_time.clone(),
            def_time: status.def_time,
            eng_name: identity.name,
            eng_ver: status.version,
            engine_type: identity.kind,
            id: identity.id,
        })
        .collect()
}

/// The engines that are there, each with what it says of itself; one that is switched off is not active, whatever it says.
pub fn rows<'a>(published: &'a [EngineStatus], decided: &'a EngineStates) -> impl Iterator<Item = (&'static EngineIdentity, EngineStatus)> + 'a {
    CATALOGUE.iter().filter_map(|identity| {
        let status = published.iter().find(|status| status.name == identity.name).cloned();
        // Optional engines are part of this software only where a scan function says that it has them.
        let bundled = || {
            (!identity.is_optional()).then(|| EngineStatus {
                name: identity.name.into(),
                version: env!("CARGO_PKG_VERSION").into(),
                def_time: String::new(),
                active: true,
                issues: Vec::new(),
            })
        };
        let mut status = status.or_else(bundled)?;
        status.active &= !decided.is_disabled(identity);
        Some((identity, status))
    })
}

/// Name of the setting under which the scan function publishes what runs.
pub const PUBLISHED: &str = "ENGINES";
/// Name of the setting under which it publishes the version of its definitions, a text.
pub const VERSION: &str = "DEFINITIONS_VERSION";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_engine_is_listed_where_it_runs() {
        use crate::domain::engine::CLAMAV;
        let names = |published: &[EngineStatus]| list(published, &EngineStates::default()).iter().map(|engine| engine.eng_name).collect::<Vec<_>>();
        assert!(!names(&[]).contains(&CLAMAV.name));
        let runs = EngineStatus { name: CLAMAV.name.into(), version: "1.4.6".into(), def_time: String::new(), active: true, issues: Vec::new() };
        assert!(names(&[runs]).contains(&CLAMAV.name));
    }

    #[test]
    fn an_engine_that_is_switched_off_is_listed_as_such() {
        use crate::domain::engine::YARA_X;
        use crate::overrides::EngineState;
        let mut states = EngineStates::default();
        states.set(&YARA_X, EngineState { disabled: true, ..EngineState::default() });
        let engines = serde_json::to_value(list(&[], &states)).unwrap();
        let off: Vec<_> = engines.as_array().unwrap().iter().filter(|engine| engine["active"] == false).collect();
        assert_eq!((off.len(), &off[0]["eng_name"], &off[0]["state"]), (1, &YARA_X.name.into(), &"disabled".into()));
    }

    #[test]
    fn each_engine_has_the_eleven_fields_and_one_is_active() {
        let engines = serde_json::to_value(list(&[], &EngineStates::default())).unwrap();
        for engine in engines.as_array().unwrap() {
            assert_eq!(engine.as_object().unwrap().len(), 11, "{engine}");
        }
        assert!(engines.as_array().unwrap().iter().any(|e| e["active"] == true && e["engine_type"] == "av"));
    }
}
