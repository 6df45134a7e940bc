//! How long sessions last, and what ends them before (contract §6.2).
//!
//! What always holds: the settings in force count for sessions that are open, whenever they began.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::store::identity::Session;

/// `/admin/config/session` (contract §6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSettings {
    /// Idle time after which a session ends, in ms; 0 = never.
    pub session_timeout: i64,
    /// Time after login at which a session ends, in ms; 0 = never.
    pub absolute_session_timeout: i64,
    /// Whether a session may be used from another address than it was opened from.
    pub allow_cross_ip_sessions: bool,
    /// Whether a user may have several sessions; if not, his newest is the only one.
    pub allow_duplicate_session: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { session_timeout: 300_000, absolute_session_timeout: 0, allow_cross_ip_sessions: true, allow_duplicate_session: true }
    }
}

impl SessionSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "SESSION";
    /// What the times may be, in ms: two hours at most.
    pub const RANGE: std::ops::RangeInclusive<u64> = 0..=7_200_000;
    /// A session without idle timeout ends here, in ms: its item must not stay for ever.
    const LONGEST: i64 = 30 * 24 * 3_600_000;

    /// Whether the session is over.
    pub const fn is_over(&self, session: &Session, now: i64) -> bool {
        (self.session_timeout > 0 && now - session.last_used > self.session_timeout)
            || (self.absolute_session_timeout > 0 && now - session.created_at > self.absolute_session_timeout)
            || now - session.created_at > Self::LONGEST
    }

    /// Whether the session may be used from this address. An address that is not known is none that it was opened from.
    pub fn permits(&self, session: &Session, ip: Option<IpAddr>) -> bool {
        self.allow_cross_ip_sessions || ip.is_some_and(|ip| session.ip.as_deref() == Some(ip.to_string().as_str()))
    }

    /// When the item of a session used at `now` may be deleted, ms. Late, so that a longer time counts for it as well:
    /// `is_over` decides, not the TTL.
    pub const fn item_expiry(&self, now: i64) -> i64 {
        60_000 + if self.session_timeout > 0 { now + (*Self::RANGE.end()).cast_signed() } else { now + Self::LONGEST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(created_at: i64, last_used: i64) -> Session {
        Session { user_id: 2, created_at, last_used, ip: Some("192.0.2.1".into()) }
    }

    #[test]
    fn sessions_end_by_idle_and_by_absolute_time() {
        let settings = SessionSettings { session_timeout: 1000, absolute_session_timeout: 5000, ..SessionSettings::default() };
        assert!(!settings.is_over(&session(0, 900), 1800));
        assert!(settings.is_over(&session(0, 900), 1901));
        assert!(settings.is_over(&session(0, 4900), 5001));
        let open = SessionSettings { session_timeout: 0, absolute_session_timeout: 0, ..SessionSettings::default() };
        assert!(!open.is_over(&session(0, 0), 3_600_000));
        assert!(open.is_over(&session(0, 0), SessionSettings::LONGEST + 1));
    }

    #[test]
    fn without_leave_a_session_is_for_the_address_it_was_opened_from() {
        let settings = SessionSettings { allow_cross_ip_sessions: false, ..SessionSettings::default() };
        let (own, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        assert!(settings.permits(&session(0, 0), own));
        assert!(!settings.permits(&session(0, 0), other));
        assert!(!settings.permits(&session(0, 0), None));
        assert!(!settings.permits(&Session { ip: None, ..session(0, 0) }, own));
        assert!(SessionSettings::default().permits(&session(0, 0), other));
    }

    #[test]
    fn an_item_outlives_every_timeout_that_may_come_into_force() {
        let settings = SessionSettings { session_timeout: 1000, ..SessionSettings::default() };
        assert!(settings.item_expiry(0) > 7_200_000);
    }

    #[test]
    fn a_setting_of_before_reads_with_defaults_and_shows_whole() {
        let old: SessionSettings = serde_json::from_str(r#"{"sessionTimeout":1,"absoluteSessionTimeout":2}"#).unwrap();
        assert!(old.allow_cross_ip_sessions && old.allow_duplicate_session);
        assert_eq!(
            serde_json::to_value(SessionSettings::default()).unwrap(),
            serde_json::json!({ "sessionTimeout": 300_000, "absoluteSessionTimeout": 0, "allowCrossIpSessions": true, "allowDuplicateSession": true })
        );
    }
}
