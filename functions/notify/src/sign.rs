//! Signatures as Standard Webhooks describes them: HMAC-SHA256 over `id.timestamp.body`, one per active secret.
//! Source: Standard Webhooks specification 1.0, "Signature scheme".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use portcullis_core::store::secrets::{Active, Secret};
use sha2::Sha256;

/// What may stand before the base64 of a secret.
const PREFIX: &str = "whsec_";
/// Bytes of a key (Standard Webhooks, "Secrets").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The keys of the active secrets: the current one first.
///
/// # Errors
/// One sentence, without the secret, when the current one is not base64 of 24 to 64 bytes. A previous one that is not
/// is left out: it signed nothing.
pub(crate) fn keys(active: &Active) -> Result<Vec<Vec<u8>>, &'static str> {
    let current = key(&active.current).ok_or("the webhook secret is not base64 of 24 to 64 bytes")?;
    Ok(std::iter::once(current).chain(active.previous.as_ref().and_then(key)).collect())
}

fn key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose().trim();
    let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
    KEY_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` of one attempt. The id is the same for every attempt, so
/// that receivers know what they have seen; `at` is in seconds since the epoch.
pub(crate) fn headers(keys: &[Vec<u8>], id: &str, at: i64, body: &[u8]) -> HeaderMap {
    let signatures: Vec<String> = keys.iter().filter_map(|key| signature(key, id, at, body)).collect();
    let texts = [("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signatures.join(" "))];
    texts.into_iter().filter_map(|(name, text)| Some((http::HeaderName::from_static(name), HeaderValue::try_from(text).ok()?))).collect()
}

fn signature(key: &[u8], id: &str, at: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(current: &str, previous: Option<&str>) -> Active {
        Active { current: Secret::new(current), previous: previous.map(Secret::new) }
    }

    /// The value was computed with Python's `hmac` from the secret, id, time and body of the specification's example.
    #[test]
    fn the_signature_is_that_of_an_independent_implementation() {
        let keys = keys(&active("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None)).unwrap();
        let headers = headers(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn each_active_secret_signs_and_a_previous_one_that_is_none_does_not() {
        let generated = "A1".repeat(32);
        let both = keys(&active(&generated, Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))).unwrap();
        assert_eq!(both.iter().map(Vec::len).collect::<Vec<_>>(), [48, 24]);
        let signature = headers(&both, "a", 1, b"b")["webhook-signature"].to_str().unwrap().to_owned();
        assert_eq!(signature.split(' ').filter(|part| part.starts_with("v1,")).count(), 2);
        assert_eq!(keys(&active(&generated, Some("no base64!"))).unwrap().len(), 1);
        for wrong in ["", "short", "not base64 at all, but long enough to be a key"] {
            assert!(keys(&active(wrong, None)).is_err());
        }
    }
}
