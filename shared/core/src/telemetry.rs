//! Logs: structured, JSON in Lambda. Never a key, a password or file content.

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` as of `PORTCULLIS_LOG`; `json` in Lambda, text for people on a laptop. A second call does nothing.
pub fn start(filter: &str, json: bool) {
    if json {
        crate::metrics::start();
    }
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // CloudWatch stamps every line itself.
    let _ = if json { builder.json().flatten_event(true).without_time().try_init() } else { builder.compact().try_init() };
}
