//! `GET /stat/summary` (ours): what was scanned in a time range, how fast, and about what it cost.
//!
//! From counters by hour ([`Stats`]); no record is read. The range is widened to whole hours.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use portcullis_core::auth::Caller;
use portcullis_core::auth::roles::Right;
use portcullis_core::clock::{iso, now_ms, parse_iso};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::http::body::query;
use portcullis_core::http::error::ApiError;
use portcullis_core::http::fields::bad;
use portcullis_core::store::stats::{Counts, HOUR_MS, Histogram, MAX_HOURS};
use serde_json::{Value, json};

use crate::Admin;

/// A price or quantity of the estimate: its name in the query, what it is without, what it means.
struct Price {
    name: &'static str,
    default: f64,
}

const fn price(name: &'static str, default: f64) -> Price {
    Price { name, default }
}

/// What the estimate is made of: list prices of us-east-1 in USD, and what one file needs. All can be given in the query.
const PRICES: [Price; 8] = [
    price("scan_memory_gb", 3.0),
    price("lambda_gb_second", 0.000_016_666_7),
    price("lambda_million", 0.20),
    price("api_million", 1.00),
    price("dynamodb_million_writes", 0.625),
    price("dynamodb_million_reads", 0.125),
    price("sqs_million", 0.40),
    price("s3_thousand_puts", 0.005),
];
/// API calls of a file: submitted, polled twice.
const CALLS: f64 = 3.0;
/// Invocations of a file: those, the scan, the notification.
const INVOCATIONS: f64 = 5.0;
/// Write units of a file: record, claim, verdict, its index, hashes, counters.
const WRITES: f64 = 10.0;
/// Read units of a file.
const READS: f64 = 8.0;
/// Queue requests of a file: two messages, each sent, received and deleted.
const MESSAGES: f64 = 6.0;

/// The time range of a query, in whole hours: `from` (default: a day ago) and `to` (default: now).
fn range(uri: &Uri, now: i64) -> Result<(i64, i64), ApiError> {
    let time = |name: &str, default: i64| match query(uri, name).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => parse_iso(&text).ok_or_else(|| bad(format!("`{name}` is no time such as `2026-01-31T12:00:00Z`, and no day."))),
    };
    let to = time("to", now)?;
    let from = time("from", to.min(now) - 24 * HOUR_MS)?;
    if from >= to {
        return Err(bad("`from` is not before `to`."));
    }
    let (from, to) = (from.div_euclid(HOUR_MS) * HOUR_MS, to.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS) * HOUR_MS);
    if from < 0 || (to - from) / HOUR_MS > MAX_HOURS {
        return Err(bad(format!("`from` to `to` is more than {} days.", MAX_HOURS / 24)));
    }
    Ok((from, to))
}

/// The prices of a query.
fn prices(uri: &Uri) -> Result<[f64; 8], ApiError> {
    let mut prices = PRICES.map(|price| price.default);
    for (price, value) in PRICES.iter().zip(&mut prices) {
        if let Some(text) = query(uri, price.name) {
            let given = text.parse::<f64>().ok().filter(|given| (0.0..=1_000_000.0).contains(given));
            *value = given.ok_or_else(|| bad(format!("`{}` is no number from 0 to 1000000.", price.name)))?;
        }
    }
    Ok(prices)
}

/// The estimate, in USD.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn cost(counts: &Counts, prices: [f64; 8]) -> Value {
    let [memory, gb_second, invocations, calls, writes, reads, messages, puts] = prices;
    let files = counts.files as f64;
    let million = files / 1_000_000.0;
    let parts = [
        ("lambda_scan", counts.scan_ms as f64 / 1000.0 * memory * gb_second),
        ("lambda_requests", million * INVOCATIONS * invocations),
        ("api", million * CALLS * calls),
        ("dynamodb", million * (WRITES * writes + READS * reads)),
        ("sqs", million * MESSAGES * messages),
        ("s3", files / 1000.0 * puts),
    ];
    let rounded = |usd: f64| (usd * 1_000_000.0).round() / 1_000_000.0;
    let mut shown = json!({ "currency": "USD", "total": rounded(parts.iter().map(|(_, usd)| usd).sum()) });
    for (name, usd) in parts {
        shown[name] = rounded(usd).into();
    }
    shown["prices"] = PRICES.iter().zip(prices).map(|(price, value)| (price.name.to_owned(), Value::from(value))).collect();
    shown
}

fn percentiles(times: &Histogram) -> Value {
    let at = |share| times.percentile(share).unwrap_or_default();
    json!({ "p50": at(0.50), "p95": at(0.95), "p99": at(0.99) })
}

fn shown(counts: &Counts) -> Value {
    let blocked = counts.blocked();
    json!({ "files": counts.files, "allowed": counts.files.saturating_sub(blocked), "blocked": blocked, "bytes": counts.bytes, "children": counts.children })
}

fn verdicts(counts: &Counts) -> Value {
    let known = |(value, files): (&u8, &u64)| {
        let code = Code::from_value(*value)?;
        let result = Verdict::decide(&[code], &[]).result();
        Some(json!({ "code": value, "text": code.text(), "result": result, "files": files }))
    };
    counts.codes.iter().filter_map(known).collect()
}

/// `GET /stat/summary?from=…&to=…`.
pub(crate) async fn read(State(admin): State<Admin>, caller: Caller, uri: Uri) -> Result<Json<Value>, ApiError> {
    caller.require(Right::ScanLogRead)?;
    let ((from, to), prices) = (range(&uri, now_ms())?, prices(&uri)?);
    let hours = admin.stats.hours(from, to).await?;
    let mut all = Counts::default();
    for counts in hours.values() {
        all.add(counts);
    }
    let mut body = shown(&all);
    body["from"] = iso(from).into();
    body["to"] = iso(to).into();
    body["verdicts"] = verdicts(&all);
    body["latency_ms"] = percentiles(&all.total);
    body["scan_ms"] = percentiles(&all.scan);
    body["cost"] = cost(&all, prices);
    body["hours"] = hours
        .iter()
        .map(|(start, counts)| {
            let mut hour = shown(counts);
            hour["start"] = iso(*start).into();
            hour["latency_ms"] = percentiles(&counts.total);
            hour
        })
        .collect();
    Ok(Json(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(query: &str) -> Uri {
        format!("/stat/summary?{query}").parse().unwrap()
    }

    #[test]
    fn ranges_are_whole_hours_and_have_bounds() {
        let now = parse_iso("2026-01-31T12:30:00Z").unwrap();
        let (from, to) = range(&uri(""), now).unwrap();
        assert_eq!((iso(from).as_str(), iso(to).as_str()), ("2026-01-30T12:00:00.000Z", "2026-01-31T13:00:00.000Z"));
        let (from, to) = range(&uri("from=2026-01-01&to=2026-01-01T00:00:01Z"), now).unwrap();
        assert_eq!(to - from, HOUR_MS);
        for wrong in
            ["from=yesterday", "to=1", "from=2026-02-01", "from=2025-01-01", "from=2026-01-02&to=2026-01-01", "to=9999-12-31", "from=0001-01-01"]
        {
            assert!(range(&uri(wrong), now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_estimate_is_files_and_time_at_their_prices() {
        let counts = Counts { files: 1_000_000, scan_ms: 1_000_000_000, ..Counts::default() };
        let estimate = cost(&counts, prices(&uri("lambda_gb_second=1&scan_memory_gb=2&lambda_million=0&dynamodb_million_writes=1&dynamodb_million_reads=0&sqs_million=0&api_million=0&s3_thousand_puts=0")).unwrap());
        assert_eq!((&estimate["lambda_scan"], &estimate["dynamodb"], &estimate["total"]), (&json!(2_000_000.0), &json!(10.0), &json!(2_000_010.0)));
        assert!(prices(&uri("api_million=-1")).is_err() && prices(&uri("api_million=NaN")).is_err());
    }
}
