//! The contract's routes, with retries: busy servers (429, 502, 503, 504) and broken connections are asked again with
//! back-off, and `Retry-After` is honoured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use crate::args::Server;
use crate::error::Error;
use crate::http::{Answer, Body, Http, Pulse, whole};
use crate::session;

/// Where Core listens by default (contract §0.2); by its number, since a name may mean another address family.
const DEFAULT_URL: &str = "http://127.0.0.1:8008";
/// Wait before the second attempt; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A server that wants to be left alone for longer is not waited for.
const LONGEST_AFTER: Duration = Duration::from_secs(300);
/// Longest text of a server that is shown, in characters.
const LONGEST_TEXT: usize = 300;
/// As SDKs encode names and rules (contract §0.2).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// JSON stays readable for servers that do not decode it: only what no header can carry, and what would be decoded.
const TEXT: &AsciiSet = &CONTROLS.add(b'%');

/// A server, and who asks. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    base: String,
    key: Option<HeaderValue>,
    retries: u32,
    /// Set once the server turned out not to know presigned uploads.
    no_forms: AtomicBool,
}

/// A header's value as SDKs encode names.
pub(crate) fn component(text: &[u8]) -> String {
    percent_encode(text, COMPONENT).to_string()
}

/// A header's value that keeps its punctuation.
pub(crate) fn text(text: &str) -> String {
    percent_encode(text.as_bytes(), TEXT).to_string()
}

/// A base URL without its last slash.
pub(crate) fn base(url: &str) -> Result<String, Error> {
    let wrong = |why: &str| Error::Said(format!("`{}` {why}.", crate::printable(url)));
    let parsed = Url::parse(url.trim()).map_err(|error| wrong(&format!("is no URL: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(wrong("is not an http or https URL"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("may have no user, query or fragment"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// A path's segment from outside.
pub(crate) fn segment(id: &str) -> String {
    component(id.as_bytes())
}

impl Core {
    /// From flags, environment and what `login` kept. A kept key goes to its own server only.
    pub(crate) fn of(server: &Server) -> Result<Self, Error> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        let (url, key) = (given(&server.url), given(&server.apikey));
        let kept = if url.is_some() && key.is_some() { None } else { session::load()? };
        let base = base(&url.or_else(|| Some(kept.as_ref()?.url.clone())).unwrap_or_else(|| DEFAULT_URL.into()))?;
        let key = key.or_else(|| kept.filter(|kept| kept.url == base).map(|kept| kept.apikey));
        Self::new(base, key.as_deref(), server.retries)
    }

    /// A server by its checked URL.
    pub(crate) fn new(base: String, key: Option<&str>, retries: u32) -> Result<Self, Error> {
        let visible = |key: &str| HeaderValue::from_str(key.trim()).ok().filter(|_| key.trim().bytes().all(|byte| byte.is_ascii_graphic()));
        let key = match key {
            Some(key) => {
                let mut value = visible(key).ok_or_else(|| Error::Said("The key may have visible ASCII characters only.".into()))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let inner = Inner { http: Http::new()?, base, key, retries, no_forms: AtomicBool::new(false) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The base URL.
    pub(crate) fn url(&self) -> &str {
        &self.inner.base
    }

    /// Whether requests go with a key.
    pub(crate) fn has_key(&self) -> bool {
        self.inner.key.is_some()
    }

    /// The key.
    pub(crate) fn key(&self) -> &str {
        self.inner.key.as_ref().and_then(|key| key.to_str().ok()).unwrap_or_default()
    }

    /// Attempts after the first.
    pub(crate) fn retries(&self) -> u32 {
        self.inner.retries
    }

    /// Whether presigned uploads are worth asking for.
    pub(crate) fn may_presign(&self) -> bool {
        !self.inner.no_forms.load(Ordering::Relaxed)
    }

    /// They are not.
    pub(crate) fn never_presign(&self) {
        self.inner.no_forms.store(true, Ordering::Relaxed);
    }

    /// A request of this API, made once. Errors of the server are errors.
    pub(crate) async fn once(&self, method: Method, path: &str, headers: &HeaderMap, body: Body, pulse: &Pulse) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.inner.base);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().map_err(|_| Error::Said(format!("`{}` is no URL.", crate::printable(&url))))?;
        *request.headers_mut() = headers.clone();
        if let Some(key) = &self.inner.key {
            request.headers_mut().insert("apikey", key.clone());
        }
        let answer = self.inner.http.send(request, pulse).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    /// A request elsewhere (a presigned form): no key goes along.
    pub(crate) async fn elsewhere(&self, request: Request<Body>, pulse: &Pulse) -> Result<Answer, Error> {
        self.inner.http.send(request, pulse).await
    }

    /// A request without a file, with retries.
    pub(crate) async fn call(&self, method: Method, path: &str, headers: &HeaderMap, body: &str) -> Result<Answer, Error> {
        let mut tries = 0;
        loop {
            match self.once(method.clone(), path, headers, whole(body.to_owned()), &Pulse::new()).await {
                Err(error) if error.passes() && tries < self.retries() => {
                    tokio::time::sleep(wait(tries, error.after())).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Its JSON.
    pub(crate) async fn json(&self, method: Method, path: &str, headers: &HeaderMap, body: &str) -> Result<Value, Error> {
        self.read(&self.call(method, path, headers, body).await?)
    }

    /// The JSON of an answer.
    pub(crate) fn read(&self, answer: &Answer) -> Result<Value, Error> {
        let foreign = || Error::Said(format!("`{}` is no server of this API: it answered {} without JSON.", self.inner.base, answer.status.as_u16()));
        serde_json::from_slice(&answer.body).map_err(|_| foreign())
    }

    /// `GET` of JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::GET, path, &HeaderMap::new(), "").await
    }

    /// `POST` without a body.
    pub(crate) async fn post(&self, path: &str, headers: &HeaderMap) -> Result<Value, Error> {
        self.json(Method::POST, path, headers, "").await
    }

    /// Ends a scan, once and without waiting long: it is asked for when somebody wants to leave.
    pub(crate) async fn cancel(&self, id: &str) {
        let path = format!("/file/{}/cancel", segment(id));
        let (headers, pulse) = (HeaderMap::new(), Pulse::new());
        let asked = self.once(Method::POST, &path, &headers, whole(""), &pulse);
        let _ = tokio::time::timeout(Duration::from_secs(5), asked).await;
    }

    /// What is asked before the first file, so that a wrong key or address is told once, and before anything large was sent.
    pub(crate) async fn greet(&self) -> Result<(), Error> {
        match self.get("/file/rules").await {
            // Servers may keep their rules to themselves.
            Err(Error::Answered { status, .. }) if !matches!(status, 400 | 401 | 403 | 429 | 503) => Ok(()),
            Err(Error::Answered { status: 403, .. }) if !self.has_key() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    fn refused(&self, answer: &Answer) -> Error {
        let status = answer.status.as_u16();
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let said = json.as_ref().and_then(|json| ["err", "error", "message", "response"].iter().find_map(|name| json.get(name)?.as_str()));
        let err: String = crate::printable(said.unwrap_or_default()).chars().take(LONGEST_TEXT).collect();
        let text = match (status, err.as_str()) {
            (300..=399, _) => {
                let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("another address");
                format!("`{}` answered {status}, a redirect to `{}`: give that address as the URL.", self.inner.base, crate::printable(to))
            }
            (400, "Access denied") | (401 | 403, "Access denied" | "") if !self.has_key() => {
                format!("The server wants a key ({status}): see `portcullis login`.")
            }
            (400 | 401, "Access denied") => format!("The server does not know this key ({status} `Access denied`)."),
            (403 | 405, "Access denied") => format!("The server does not know this key, or does not permit this to it ({status} `Access denied`)."),
            (404, _) if json.is_none() => format!("`{}` is no server of this API: it answered 404.", self.inner.base),
            (413, _) => "The server takes no content this large in one request (413).".to_owned(),
            (_, "") => format!("The server answered {status}."),
            _ => format!("The server answered {status}: `{err}`"),
        };
        let after = answer.headers.get(RETRY_AFTER).and_then(|value| until(value.to_str().ok()?, OffsetDateTime::now_utc()));
        Error::Answered { status, err, text, after }
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn until(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    value.parse().map(Duration::from_secs).ok().or_else(|| Duration::try_from(OffsetDateTime::parse(value, &Rfc2822).ok()? - now).ok())
}

/// How long to wait after so many attempts.
pub(crate) fn wait(tries: u32, after: Option<Duration>) -> Duration {
    let own = FIRST_WAIT.saturating_mul(1 << tries.min(10)).min(LONGEST_WAIT);
    after.map_or(own, |after| after.min(LONGEST_AFTER).max(FIRST_WAIT))
}

/// Headers from pairs; a value that no header can carry is told with its name.
pub(crate) fn headers(pairs: impl IntoIterator<Item = (String, String)>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    for (name, value) in pairs {
        let wrong = || Error::Said(format!("`{}` can not be sent in the header `{name}`.", crate::printable(&value)));
        let value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        headers.insert(http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_keep_their_path_and_nothing_else() {
        assert_eq!(base("http://core:8008/metascan_rest/").unwrap(), "http://core:8008/metascan_rest");
        assert_eq!(base("https://core").unwrap(), "https://core");
        for wrong in ["core:8008", "ftp://core", "http://u:p@core", "http://core/?apikey=x", "http://core/#x", ""] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_texts_are_encoded_so_that_one_decoding_gives_them_back() {
        assert_eq!(component("a b%2.ä\n.txt".as_bytes()), "a%20b%252.%C3%A4%0A.txt");
        assert_eq!(component(b"\xff"), "%FF");
        assert_eq!(text(r#"{"a":"100%","ü":1}"#), r#"{"a":"100%25","%C3%BC":1}"#);
        assert_eq!(segment("../admin?x"), "..%2Fadmin%3Fx");
    }

    #[test]
    fn retry_after_is_honoured_in_both_forms_and_back_off_has_an_end() {
        let now = OffsetDateTime::parse("Wed, 21 Oct 2015 07:28:00 GMT", &Rfc2822).unwrap();
        assert_eq!(until("7", now), Some(Duration::from_secs(7)));
        assert_eq!(until("Wed, 21 Oct 2015 07:28:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(until("soon", now), None);
        assert_eq!(wait(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(wait(0, Some(Duration::from_secs(99_999))), LONGEST_AFTER);
        assert_eq!((wait(0, None), wait(40, None)), (FIRST_WAIT, LONGEST_WAIT));
    }

    #[test]
    fn what_no_header_can_carry_is_said() {
        assert!(headers([("rule".to_owned(), "a\nb".to_owned())]).unwrap_err().to_string().contains("`rule`"));
        assert!(Core::new("http://a".into(), Some("a b"), 0).unwrap_err().to_string().contains("visible"));
    }
}
