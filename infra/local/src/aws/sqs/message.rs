//! Messages, their attributes, and the digests a client compares.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::error::SqsError;

/// A sender's attribute, shaped as in the JSON protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, with an optional `.suffix`.
    pub data_type: String,
    /// The value of a `String` or `Number`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of a `Binary`, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

/// A sender's attributes by name.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// A message as it was received: invisible to others until its visibility timeout ends.
#[derive(Debug, Clone)]
pub struct Message {
    /// UUID given at send; survives redrive.
    pub message_id: String,
    /// Handle of this receive, for delete and change of visibility.
    pub receipt_handle: String,
    /// The body as sent, at most 1 MiB.
    pub body: String,
    /// MD5 of the body, lower-case hex.
    pub md5_of_body: String,
    /// System attributes: `ApproximateReceiveCount`, `SentTimestamp`, `ApproximateFirstReceiveTimestamp`,
    /// `SenderId`, and `DeadLetterQueueSourceArn` after a redrive. Times are epoch milliseconds.
    pub attributes: BTreeMap<String, String>,
    /// The sender's attributes.
    pub message_attributes: MessageAttributes,
    /// How often it was received, this time included; starts at 1.
    pub receive_count: u32,
    /// When it was sent, epoch milliseconds.
    pub sent_ms: i64,
}

/// What a send answers.
#[derive(Debug, Clone)]
pub struct Sent {
    /// UUID of the new message.
    pub message_id: String,
    /// MD5 of the body, lower-case hex.
    pub md5_of_body: String,
    /// MD5 of the attributes when there are any, lower-case hex.
    pub md5_of_attributes: Option<String>,
}

/// A queue's approximate message counts (exact here).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be received.
    pub visible: u64,
    /// Received and not yet deleted.
    pub in_flight: u64,
    /// Sent with a delay that has not passed.
    pub delayed: u64,
}

impl Depth {
    /// All messages of the queue.
    pub fn total(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// MD5 as lower-case hex.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// `MD5OfMessageAttributes`: names sorted; per attribute length-prefixed name and type, one byte for the kind of
/// transport, length-prefixed value. Source: SQS developer guide, "Calculating the MD5 message digest for message
/// attributes".
pub(crate) fn md5_of_attributes(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    let mut put = |bytes: &[u8], kind: Option<u8>| {
        if let Some(kind) = kind {
            digest.update([kind]);
        }
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        put(name.as_bytes(), None);
        put(attribute.data_type.as_bytes(), None);
        match (&attribute.string_value, &attribute.binary_value) {
            (Some(text), _) => put(text.as_bytes(), Some(1)),
            (None, binary) => put(&decoded(binary.as_deref()), Some(2)),
        }
    }
    Some(hex::encode(digest.finalize()))
}

/// Checks content and size; `limit` is the queue's `MaximumMessageSize` in bytes.
pub(crate) fn validate(body: &str, attributes: &MessageAttributes, limit: usize) -> Result<(), SqsError> {
    if body.is_empty() {
        return Err(SqsError::MissingParameter("MessageBody"));
    }
    if attributes.len() > 10 {
        return Err(invalid("Number of message attributes exceeds the allowed maximum 10."));
    }
    for (name, attribute) in attributes {
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let valued = match kind {
            "String" | "Number" => attribute.string_value.as_deref().is_some_and(|text| !text.is_empty()),
            "Binary" => attribute.binary_value.as_deref().is_some_and(|text| BASE64.decode(text).is_ok()),
            _ => return Err(invalid(&format!("The type of message attribute `{name}` is invalid."))),
        };
        if !valued {
            return Err(invalid(&format!("The message attribute `{name}` must contain a non-empty value.")));
        }
    }
    let allowed = |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if !body.chars().all(allowed) {
        return Err(SqsError::InvalidMessageContents);
    }
    if size(body, attributes) > limit {
        return Err(invalid(&format!("One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.")));
    }
    Ok(())
}

/// Bytes that count against the limit: body, and names, types and values of the attributes.
pub(crate) fn size(body: &str, attributes: &MessageAttributes) -> usize {
    let of_attribute = |(name, attribute): (&String, &MessageAttribute)| {
        let value = attribute.string_value.as_ref().map_or_else(|| decoded(attribute.binary_value.as_deref()).len(), String::len);
        name.len() + attribute.data_type.len() + value
    };
    body.len() + attributes.iter().map(of_attribute).sum::<usize>()
}

fn decoded(binary: Option<&str>) -> Vec<u8> {
    binary.and_then(|text| BASE64.decode(text).ok()).unwrap_or_default()
}

fn invalid(text: &str) -> SqsError {
    SqsError::InvalidParameterValue(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed independently with Python's hashlib over the documented byte layout.
    #[test]
    fn digest_of_attributes_follows_the_documented_layout() {
        let text = |value: &str| MessageAttribute { data_type: "String".into(), string_value: Some(value.into()), binary_value: None };
        let attributes: MessageAttributes = [
            ("b".to_owned(), MessageAttribute { data_type: "Binary".into(), string_value: None, binary_value: Some("AAE=".into()) }),
            ("a".to_owned(), text("x")),
        ]
        .into();
        assert_eq!(md5_of_attributes(&attributes).as_deref(), Some("fa20e2def088daf7b14bc51e836c5547"));
        assert_eq!(md5_of_attributes(&MessageAttributes::new()), None);
    }

    #[test]
    fn control_characters_and_oversize_are_refused() {
        let none = MessageAttributes::new();
        assert!(matches!(validate("a\u{1}", &none, 10), Err(SqsError::InvalidMessageContents)));
        assert!(matches!(validate("12345678901", &none, 10), Err(SqsError::InvalidParameterValue(_))));
        assert!(validate("tab\tline\r\n\u{1F600}", &none, 100).is_ok());
    }
}
