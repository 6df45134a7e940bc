//! Time: milliseconds since the Unix epoch inside, ISO 8601 with three fraction digits and `Z` on the wire (contract §0.2).

use std::time::{SystemTime, UNIX_EPOCH};

use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

const ISO: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Milliseconds since the epoch, now.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// `2020-03-12T08:37:05.412Z`. A time out of range shows as the epoch.
pub fn iso(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|t| t.format(ISO).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}

/// A time as clients write it: RFC 3339 (`2020-03-12T08:37:05Z`, any offset), or a day (`2020-03-12`, its begin in UTC). `None` for anything else.
pub fn parse_iso(text: &str) -> Option<i64> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_read_as_they_are_written_and_with_any_offset() {
        for text in ["2020-03-12T08:37:05.412Z", "2020-03-12T10:37:05.412+02:00"] {
            assert_eq!(super::parse_iso(text), Some(1_584_002_225_412), "{text}");
        }
        assert_eq!(super::parse_iso("2020-03-12").map(super::iso).as_deref(), Some("2020-03-12T00:00:00.000Z"));
        for wrong in ["", "yesterday", "2020-13-12", "2020-03-12T08:37:05", "12.03.2020"] {
            assert_eq!(super::parse_iso(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn three_fraction_digits_and_z() {
        assert_eq!(super::iso(1_584_002_225_412), "2020-03-12T08:37:05.412Z");
        assert_eq!(super::iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::iso(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
