//! Webhooks: their settings (`/admin/config/webhook`, contract §6.5) and the message that asks for one attempt.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::id::DataId;
use crate::store::StoreError;
use crate::store::settings::Settings;

/// How often and when a webhook that failed is tried again (contract §4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Retries after the first attempt. Range [`Self::RETRIES`].
    pub maxretrytime: u64,
    /// Wait before the first retry, in ms. Range [`Self::MILLISECONDS`].
    pub delayduration: u64,
    /// What each further retry waits longer than the one before, in ms. Range [`Self::MILLISECONDS`].
    pub delayprogression: u64,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { maxretrytime: 3, delayduration: 1000, delayprogression: 1000 }
    }
}

impl WebhookSettings {
    /// Name of the setting.
    pub const NAME: &'static str = "WEBHOOK";
    /// What `maxretrytime` may be.
    pub const RETRIES: std::ops::RangeInclusive<u64> = 0..=100;
    /// What the two delays may be: up to an hour.
    pub const MILLISECONDS: std::ops::RangeInclusive<u64> = 0..=3_600_000;

    /// The settings in force.
    pub async fn in_force(settings: &Settings) -> Result<Self, StoreError> {
        Ok(settings.get(Self::NAME).await?.unwrap_or_default())
    }

    /// Wait before the attempt that follows failed attempt `attempt` (from 1), in ms; `None` when it was the last.
    pub fn wait_after(&self, attempt: u32) -> Option<i64> {
        let retry = u64::from(attempt);
        let wait = self.delayduration.saturating_add(retry.saturating_sub(1).saturating_mul(self.delayprogression));
        (retry <= self.maxretrytime).then(|| i64::try_from(wait).unwrap_or(i64::MAX))
    }

    /// As the API shows them. Core's own description spells the third field wrong; clients of either spelling find theirs.
    pub fn to_wire(&self) -> Value {
        json!({
            "maxretrytime": self.maxretrytime,
            "delayduration": self.delayduration,
            "deplayprogression": self.delayprogression,
            "delayprogression": self.delayprogression,
        })
    }
}

/// What a webhook tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A submission that ended: the body is what `GET /file/{data_id}` answers.
    File,
    /// A batch that ended: the body is what `GET /file/batch/{batch_id}` answers.
    Batch,
}

/// Asks the notify function for one attempt: the message `{"webhook":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Id of the file or batch.
    pub id: DataId,
    /// Which of the two it is.
    pub subject: Subject,
    /// 1, and one more with every manual resend. Attempts of an older round are void.
    pub round: u32,
    /// Attempt within the round, from 1.
    pub attempt: u32,
    /// Not before this time, ms since the epoch.
    pub due_at: i64,
}

impl Webhook {
    /// The first attempt of the first round, at once.
    pub const fn first(id: DataId, subject: Subject, now: i64) -> Self {
        Self { id, subject, round: 1, attempt: 1, due_at: now }
    }

    /// The attempt after this one.
    #[must_use]
    pub fn next(&self, due_at: i64) -> Self {
        Self { attempt: self.attempt + 1, due_at, ..self.clone() }
    }
}

/// The message around a [`Webhook`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// What is to be attempted.
    pub webhook: Webhook,
}

impl WebhookRequest {
    /// The message's body.
    ///
    /// # Errors
    /// `Permanent` when it can not be encoded, which no value of it causes.
    pub fn encode(webhook: Webhook) -> Result<String, StoreError> {
        serde_json::to_string(&Self { webhook }).map_err(|e| StoreError::Permanent { what: "encode a webhook request", source: e.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_k_waits_the_delay_and_k_minus_one_progressions() {
        let settings = WebhookSettings::default();
        let waits: Vec<_> = (1..=4).map(|attempt| settings.wait_after(attempt)).collect();
        assert_eq!(waits, [Some(1000), Some(2000), Some(3000), None]);
        let none = WebhookSettings { maxretrytime: 0, ..settings };
        assert_eq!(none.wait_after(1), None);
    }

    #[test]
    fn both_spellings_are_shown_and_one_is_stored() {
        let settings = WebhookSettings { delayprogression: 7, ..WebhookSettings::default() };
        let wire = settings.to_wire();
        assert_eq!((&wire["deplayprogression"], &wire["delayprogression"]), (&json!(7), &json!(7)));
        let stored = serde_json::to_value(&settings).unwrap();
        assert_eq!(serde_json::from_value::<WebhookSettings>(stored).unwrap(), settings);
    }

    #[test]
    fn a_request_survives_the_queue() {
        let id = DataId::parse("0123456789abcdef0123456789abcdef").unwrap();
        let webhook = Webhook::first(id, Subject::File, 5).next(9);
        let text = WebhookRequest::encode(webhook.clone()).unwrap();
        assert_eq!(text, r#"{"webhook":{"id":"0123456789abcdef0123456789abcdef","subject":"file","round":1,"attempt":2,"due_at":9}}"#);
        assert_eq!(serde_json::from_str::<WebhookRequest>(&text).unwrap().webhook, webhook);
    }
}
