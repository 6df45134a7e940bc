//! `GET /readyz` by the policy of `/admin/config/healthcheck` (contract §6.7).
//!
//! What always holds: 200 means that the table, the queue and the engines were asked just now (settings are cached for 5 s)
//! and that every condition of the policy holds; what can not be asked is not ready.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use portcullis_core::domain::engine::EngineStatus;
use portcullis_core::error::chain;
use portcullis_core::http::body::query;
use portcullis_core::intake::ScanSettings;
use portcullis_core::overrides::EngineStates;
use portcullis_core::store::StoreError;
use portcullis_core::wire::engines;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Admin;

/// The policy of health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HealthSettings {
    /// Whether queue and engines count; without, only table and queue must answer.
    pub(crate) enable: bool,
    /// How much of the scan queue may be taken, in percent of `max_queue_per_agent`.
    pub(crate) max_queue_percentage: u64,
    /// Active engines that scan, at least.
    pub(crate) min_av_engines: u64,
    /// Stored and shown: functions have no installation volume.
    pub(crate) min_disk_percentage: u64,
    /// Names of engines that must be active.
    pub(crate) required_engines: Vec<String>,
}

impl HealthSettings {
    pub(crate) const NAME: &'static str = "HEALTHCHECK";
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { enable: true, max_queue_percentage: 100, min_av_engines: 1, min_disk_percentage: 0, required_engines: Vec::new() }
    }
}

/// What of the engines is not as the policy wants it; empty: all is.
fn engine_problems(policy: &HealthSettings, published: &[EngineStatus], states: &EngineStates) -> Vec<String> {
    let active: Vec<_> = engines::rows(published, states).filter(|(_, status)| status.active).map(|(engine, _)| engine).collect();
    let scanning = active.iter().filter(|engine| engine.kind == "av").count();
    let mut problems = Vec::new();
    if u64::try_from(scanning).unwrap_or(u64::MAX) < policy.min_av_engines {
        problems.push(format!("{scanning} engines are active, fewer than {}", policy.min_av_engines));
    }
    let missing = policy.required_engines.iter().filter(|name| !active.iter().any(|engine| engine.name == **name));
    problems.extend(missing.map(|name| format!("`{name}` is not active")));
    problems
}

/// What was found out. `None`: it could not be asked.
struct Looked {
    policy: HealthSettings,
    /// Files in the scan queue, and how many there may be.
    queue: Option<(u64, u64)>,
    /// What is wrong with the engines.
    engines: Option<Vec<String>>,
    database: bool,
}

impl Looked {
    fn queue_holds(&self) -> bool {
        let Some((taken, slots)) = self.queue else { return false };
        !self.policy.enable || taken.saturating_mul(100) <= self.policy.max_queue_percentage.saturating_mul(slots)
    }

    fn engines_hold(&self) -> bool {
        self.engines.as_ref().is_some_and(|problems| !self.policy.enable || problems.is_empty())
    }

    fn is_ready(&self) -> bool {
        self.database && self.queue_holds() && self.engines_hold()
    }

    /// The contract's shape (§6.7), and why.
    fn verbose(&self) -> Value {
        let mut body = json!({
            "ready": self.is_ready(),
            "database": { "status": self.database },
            "license": { "status": "ok" },
            "scan_queue": { "status": self.queue_holds(), "required": true },
            "engines": { "status": self.engines_hold(), "required": self.policy.enable },
        });
        if let Some((taken, slots)) = self.queue {
            body["scan_queue"]["files"] = taken.into();
            body["scan_queue"]["slots"] = slots.into();
        }
        if let Some(problems) = &self.engines {
            body["engines"]["problems"] = problems.clone().into();
        }
        body
    }
}

impl Admin {
    async fn look(&self) -> Looked {
        let stored = async {
            let policy = self.settings.get::<HealthSettings>(HealthSettings::NAME).await?.unwrap_or_default();
            let slots = ScanSettings::in_force(&self.settings).await?.max_queue_per_agent;
            let states = EngineStates::in_force(&self.settings).await?;
            let problems = engine_problems(&policy, &self.published().await?, &states);
            Ok::<_, StoreError>((policy, slots, problems))
        };
        let (stored, depth) = (stored.await, self.scan_queue.depth().await);
        for error in [stored.as_ref().err(), depth.as_ref().err()].into_iter().flatten() {
            tracing::error!(error = %chain(error), "not ready");
        }
        match stored {
            Ok((policy, slots, problems)) => {
                Looked { policy, queue: depth.ok().map(|depth| (depth.total(), slots)), engines: Some(problems), database: true }
            }
            Err(_) => Looked { policy: HealthSettings::default(), queue: None, engines: None, database: false },
        }
    }
}

/// `GET /readyz`: 200 when every condition holds, else 503. No key: load balancers ask it. `?verbose=true` tells which.
pub(crate) async fn ready(State(admin): State<Admin>, uri: Uri) -> Response {
    let looked = admin.look().await;
    let status = if looked.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = if query(&uri, "verbose").as_deref() == Some("true") { looked.verbose() } else { json!({ "ready": looked.is_ready() }) };
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use portcullis_core::domain::engine::{CATALOGUE, YARA_X};
    use portcullis_core::overrides::EngineState;

    use super::*;

    fn looked(policy: HealthSettings, taken: u64, states: &EngineStates) -> Looked {
        let engines = Some(engine_problems(&policy, &[], states));
        Looked { policy, queue: Some((taken, 200)), engines, database: true }
    }

    #[test]
    fn every_condition_of_the_policy_is_asked() {
        let none = EngineStates::default();
        let policy = HealthSettings { max_queue_percentage: 50, ..HealthSettings::default() };
        assert!(looked(policy.clone(), 100, &none).is_ready());
        assert!(!looked(policy.clone(), 101, &none).is_ready());
        assert!(looked(HealthSettings { enable: false, ..policy.clone() }, 101, &none).is_ready());
        assert!(looked(HealthSettings { min_av_engines: 6, ..policy.clone() }, 0, &none).is_ready());
        assert!(!looked(HealthSettings { min_av_engines: 7, ..policy.clone() }, 0, &none).is_ready(), "ClamAV is not there");
        let mut off = EngineStates::default();
        off.set(&YARA_X, EngineState { disabled: true, ..EngineState::default() });
        assert!(looked(policy.clone(), 0, &off).is_ready());
        let required = HealthSettings { required_engines: vec![YARA_X.name.into()], ..policy.clone() };
        assert!(looked(required.clone(), 0, &none).is_ready());
        assert!(!looked(required, 0, &off).is_ready());
        let mut all_off = EngineStates::default();
        for engine in CATALOGUE.iter().filter(|engine| engine.kind == "av") {
            all_off.set(engine, EngineState { disabled: true, ..EngineState::default() });
        }
        assert!(!looked(policy, 0, &all_off).is_ready());
    }

    #[test]
    fn what_could_not_be_asked_is_not_ready() {
        for (database, queue) in [(false, Some((0, 1))), (true, None)] {
            let looked = Looked { policy: HealthSettings { enable: false, ..HealthSettings::default() }, queue, engines: Some(Vec::new()), database };
            assert!(!looked.is_ready());
        }
    }
}
