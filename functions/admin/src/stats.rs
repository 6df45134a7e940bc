//! `/version`, `/stat/engines`, `/stat/nodes` (contract §1.10, §6.7, §6.9).

use axum::Json;
use axum::extract::State;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::domain::engine::{CATALOGUE, EngineStatus};
use portcullis_core::http::error::ApiError;
use portcullis_core::intake::ScanSettings;
use portcullis_core::overrides::EngineStates;
use portcullis_core::store::StoreError;
use portcullis_core::wire::engines;
use serde_json::{Value, json};

use crate::Admin;

/// Core's product id for Linux (contract §9 U39).
const PRODUCT_ID: &str = "MSCL";
/// The Core API that is spoken. Major 5: clients choose their link style by it. Below 5.11: how Core itself takes
/// multipart uploads is not known (contract §9 U1).
const CORE_VERSION: &str = "5.10.0";

impl Admin {
    pub(crate) async fn published(&self) -> Result<Vec<EngineStatus>, StoreError> {
        Ok(self.settings.get(engines::PUBLISHED).await?.unwrap_or_default())
    }
}

/// `GET /version`: also how clients test a key.
pub(crate) async fn version(_: Caller) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "product_id": PRODUCT_ID, "version": CORE_VERSION, "portcullis": env!("CARGO_PKG_VERSION") })))
}

/// `GET /stat/engines`.
pub(crate) async fn engines(State(admin): State<Admin>, _: Caller) -> Result<Json<Vec<engines::Engine>>, ApiError> {
    let (published, states) = tokio::try_join!(admin.published(), EngineStates::in_force(&admin.settings))?;
    Ok(Json(engines::list(&published, &states)))
}

/// `GET /stat/nodes`: one logical node; functions come and go, the queue is what they share. An object, not an array (contract §9 U22).
pub(crate) async fn nodes(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::AgentsRead)?;
    let (published, states) = tokio::try_join!(admin.published(), EngineStates::in_force(&admin.settings))?;
    let slots = ScanSettings::in_force(&admin.settings).await?.max_queue_per_agent;
    let depth = admin.scan_queue.depth().await?;
    let off = CATALOGUE.iter().filter(|engine| states.is_disabled(engine)).map(|engine| format!("Engine `{}` is disabled.", engine.name));
    let issues = published.iter().flat_map(|engine| engine.issues.clone()).chain(off);
    let issues: Vec<Value> = issues.map(|issue| json!({ "description": issue, "severity": "warning" })).collect();
    Ok(Json(json!({
        "external_nodes_allowed": false,
        "max_node_count": 1,
        "statuses": [{
            "address": "",
            "id": ":1",
            "cpu_cores": std::thread::available_parallelism().map_or(1, usize::from),
            "load": 0,
            "total_memory": 0,
            "free_disk_space": 0,
            "os": std::env::consts::OS,
            "version": CORE_VERSION,
            "scan_queue": depth.waiting,
            "scan_queue_details": { "available_slots": slots.saturating_sub(depth.total()).max(1), "total_scan_queue": slots },
            "issues": issues,
            "engines": engines::list_of_node(&published, &states),
        }],
    })))
}
