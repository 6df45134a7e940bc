//! How long sessions last (contract §6.2).

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
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { session_timeout: 300_000, absolute_session_timeout: 0 }
    }
}

impl SessionSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "SESSION";
    /// A session without idle timeout ends here, in ms: its item must not stay for ever.
    const LONGEST: i64 = 30 * 24 * 3_600_000;

    /// Whether the session is over.
    pub const fn is_over(&self, session: &Session, now: i64) -> bool {
        (self.session_timeout > 0 && now - session.last_used > self.session_timeout)
            || (self.absolute_session_timeout > 0 && now - session.created_at > self.absolute_session_timeout)
            || now - session.created_at > Self::LONGEST
    }

    /// When the item of a session used at `now` may be deleted, ms. A minute late: `is_over` decides, not the TTL.
    pub const fn item_expiry(&self, now: i64) -> i64 {
        60_000 + if self.session_timeout > 0 { now + self.session_timeout } else { now + Self::LONGEST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_idle_and_by_absolute_time() {
        let settings = SessionSettings { session_timeout: 1000, absolute_session_timeout: 5000 };
        let session = |created_at, last_used| Session { user_id: 2, created_at, last_used };
        assert!(!settings.is_over(&session(0, 900), 1800));
        assert!(settings.is_over(&session(0, 900), 1901));
        assert!(settings.is_over(&session(0, 4900), 5001));
        let open = SessionSettings { session_timeout: 0, absolute_session_timeout: 0 };
        assert!(!open.is_over(&session(0, 0), 3_600_000));
        assert!(open.is_over(&session(0, 0), SessionSettings::LONGEST + 1));
    }
}
