//! When definitions are renewed: `/admin/config/update` (contract §6.3).
//!
//! With `internet` a YARA package is generated from the enabled sources every `autoupdateperiod` minutes, unless a window of
//! `disabledupdate` is open (UTC). What lies in `yara/` and `hashes/` of the definitions bucket is no update: it is in force
//! as soon as it is there. What always holds: a pinned database stays, whatever is generated.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::event::Task;
use crate::domain::id::DataId;
use crate::domain::yara::{Generation, Status};
use crate::store::StoreError;
use crate::store::queue::Queue;
use crate::store::settings::Settings;

/// A day, in minutes.
const DAY: u64 = 24 * 60;
/// Windows, at most.
const MAX_WINDOWS: usize = 50;

/// Where updates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateSource {
    /// From the configured YARA sources, on schedule.
    Internet,
    /// Only when somebody asks for a generation; the folder of the contract is the definitions bucket.
    Folder,
    /// Only when somebody asks for a generation.
    #[default]
    Manual,
}

/// Days and times without updates, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// `1` (Monday) to `7` (Sunday), or a range such as `5-7`.
    pub days: String,
    /// First minute after midnight.
    pub from: u64,
    /// Minute after midnight from which on updates are made again.
    pub to: u64,
}

/// The settings of updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSettings {
    /// Where updates come from.
    pub source: UpdateSource,
    /// Minutes between updates. Range [`Self::MINUTES`].
    pub autoupdateperiod: u64,
    /// Stored and shown: packages are not picked up from folders.
    pub pickupfolder: String,
    /// Stored and shown, as above.
    pub deleteafterimport: bool,
    /// When none are made.
    pub disabledupdate: Vec<Window>,
}

impl Default for UpdateSettings {
    fn default() -> Self {
        Self {
            source: UpdateSource::Manual,
            autoupdateperiod: 240,
            pickupfolder: String::new(),
            deleteafterimport: false,
            disabledupdate: Vec::new(),
        }
    }
}

impl UpdateSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "UPDATE";
    /// What `autoupdateperiod` may be: ten minutes to four weeks.
    pub const MINUTES: std::ops::RangeInclusive<u64> = 10..=40_320;

    /// The settings in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }

    /// Whether an update is due at `now`, when the last one began at `last` (both ms since the epoch; 0 = never).
    pub fn is_due(&self, last: i64, now: i64) -> bool {
        let period = i64::try_from(self.autoupdateperiod).unwrap_or(i64::MAX).saturating_mul(60_000);
        self.source == UpdateSource::Internet && now.saturating_sub(last) >= period && !self.disabledupdate.iter().any(|window| window.is_open(now))
    }
}

/// Begins a generation if one is due at `now`, ms since the epoch. Whether it did.
///
/// # Errors
/// Of the store. A generation that nobody was asked to do is not left as if somebody did.
pub async fn renew(settings: &Settings, scan_queue: &Queue, now: i64) -> Result<bool, StoreError> {
    let update = UpdateSettings::in_force(settings).await?;
    if update.source != UpdateSource::Internet {
        return Ok(false);
    }
    let (before, revision) = settings.versioned::<Generation>(Generation::SETTING).await?;
    let before = before.unwrap_or_default().at(now);
    if before.status == Status::InProgress || !update.is_due(before.started_at, now) {
        return Ok(false);
    }
    let run = DataId::random().to_string();
    let started = Generation { run: run.clone(), status: Status::InProgress, started_at: now, ..Generation::default() };
    match settings.replace(Generation::SETTING, &started, revision).await {
        Ok(revision) => {
            if let Err(error) = scan_queue.ask(Task::GenerateRules { run }).await {
                settings.replace(Generation::SETTING, &before, revision).await?;
                return Err(error);
            }
            Ok(true)
        }
        // Somebody else began one.
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Window {
    /// Whether the window is open at `now` (ms since the epoch).
    pub fn is_open(&self, now: i64) -> bool {
        let minutes = u64::try_from(now / 60_000).unwrap_or_default();
        // The epoch was a Thursday.
        let day = (minutes / DAY + 3) % 7 + 1;
        let minute = minutes % DAY;
        let days = days_of(&self.days).unwrap_or((1, 7));
        (days.0..=days.1).contains(&day) && (self.from..self.to).contains(&minute)
    }

    /// Reads the windows of a body. `field` is their name.
    ///
    /// # Errors
    /// One sentence that names the window and its field.
    pub fn parse_all(field: &str, sent: &Value) -> Result<Value, String> {
        let sent = sent.as_array().filter(|windows| windows.len() <= MAX_WINDOWS);
        let sent = sent.ok_or_else(|| format!("`{field}` is no list of at most {MAX_WINDOWS} windows."))?;
        let windows = sent.iter().enumerate().map(|(number, window)| Self::parse(&format!("{field}[{number}]"), window));
        Ok(Value::Array(windows.collect::<Result<_, _>>()?))
    }

    fn parse(field: &str, sent: &Value) -> Result<Value, String> {
        let window: &Map<String, Value> = sent.as_object().ok_or_else(|| format!("`{field}` is no object."))?;
        if let Some(unknown) = window.keys().find(|name| !["days", "from", "to"].contains(&name.as_str())) {
            return Err(format!("There is no field `{field}.{unknown}`."));
        }
        let days = window.get("days").and_then(Value::as_str).filter(|days| days_of(days).is_some());
        let days =
            days.ok_or_else(|| format!("`{field}.days` is neither a day from `1` (Monday) to `7` (Sunday) nor a range of them such as `5-7`."))?;
        let minute = |name: &str, range: std::ops::RangeInclusive<u64>| {
            let number = window.get(name).and_then(Value::as_u64).filter(|minute| range.contains(minute));
            number
                .ok_or_else(|| format!("`{field}.{name}` is not a whole number of minutes after midnight from {} to {}.", range.start(), range.end()))
        };
        let (from, to) = (minute("from", 0..=DAY - 1)?, minute("to", 1..=DAY)?);
        if from >= to {
            return Err(format!("`{field}.from` is not before `{field}.to`: a window over midnight is two windows."));
        }
        Ok(json!({ "days": days, "from": from, "to": to }))
    }
}

/// First and last day of `5` or `5-7`.
fn days_of(text: &str) -> Option<(u64, u64)> {
    let day = |text: &str| text.parse::<u64>().ok().filter(|day| text.len() == 1 && (1..=7).contains(day));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_iso;

    fn at(time: &str) -> i64 {
        parse_iso(time).unwrap()
    }

    #[test]
    fn updates_are_due_after_their_period_and_not_in_a_window() {
        // 2026-11-20 is a Friday.
        let now = at("2026-11-20T09:00:00Z");
        let manual = UpdateSettings::default();
        assert!(!manual.is_due(0, now));
        let hourly = UpdateSettings { source: UpdateSource::Internet, autoupdateperiod: 60, ..manual };
        assert!(hourly.is_due(0, now) && hourly.is_due(now - 3_600_000, now) && !hourly.is_due(now - 3_599_999, now));
        let window = |days: &str, from, to| UpdateSettings { disabledupdate: vec![Window { days: days.into(), from, to }], ..hourly.clone() };
        assert!(!window("5-7", 480, 960).is_due(0, now));
        assert!(!window("5", 540, 541).is_due(0, now));
        for open in [window("1-4", 0, 1440), window("6-7", 0, 1440), window("5", 0, 540), window("5", 541, 1440)] {
            assert!(open.is_due(0, now), "{open:?}");
        }
    }

    #[test]
    fn windows_are_checked_field_by_field() {
        let good = json!([{ "days": "5-7", "from": 480, "to": 960 }]);
        assert_eq!(Window::parse_all("w", &good), Ok(good.clone()));
        assert!(serde_json::from_value::<Vec<Window>>(good).is_ok());
        for (window, names) in [
            (json!({ "days": "8", "from": 0, "to": 1 }), "`w[0].days`"),
            (json!({ "days": "7-5", "from": 0, "to": 1 }), "`w[0].days`"),
            (json!({ "days": 5, "from": 0, "to": 1 }), "`w[0].days`"),
            (json!({ "days": "5", "from": 1440, "to": 1440 }), "`w[0].from`"),
            (json!({ "days": "5", "from": 0, "to": 1441 }), "`w[0].to`"),
            (json!({ "days": "5", "from": 9, "to": 9 }), "not before"),
            (json!({ "days": "5", "from": 0 }), "`w[0].to`"),
            (json!({ "days": "5", "from": 0, "to": 1, "x": 1 }), "`w[0].x`"),
            (json!([]), "no object"),
        ] {
            let problem = Window::parse_all("w", &json!([window])).unwrap_err();
            assert!(problem.contains(names), "{problem}");
        }
    }
}
