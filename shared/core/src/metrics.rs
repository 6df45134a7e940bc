//! Metrics in CloudWatch's embedded metric format: one line on standard output, where Lambda's log agent reads it.
//!
//! What always holds: nothing is written outside Lambda, and a metric that can not be written costs the work nothing.
//! Source of the format: CloudWatch embedded metric format specification, version 0 of the schema.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::clock::now_ms;

/// Namespace of all metrics.
pub const NAMESPACE: &str = "Portcullis";

static ON: AtomicBool = AtomicBool::new(false);

/// From now on metrics are written.
pub(crate) fn start() {
    ON.store(true, Ordering::Relaxed);
}

/// Counts something that happened.
pub fn count(name: &str, times: u64) {
    put(name, "Count", times, None);
}

/// A value, in `unit` of CloudWatch (`Count`, `Seconds`, …); with a dimension also by its value.
pub fn put(name: &str, unit: &str, value: u64, dimension: Option<(&str, &str)>) {
    if ON.load(Ordering::Relaxed) {
        // One write a line: lines of tasks side by side must not mix.
        let _ = std::io::stdout().write_all(format!("{}\n", line(name, unit, value, dimension, now_ms())).as_bytes());
    }
}

fn line(name: &str, unit: &str, value: u64, dimension: Option<(&str, &str)>, now: i64) -> Value {
    let dimensions = dimension.map_or_else(|| json!([[]]), |(dimension, _)| json!([[], [dimension]]));
    let mut line = json!({
        "_aws": {
            "Timestamp": now,
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": [{ "Name": name, "Unit": unit }] }],
        },
        name: value,
    });
    if let (Some((dimension, value)), Some(line)) = (dimension, line.as_object_mut()) {
        line.insert(dimension.to_owned(), value.into());
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_holds_every_member_it_names() {
        let line = super::line("EngineFailures", "Count", 2, Some(("Engine", "YARA-X")), 5);
        let told = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((told["Metrics"][0]["Name"].as_str(), line["EngineFailures"].as_u64()), (Some("EngineFailures"), Some(2)));
        assert_eq!((told["Dimensions"][1][0].as_str(), line["Engine"].as_str()), (Some("Engine"), Some("YARA-X")));
        assert_eq!(super::line("Quarantined", "Count", 1, None, 5)["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([[]]));
    }
}
