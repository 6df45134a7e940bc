//! Queue attributes: names, ranges and defaults as in the SQS API reference (`SetQueueAttributes`).
//!
//! A queue stores the attributes it was given, unchanged; [`Settings`] is their typed reading. Nothing is stored
//! that [`validate`] did not accept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::SqsError;

/// Queue attributes by name, as on the wire.
pub type Attributes = BTreeMap<String, String>;

/// Upper limit of a message with its attributes, and of a whole batch, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Attributes with a number: name, lowest, highest, default (bytes or seconds).
const NUMBERS: [(&str, i64, i64, i64); 5] = [
    ("VisibilityTimeout", 0, 43_200, 30),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("DelaySeconds", 0, 900, 0),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("MaximumMessageSize", 1_024, 1_048_576, 1_048_576),
];

/// Attributes that are kept and given back but change nothing here.
const KEPT: [&str; 5] = ["Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled", "RedriveAllowPolicy"];

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redrive {
    /// ARN of the dead-letter queue.
    pub(crate) dead_letter_target_arn: String,
    /// Receives before a message is moved, 1 to 1000.
    #[serde(deserialize_with = "number_or_text")]
    pub(crate) max_receive_count: i64,
}

impl Redrive {
    /// Name of the dead-letter queue: the last part of its ARN.
    pub(crate) fn queue(&self) -> &str {
        self.dead_letter_target_arn.rsplit(':').next().unwrap_or_default()
    }
}

/// Typed reading of a queue's attributes.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) visibility_seconds: i64,
    pub(crate) retention_seconds: i64,
    pub(crate) delay_seconds: i64,
    pub(crate) wait_seconds: i64,
    pub(crate) max_bytes: usize,
    pub(crate) redrive: Option<Redrive>,
}

impl Settings {
    /// Reads stored attributes; what is absent has its default.
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let number = |name: &str| number(attributes, name);
        Self {
            visibility_seconds: number("VisibilityTimeout"),
            retention_seconds: number("MessageRetentionPeriod"),
            delay_seconds: number("DelaySeconds"),
            wait_seconds: number("ReceiveMessageWaitTimeSeconds"),
            max_bytes: usize::try_from(number("MaximumMessageSize")).unwrap_or(MAX_MESSAGE_BYTES),
            redrive: attributes.get("RedrivePolicy").filter(|text| !text.is_empty()).and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

/// Every settable attribute with its value or default, for `GetQueueAttributes`.
pub(crate) fn described(attributes: &Attributes) -> Attributes {
    let mut all = attributes.clone();
    all.retain(|_, value| !value.is_empty());
    for (name, _, _, default) in NUMBERS {
        all.entry(name.to_owned()).or_insert_with(|| default.to_string());
    }
    all.entry("SqsManagedSseEnabled".to_owned()).or_insert_with(|| "true".to_owned());
    all
}

/// Refuses unknown names, values out of range and FIFO queues.
pub(crate) fn validate(attributes: &Attributes) -> Result<(), SqsError> {
    for (name, value) in attributes {
        if let Some((_, low, high, _)) = NUMBERS.iter().find(|(known, ..)| known == name) {
            let inside = value.parse::<i64>().is_ok_and(|number| (*low..=*high).contains(&number));
            if !inside {
                return Err(SqsError::InvalidAttributeValue(name.clone()));
            }
        } else if name == "RedrivePolicy" {
            validate_redrive(value)?;
        } else if name == "FifoQueue" || name == "ContentBasedDeduplication" {
            return Err(SqsError::InvalidParameterValue(format!("`{name}`: FIFO queues are not supported by the local host")));
        } else if !KEPT.contains(&name.as_str()) {
            return Err(SqsError::InvalidAttributeName(name.clone()));
        }
    }
    Ok(())
}

/// Refuses names outside `[A-Za-z0-9_-]{1,80}`.
pub(crate) fn validate_name(name: &str) -> Result<(), SqsError> {
    if name.to_ascii_lowercase().rsplit_once('.').is_some_and(|(_, end)| end == "fifo") {
        return Err(SqsError::InvalidParameterValue(format!("`{name}`: FIFO queues are not supported by the local host")));
    }
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if letters && (1..=80).contains(&name.len()) {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length".to_owned()))
}

fn validate_redrive(value: &str) -> Result<(), SqsError> {
    if value.is_empty() {
        return Ok(()); // the empty string removes the policy
    }
    let wrong = || SqsError::InvalidParameterValue(format!("Value {value} for parameter RedrivePolicy is invalid."));
    let redrive: Redrive = serde_json::from_str(value).map_err(|_| wrong())?;
    let counted = (1..=1000).contains(&redrive.max_receive_count);
    if counted && redrive.dead_letter_target_arn.starts_with("arn:") { Ok(()) } else { Err(wrong()) }
}

fn number(attributes: &Attributes, name: &str) -> i64 {
    let default = NUMBERS.iter().find(|(known, ..)| *known == name).map_or(0, |(.., default)| *default);
    attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// `maxReceiveCount` is written as a number or as a string of digits; AWS takes both.
fn number_or_text<'de, D: serde::Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| serde::de::Error::custom("maxReceiveCount is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_api_reference() {
        let settings = Settings::of(&Attributes::new());
        assert_eq!((settings.visibility_seconds, settings.retention_seconds), (30, 345_600));
        assert_eq!(settings.max_bytes, MAX_MESSAGE_BYTES);
    }

    #[test]
    fn out_of_range_unknown_and_fifo_are_refused() {
        for (name, value) in [("VisibilityTimeout", "43201"), ("Nope", "1"), ("FifoQueue", "true"), ("RedrivePolicy", "{}")] {
            assert!(validate(&[(name.to_owned(), value.to_owned())].into()).is_err(), "{name}");
        }
        assert!(validate_name("orders.fifo").is_err());
        assert!(validate_name("a/b").is_err());
        assert!(validate_name("scan-DLQ_1").is_ok());
    }

    #[test]
    fn redrive_policy_takes_a_number_or_a_string() {
        for count in ["3", "\"3\""] {
            let text = format!("{{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dlq\",\"maxReceiveCount\":{count}}}");
            let redrive = Settings::of(&[("RedrivePolicy".to_owned(), text)].into()).redrive.unwrap();
            assert_eq!((redrive.queue(), redrive.max_receive_count), ("dlq", 3));
        }
    }
}
