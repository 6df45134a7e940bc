//! `POST`, `GET` and `DELETE /admin/rescan` (ours): starts, shows and stops a rescan of stored files.
//! (`/admin/config/rescan` is one of the documents of `config`.)

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use portcullis_core::audit::Change;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms, parse_iso};
use portcullis_core::domain::verdict::Code;
use portcullis_core::http::error::{ApiError, ErrorCode};
use portcullis_core::http::fields::{Fields, Problem, bad};
use portcullis_core::rescan::{Change as Became, Job, PER_MINUTE, RATES, State as JobState};
use portcullis_core::store::StoreError;
use portcullis_core::wire::engines::VERSION;
use serde_json::{Value, json};

use crate::Admin;

/// Files with news that are shown.
const SHOWN: usize = 500;

/// Starts a rescan; 409 while one runs.
pub(crate) async fn start(State(admin): State<Admin>, caller: Caller, body: Body) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    let fields = Fields::read(body, &["from", "to", "rule", "code", "result", "per_minute", "release"]).await?;
    let definitions = admin.settings.get::<String>(VERSION).await?.unwrap_or_default();
    let job = Job { started_by: by.name.clone(), ..parse(fields, definitions, now_ms()).map_err(bad)? };
    let running = || ApiError::with_text(ErrorCode::Conflict, "A rescan runs: stop it, or wait for its end.");
    let (current, revision) = admin.settings.versioned::<Job>(Job::NAME).await?;
    if current.is_some_and(|current| current.state == JobState::Running) {
        return Err(running());
    }
    let change = Change::of(by, "rescan.start", Job::NAME, &Value::Null, &job);
    match admin.settings.change(admin.auth.audit(), change, Job::NAME, &job, Some(revision)).await {
        Ok(_) => admin.rescan_shown(Some(job)).await,
        Err(StoreError::Conflict { .. }) => Err(running()),
        Err(error) => Err(error.into()),
    }
}

/// The rescan that runs, or the last one.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require(Right::ScanRead)?;
    let (job, _) = admin.settings.versioned::<Job>(Job::NAME).await?;
    admin.rescan_shown(job).await
}

/// Stops the rescan: nothing more is handed out, what waits in the queue is passed over, what is being judged ends.
pub(crate) async fn stop(State(admin): State<Admin>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let by = caller.require(Right::ScanWrite)?;
    loop {
        let (job, revision) = admin.settings.versioned::<Job>(Job::NAME).await?;
        let Some(before) = job.as_ref().filter(|job| job.state == JobState::Running) else { return admin.rescan_shown(job).await };
        let stopped = Job { state: JobState::Cancelled, ended_at: Some(now_ms()), ..before.clone() };
        let change = Change::of(by.clone(), "rescan.stop", Job::NAME, before, &stopped);
        match admin.settings.change(admin.auth.audit(), change, Job::NAME, &stopped, Some(revision)).await {
            Ok(_) => return admin.rescan_shown(Some(stopped)).await,
            // Sweep handed files out meanwhile.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Admin {
    async fn rescan_shown(&self, job: Option<Job>) -> Result<Json<Value>, ApiError> {
        let Some(job) = job else { return Ok(Json(json!({ "status": "none" }))) };
        let counts = self.rescans.counts(&job.id).await?;
        let news = self.rescans.news(&job.id, SHOWN).await?;
        let mut shown = json!({
            "id": job.id,
            "status": job.state,
            "from": iso(job.from),
            "to": iso(job.to),
            "per_minute": job.per_minute,
            "release": job.release,
            "started_by": job.started_by,
            "started": iso(job.created_at),
            "ended": job.ended_at.map(iso).unwrap_or_default(),
            "handed_out": job.fed,
            "all_handed_out": job.is_fed(),
            "files": news.iter().map(|news| json!({
                "data_id": news.data_id, "before": news.before, "after": news.after, "change": news.change.word(),
            })).collect::<Vec<_>>(),
        });
        let mut add = |name: &str, value: Value| shown.as_object_mut().map(|shown| shown.insert(name.to_owned(), value));
        for became in Became::ALL {
            add(became.word(), counts.of(became).into());
        }
        if let Some(rule) = job.rule {
            add("rule", rule.into());
        }
        if let Some(code) = job.code {
            add("code", code.value().into());
        }
        if let Some(blocked) = job.blocked {
            add("result", if blocked { "Blocked" } else { "Allowed" }.into());
        }
        Ok(Json(shown))
    }
}

/// Reads what is asked for; a problem names its field.
fn parse(mut fields: Fields, definitions: String, now: i64) -> Result<Job, Problem> {
    let mut time = |name: &str| {
        let read = |value: Value| value.as_str().and_then(parse_iso).ok_or_else(|| format!("`{name}` is no time like `2026-01-31T12:00:00Z`."));
        fields.value(name).map(read).transpose()
    };
    let (from, to) = (time("from")?, time("to")?.unwrap_or(now).min(now));
    let from = fields.required("from", from)?;
    if from >= to {
        return Err("`from` is not before `to`, or not in the past.".into());
    }
    let mut job = Job::new(from, to, definitions, now);
    job.rule = fields.text("rule", 1..=256)?;
    if let Some(code) = fields.value("code") {
        let known = code.as_u64().and_then(|code| u8::try_from(code).ok()).and_then(Code::from_value);
        job.code = Some(known.ok_or("`code` is no outcome code.")?);
    }
    job.blocked = fields.word("result", &[("Allowed", false), ("Blocked", true)])?;
    job.per_minute = fields.number("per_minute", RATES)?.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(PER_MINUTE);
    job.release = fields.bool("release")?.unwrap_or(false);
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_what_is_wrong_is_named() {
        let now = parse_iso("2026-02-01T00:00:00Z").unwrap();
        let known = ["from", "to", "rule", "code", "result", "per_minute", "release"];
        let parse = |body: Value| Fields::of(body, String::new(), &known).and_then(|fields| parse(fields, "d".into(), now));
        let job = parse(json!({ "from": "2026-01-31", "to": "2026-03-01", "rule": "r", "result": "Allowed", "code": 0, "per_minute": 5 })).unwrap();
        assert_eq!((job.to, job.per_minute, job.rule.as_deref(), job.blocked), (now, 5, Some("r"), Some(false)));
        assert!(!job.release && job.definitions == "d" && job.code == Some(Code::NoThreatDetected));
        for (body, named) in [
            (json!({}), "`from`"),
            (json!({ "from": "yesterday" }), "`from`"),
            (json!({ "from": 5 }), "`from`"),
            (json!({ "from": "2026-03-01" }), "`from`"),
            (json!({ "from": "2026-01-31", "to": 5 }), "`to`"),
            (json!({ "from": "2026-01-31", "rule": "" }), "`rule`"),
            (json!({ "from": "2026-01-31", "code": 4 }), "`code`"),
            (json!({ "from": "2026-01-31", "code": "1" }), "`code`"),
            (json!({ "from": "2026-01-31", "result": "blocked" }), "`result`"),
            (json!({ "from": "2026-01-31", "per_minute": 0 }), "`per_minute`"),
            (json!({ "from": "2026-01-31", "per_minute": 601 }), "`per_minute`"),
            (json!({ "from": "2026-01-31", "release": 1 }), "`release`"),
            (json!({ "from": "2026-01-31", "speed": 1 }), "`speed`"),
            (json!([]), "object"),
        ] {
            let problem = parse(body.clone()).unwrap_err();
            assert!(problem.contains(named), "{body}: {problem}");
        }
    }
}
