//! `/stat/engines` and the engine list of `/stat/nodes` (contract §6.9).

use serde::Serialize;

use crate::domain::engine::{CATALOGUE, EngineIdentity, EngineStatus};

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
pub fn list(published: &[EngineStatus]) -> Vec<Engine> {
    rows(published)
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
            state: if status.active { "production" } else { "permanently failed" },
            kind: "engine",
        })
        .collect()
}

/// The same for `/stat/nodes`.
pub fn list_of_node(published: &[EngineStatus]) -> Vec<NodeEngine> {
    rows(published)
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

fn rows(published: &[EngineStatus]) -> impl Iterator<Item = (&'static EngineIdentity, EngineStatus)> + '_ {
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
        Some((identity, status.or_else(bundled)?))
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
        let names = |published: &[EngineStatus]| list(published).iter().map(|engine| engine.eng_name).collect::<Vec<_>>();
        assert!(!names(&[]).contains(&CLAMAV.name));
        let runs = EngineStatus { name: CLAMAV.name.into(), version: "1.4.6".into(), def_time: String::new(), active: true, issues: Vec::new() };
        assert!(names(&[runs]).contains(&CLAMAV.name));
    }

    #[test]
    fn each_engine_has_the_eleven_fields_and_one_is_active() {
        let engines = serde_json::to_value(list(&[])).unwrap();
        for engine in engines.as_array().unwrap() {
            assert_eq!(engine.as_object().unwrap().len(), 11, "{engine}");
        }
        assert!(engines.as_array().unwrap().iter().any(|e| e["active"] == true && e["engine_type"] == "av"));
    }
}
