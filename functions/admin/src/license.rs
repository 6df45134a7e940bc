//! The licence calls of the contract (§1.6, §6.10).
//!
//! Portcullis is free software and needs none: the object says so in the shape that clients read, and activation and upload
//! are accepted without effect, but for their entry in the audit log. What always holds: no key and no file is kept.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{now_ms, parse_iso};
use portcullis_core::http::body;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, bad};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Admin;

/// The last day, as ISO date and as the contract writes it.
const LAST_DAY: (&str, &str) = ("2099-12-31", "12/31/2099");
/// A day, ms.
const DAY_MS: i64 = 24 * 3_600_000;
/// Largest licence file, in bytes.
const MAX_FILE: usize = 64 * 1024;

/// `GET /admin/license`. Some clients send a body with it; it is not looked at.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::LicenseRead)?;
    let days_left = parse_iso(LAST_DAY.0).map_or(0, |end| (end - now_ms()) / DAY_MS);
    Ok(Json(json!({
        "deployment": deployment(&admin.table),
        "days_left": days_left,
        "online_activated": true,
        "expiration": LAST_DAY.1,
        "licensed_engines": "*",
        "licensed_to": "Apache-2.0",
        "max_node_count": "1",
        "max_agent_count": "1",
        "product_id": "MSCL-5-unlimited",
        "product_name": "Portcullis",
    })))
}

/// `POST /admin/license`: a licence file, YAML.
pub(crate) async fn upload(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::LicenseWrite)?;
    let file = body::bytes(body).await?;
    if !is_licence(&file) {
        return Err(ErrorCode::InvalidLicense.into());
    }
    let told = json!({ "bytes": file.len(), "sha256": hex::encode(Sha256::digest(&file)) });
    admin.auth.audit().note(&Change::of(by, "license.upload", "license", &Value::Null, &told)).await?;
    Ok(Json(json!({ "success": true })))
}

/// `POST /admin/license/activation`. `quantity` comes as a number or as a text.
pub(crate) async fn activate(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::LicenseWrite)?;
    let mut fields = Fields::read(body, &["activationKey", "quantity", "comment"]).await?;
    let key = fields.text("activationKey", 1..=256).map_err(bad)?;
    fields.required("activationKey", key).map_err(bad)?;
    let quantity = fields.number_or_text("quantity", 1..=1_000_000).map_err(bad)?;
    let comment = fields.text("comment", 0..=1000).map_err(bad)?;
    let told = json!({ "activationKey": "***", "quantity": quantity, "comment": comment });
    admin.auth.audit().note(&Change::of(by, "license.activate", "license", &Value::Null, &told)).await?;
    Ok(Json(json!({ "success": true })))
}

/// Whether this is YAML with fields, as licence files are.
fn is_licence(file: &[u8]) -> bool {
    file.len() <= MAX_FILE
        && std::str::from_utf8(file).is_ok_and(|text| serde_yaml_ng::from_str::<serde_yaml_ng::Mapping>(text).is_ok_and(|map| !map.is_empty()))
}

/// A UUID that is the deployment's own and stays the same.
fn deployment(table: &str) -> String {
    let digest = Sha256::digest(format!("portcullis deployment {table}").as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yaml_with_fields_is_a_licence() {
        assert!(is_licence(b"---\nlicense:\n  key: abc\n"));
        for other in [&b""[..], b"garbage", b"- a\n- b\n", b"{", b"\xff\xfe", b"a: [", b"{}"] {
            assert!(!is_licence(other), "{other:?}");
        }
        assert!(!is_licence(format!("a: {}", "x".repeat(MAX_FILE)).as_bytes()));
    }

    #[test]
    fn the_deployment_is_a_uuid_of_its_own() {
        let one = deployment("a");
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
        assert_eq!(one, deployment("a"));
        assert_ne!(one, deployment("b"));
    }
}
