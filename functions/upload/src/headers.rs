//! The request headers of a submission (contract §4.1), as the client sent them: decoded, not yet judged.

use axum::http::HeaderMap;
use portcullis_core::domain::name::decode_header;
use portcullis_core::http::body::header;
use portcullis_core::http::error::{ApiError, ErrorCode};
use serde_json::Value;

/// Passwords looked at, at most: each is tried on each encrypted entry.
const MAX_PASSWORDS: usize = 32;
/// Largest metadata, in bytes: it is stored with the record and comes back with every poll.
const MAX_METADATA: usize = 8 * 1024;

/// Longest `global-timeout`, in seconds.
const LONGEST_TIMEOUT: u64 = 86_400;

/// What the headers say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SubmissionHeaders {
    pub(crate) filename: String,
    pub(crate) rule: String,
    pub(crate) user_agent: String,
    pub(crate) batch: String,
    pub(crate) metadata: Option<Value>,
    pub(crate) passwords: Vec<String>,
    pub(crate) engines_metadata: Option<Value>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) callback_url: Option<String>,
    pub(crate) sanitized_url: Option<String>,
}

impl SubmissionHeaders {
    /// Reads them.
    ///
    /// # Errors
    /// 400 for `filepath` (there is no local scan), for too many passwords, too much metadata and a timeout that is none.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name| header(headers, name).unwrap_or_default();
        if !text("filepath").is_empty() {
            return Err(ErrorCode::LocalScanRefused.into());
        }
        let rule = Some(text("rule")).filter(|rule| !rule.is_empty()).unwrap_or_else(|| text("workflow"));
        Ok(Self {
            filename: text("filename"),
            rule,
            user_agent: text("user_agent"),
            batch: text("batch"),
            metadata: metadata(&text("metadata"))?,
            passwords: passwords(headers)?,
            engines_metadata: engines_metadata(&text("engines-metadata"))?,
            timeout_seconds: timeout(&text("global-timeout"))?,
            callback_url: url(headers, "callbackurl"),
            sanitized_url: url(headers, "sanitizedurl"),
        })
    }
}

/// The object as sent; text that is no JSON stays text (contract §9 U9).
fn metadata(text: &str) -> Result<Option<Value>, ApiError> {
    if text.len() > MAX_METADATA {
        return Err(ApiError::with_text(ErrorCode::BadRequest, format!("The metadata header is larger than {MAX_METADATA} bytes.")));
    }
    Ok(match text {
        "" => None,
        text => Some(serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null()).unwrap_or_else(|| Value::String(text.to_owned()))),
    })
}

/// Hints for engines, a JSON object. Anything else is ignored: clients send it with every file, and it changes no verdict.
fn engines_metadata(text: &str) -> Result<Option<Value>, ApiError> {
    if text.len() > MAX_METADATA {
        return Err(ApiError::with_text(ErrorCode::BadRequest, format!("The engines-metadata header is larger than {MAX_METADATA} bytes.")));
    }
    Ok(serde_json::from_str(text).ok().filter(Value::is_object))
}

/// `global-timeout`, in seconds (contract §9 U10).
fn timeout(text: &str) -> Result<Option<u64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = text.parse().ok().filter(|seconds| (1..=LONGEST_TIMEOUT).contains(seconds));
    let wrong =
        || ApiError::with_text(ErrorCode::BadRequest, format!("`global-timeout` is not a whole number of seconds from 1 to {LONGEST_TIMEOUT}."));
    seconds.map(Some).ok_or_else(wrong)
}

/// A header that names a URL, not yet judged. It has escapes of its own and is taken as sent; from clients that escape every
/// header (contract §0.2) it comes without its `://`, and is unescaped once. What is no text becomes something no URL is.
pub(crate) fn url(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name).filter(|value| !value.is_empty())?;
    let sent = String::from_utf8_lossy(value.as_bytes());
    Some(if sent.contains("://") { sent.into_owned() } else { decode_header(value.as_bytes()) })
}

/// `archivepwd` and `archivepwd<N>`, in the order of N.
fn passwords(headers: &HeaderMap) -> Result<Vec<String>, ApiError> {
    let mut found: Vec<(u64, String)> = Vec::new();
    for (name, value) in headers {
        let number = match name.as_str().strip_prefix("archivepwd") {
            Some("") => Some(0),
            Some(digits) => digits.parse().ok(),
            None => None,
        };
        if let Some(number) = number {
            found.push((number, decode_header(value.as_bytes())));
        }
    }
    if found.len() > MAX_PASSWORDS {
        return Err(ApiError::with_text(ErrorCode::BadRequest, format!("More than {MAX_PASSWORDS} archive passwords were given.")));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, password)| password).filter(|password| !password.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn read(pairs: &[(&'static str, &[u8])]) -> Result<SubmissionHeaders, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        SubmissionHeaders::read(&headers)
    }

    #[test]
    fn decodes_every_header_and_orders_passwords() {
        let got = read(&[
            ("filename", b"a%20b.pdf"),
            ("workflow", b"File%20process"),
            ("user_agent", b"mdicapserver"),
            ("metadata", br#"{"client_ip":"10.0.1.100"}"#),
            ("archivepwd2", b"two%20words"),
            ("archivepwd", b"first"),
            ("archivepwdx", b"ignored"),
        ])
        .unwrap();
        assert_eq!(got.filename, "a b.pdf");
        assert_eq!(got.rule, "File process");
        assert_eq!(got.user_agent, "mdicapserver");
        assert_eq!(got.metadata.unwrap()["client_ip"], "10.0.1.100");
        assert_eq!(got.passwords, ["first", "two words"]);
    }

    #[test]
    fn rule_comes_before_its_deprecated_alias_and_metadata_may_be_text() {
        let got = read(&[("rule", b"a"), ("workflow", b"b"), ("metadata", b"plain text")]).unwrap();
        assert_eq!(got.rule, "a");
        assert_eq!(got.metadata, Some(Value::String("plain text".into())));
    }

    #[test]
    fn engine_hints_are_an_object_or_nothing_and_a_timeout_is_seconds() {
        let got = read(&[("engines-metadata", br#"{"extraction":{"charset":"SJIS"}}"#), ("global-timeout", b"90")]).unwrap();
        assert_eq!((got.engines_metadata.unwrap()["extraction"]["charset"].as_str(), got.timeout_seconds), (Some("SJIS"), Some(90)));
        for ignored in [&b"{'single': 1}"[..], b"[1]", b"null", b""] {
            assert_eq!(read(&[("engines-metadata", ignored)]).unwrap().engines_metadata, None);
        }
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_METADATA));
        assert_eq!(read(&[("engines-metadata", large.as_bytes())]).unwrap_err().code(), ErrorCode::BadRequest);
        for wrong in [&b"0"[..], b"-1", b"1.5", b"86401", b"soon", b"18446744073709551616"] {
            assert_eq!(read(&[("global-timeout", wrong)]).unwrap_err().code(), ErrorCode::BadRequest);
        }
    }

    #[test]
    fn urls_keep_their_own_escapes_and_lose_those_of_the_client() {
        for (sent, meant) in [
            (&b"https://h/?u=a%26b"[..], "https://h/?u=a%26b"),
            (b"https%3A%2F%2Fh%2F%3Fu%3Da%2526b", "https://h/?u=a%26b"),
            (b"https%3a//h/", "https://h/"),
            (b"nonsense%20it%20is", "nonsense it is"),
        ] {
            assert_eq!(read(&[("callbackurl", sent)]).unwrap().callback_url.as_deref(), Some(meant));
        }
        assert_eq!(read(&[("callbackurl", b"")]).unwrap().callback_url, None);
    }

    #[test]
    fn local_paths_are_refused() {
        assert_eq!(read(&[("filepath", b"/etc/passwd")]).unwrap_err().code(), ErrorCode::LocalScanRefused);
    }
}
