//! `GET` and `PUT /admin/config/session` (contract C7, §6.2). In force for open sessions within seconds.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::roles::Right;
use portcullis_core::auth::{Caller, SessionSettings};
use portcullis_core::http::error::ApiError;
use portcullis_core::http::fields::{Fields, Problem, bad};
use serde_json::Value;

use crate::Admin;

const FIELDS: &[&str] = &["sessionTimeout", "absoluteSessionTimeout", "allowCrossIpSessions", "allowDuplicateSession"];

/// The settings in force.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::ScanRead)?;
    Ok(Json(admin.auth.session_settings().await?.to_wire()))
}

/// Puts settings in force; what is not sent stays as it is. Answers all of them.
pub(crate) async fn write(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let mut fields = Fields::read(body, FIELDS).await?;
    let (before, revision) = admin.settings.versioned::<SessionSettings>(SessionSettings::NAME).await?;
    let before = before.unwrap_or_default();
    let settings = changed(&before, &mut fields).map_err(bad)?;
    let change = Change::of(by, "config.session.write", SessionSettings::NAME, &before, &settings);
    admin.change(change, SessionSettings::NAME, &settings, revision).await?;
    Ok(Json(settings.to_wire()))
}

/// The settings with what was sent; a problem names its field.
fn changed(before: &SessionSettings, fields: &mut Fields) -> Result<SessionSettings, Problem> {
    let mut time = |name: &str, before: i64| {
        let sent = fields.number(name, SessionSettings::RANGE)?;
        Ok::<_, Problem>(sent.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(before))
    };
    Ok(SessionSettings {
        session_timeout: time("sessionTimeout", before.session_timeout)?,
        absolute_session_timeout: time("absoluteSessionTimeout", before.absolute_session_timeout)?,
        allow_cross_ip_sessions: fields.bool("allowCrossIpSessions")?.unwrap_or(before.allow_cross_ip_sessions),
        allow_duplicate_session: fields.bool("allowDuplicateSession")?.unwrap_or(before.allow_duplicate_session),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &str) -> Result<SessionSettings, Problem> {
        changed(&SessionSettings::default(), &mut Fields::parse(body.as_bytes(), FIELDS)?)
    }

    #[test]
    fn what_is_not_sent_stays_and_problems_name_the_field() {
        let settings = sent(r#"{"absoluteSessionTimeout":7200000,"allowDuplicateSession":false}"#).unwrap();
        let expected = SessionSettings { absolute_session_timeout: 7_200_000, allow_duplicate_session: false, ..SessionSettings::default() };
        assert_eq!(settings, expected);
        for (body, names) in [
            (r#"{"sessionTimeout":7200001}"#, "`sessionTimeout`"),
            (r#"{"sessionTimeout":-1}"#, "`sessionTimeout`"),
            (r#"{"absoluteSessionTimeout":"0"}"#, "`absoluteSessionTimeout`"),
            (r#"{"allowCrossIpSessions":1}"#, "`allowCrossIpSessions`"),
            (r#"{"allowDuplicateSession":null}"#, "`allowDuplicateSession`"),
            (r#"{"session_timeout":1}"#, "`session_timeout`"),
        ] {
            let problem = sent(body).unwrap_err();
            assert!(problem.contains(names), "{body}: {problem}");
        }
    }
}
