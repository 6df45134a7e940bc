//! One file from disk to verdict: upload (with retries, each from the file's beginning), poll, judge.

use std::time::{Duration, Instant};

use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use crate::api::{self, Core};
use crate::args::{Submit, Way};
use crate::content::{Content, Opened, Sent};
use crate::error::Error;
use crate::form::Form;
use crate::http::{Pulse, whole};
use crate::interrupt::Running;
use crate::judge::{About, Judged, Verdict, judge};
use crate::progress::Progress;

/// Files above it may not fit one request: 6 MB of Lambda's payload, less base64.
const DIRECT: u64 = 4_500_000;
/// Polls: the first soon, then ever later, up to this.
const FIRST_POLL: Duration = Duration::from_millis(80);
const LAST_POLL: Duration = Duration::from_secs(2);
/// A submission may take a moment to be known everywhere.
const UNKNOWN_POLLS: u32 = 20;

/// How a file goes to the server.
#[derive(Clone, Debug)]
pub(crate) struct Submitter {
    core: Core,
    headers: HeaderMap,
    way: Way,
    timeout: Duration,
    running: Running,
    progress: Progress,
}

/// What was submitted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    /// SHA-256 of the bytes that went out.
    pub(crate) digest: String,
}

/// A finished result.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    pub(crate) result: Value,
}

impl Submitter {
    /// Checks everything that can be known without a file.
    pub(crate) fn new(core: &Core, submit: &Submit, batch: Option<&str>, running: &Running, progress: Progress) -> Result<Self, Error> {
        running.on(core);
        if let Some(metadata) = &submit.metadata {
            serde_json::from_str::<Value>(metadata).map_err(|error| Error::Said(format!("`--metadata` is no JSON: {error}.")))?;
        }
        let mut pairs = vec![];
        let mut add = |name: &str, value: Option<String>| pairs.extend(value.map(|value| (name.to_owned(), value)));
        add("rule", submit.rule.as_ref().map(|rule| api::component(rule.as_bytes())));
        add("user_agent", submit.user_agent.as_ref().map(|agent| api::text(agent)));
        add("metadata", submit.metadata.as_ref().map(|metadata| api::text(metadata)));
        add("batch", batch.map(api::segment));
        for (n, password) in submit.passwords.iter().enumerate() {
            add(&format!("archivepwd{}", n + 1), Some(api::component(password.as_bytes())));
        }
        let headers = api::headers(pairs)?;
        let timeout = Duration::from_secs(submit.timeout);
        Ok(Self { core: core.clone(), headers, way: submit.upload, timeout, running: running.clone(), progress })
    }

    /// Uploads and waits for the verdict.
    pub(crate) async fn scan(&self, name: &[u8], content: &Content) -> (Option<Accepted>, Result<Ended, Error>) {
        match self.upload(name, content).await {
            Ok(accepted) => {
                let entry = self.running.enter(&accepted.id);
                let ended = self.verdict(&accepted).await;
                if ended.is_err() {
                    self.core.cancel(&accepted.id).await;
                }
                entry.end();
                (Some(accepted), ended)
            }
            Err(error) => (None, Err(error)),
        }
    }

    async fn upload(&self, name: &[u8], content: &Content) -> Result<Accepted, Error> {
        let mut headers = self.headers.clone();
        headers.insert("filename", HeaderValue::from_str(&api::component(name)).map_err(|error| Error::Said(format!("{error}.")))?);
        let mut tries = 0;
        loop {
            let opened = content.open()?;
            match self.attempt(&headers, opened, content).await {
                Err(error) if error.passes() && tries < self.core.retries() => {
                    tokio::time::sleep(api::wait(tries, error.after())).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, headers: &HeaderMap, opened: Opened, content: &Content) -> Result<Accepted, Error> {
        let large = opened.stamp().size > DIRECT && self.core.may_presign();
        if self.way == Way::Presign || self.way == Way::Auto && large {
            match self.presigned(headers, opened).await? {
                Some(accepted) => return Ok(accepted),
                None if self.way == Way::Presign => {
                    return Err(Error::Said("The server offers no presigned uploads, or they can not be reached.".into()));
                }
                None => self.core.never_presign(),
            }
            return self.direct(headers, content.open()?).await;
        }
        match self.direct(headers, opened).await {
            Err(Error::Answered { status: 413, .. }) if self.way == Way::Auto && self.core.may_presign() => {
                let too_large = || Error::Said("The server takes no content this large in one request (413), and offers no other way.".into());
                self.presigned(headers, content.open()?).await?.ok_or_else(too_large)
            }
            done => done,
        }
    }

    async fn direct(&self, headers: &HeaderMap, opened: Opened) -> Result<Accepted, Error> {
        let (pulse, size) = (Pulse::new(), opened.stamp().size);
        let (stream, sent) = opened.stream(pulse.clone(), self.progress.clone());
        let mut headers = headers.clone();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
        let body = if size == 0 { whole("") } else { StreamBody::new(stream.map(|piece| piece.map(Frame::data))).boxed_unsync() };
        let answer = self.core.once(Method::POST, "/file", &headers, body, &pulse).await.map_err(|error| self.told(error, &sent))?;
        let json = self.core.read(&answer)?;
        let id = json["data_id"]
            .as_str()
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Error::Said("The server accepted the file without telling its `data_id`.".into()))?;
        accepted(id, &sent)
    }

    /// By a presigned form; `None` if the server offers none, or its store can not be reached from here.
    async fn presigned(&self, headers: &HeaderMap, opened: Opened) -> Result<Option<Accepted>, Error> {
        let form = match self.core.once(Method::POST, "/file/presign", headers, whole(""), &Pulse::new()).await {
            Ok(answer) => self.core.read(&answer).ok().and_then(|json| Form::of(&json)),
            Err(error) if error.passes() => return Err(error),
            // Whatever is wrong beside the route being unknown, `POST /file` tells it too.
            Err(_) => None,
        };
        let Some(form) = form else { return Ok(None) };
        let entry = self.running.enter(&form.id);
        let (pulse, size) = (Pulse::new(), opened.stamp().size);
        let (stream, sent) = opened.stream(pulse.clone(), self.progress.clone());
        let done = match form.request(size, stream) {
            Some(request) => self.core.elsewhere(request, &pulse).await.map_err(|error| self.told(error, &sent)),
            None => Err(Error::Unreachable("The presigned form has no usable address.".into())),
        };
        let done = match done {
            Ok(answer) if answer.status.is_success() => accepted(&form.id, &sent).map(Some),
            Ok(answer) if answer.status.is_server_error() => {
                Err(Error::Unreachable(format!("The server's store answered {}.", answer.status.as_u16())))
            }
            Ok(answer) => Err(Error::Said(format!("The server's store refused the upload ({}): {}", answer.status.as_u16(), code(&answer.body)))),
            // Nothing went out: the store's address is one that only the server can reach.
            Err(Error::Unreachable(_)) if sent.untouched() && self.way == Way::Auto => Ok(None),
            Err(error) => Err(error),
        };
        if !matches!(done, Ok(Some(_))) {
            // Its record would wait for bytes that never come.
            self.core.cancel(&form.id).await;
        }
        entry.end();
        done
    }

    /// A failure of reading hides behind one of the connection.
    fn told(&self, error: Error, sent: &Sent) -> Error {
        match (sent.failure(), error) {
            (Some(why), _) => Error::Said(format!("The file {why}.")),
            (None, Error::Answered { status: 400, err, .. }) if err.starts_with("Rule not found") => {
                let rule = self.headers.get("rule").and_then(|rule| rule.to_str().ok()).unwrap_or_default();
                let rule = percent_encoding::percent_decode_str(rule).decode_utf8_lossy().into_owned();
                Error::Said(format!("The server has no rule `{}`.", crate::printable(&rule)))
            }
            (None, error) => error,
        }
    }

    async fn verdict(&self, accepted: &Accepted) -> Result<Ended, Error> {
        let about = About { id: Some(&accepted.id), digest: Some(("sha256", &accepted.digest)) };
        poll(&self.core, &accepted.id, about, self.timeout).await
    }
}

fn accepted(id: &str, sent: &Sent) -> Result<Accepted, Error> {
    // A server that answers before it has everything has judged something else.
    let digest = sent.digest().ok_or_else(|| Error::Said("The server accepted the file before all of it was sent.".into()))?;
    Ok(Accepted { id: id.to_owned(), digest })
}

/// The `<Code>` of S3's XML.
fn code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or("no reason given");
    crate::printable(&code.chars().take(100).collect::<String>())
}

/// Asks until there is a verdict, or the time is over.
pub(crate) async fn poll(core: &Core, id: &str, about: About<'_>, patience: Duration) -> Result<Ended, Error> {
    let (end, path) = (Instant::now() + patience, format!("/file/{}", api::segment(id)));
    let (mut pause, mut unknown) = (FIRST_POLL, 0);
    loop {
        match core.get(&path).await {
            Ok(result) => match judge(&result, id, about) {
                Judged::Ended(verdict) => return Ok(Ended { verdict, result }),
                Judged::Doubt(why) => return Err(Error::Said(why)),
                Judged::Unknown if unknown >= UNKNOWN_POLLS || patience.is_zero() => {
                    return Err(Error::Said(format!("The server knows no scan `{}`.", crate::printable(id))));
                }
                Judged::Unknown => unknown += 1,
                Judged::Running(percent) if Instant::now() >= end => {
                    return Err(Error::Said(format!("The scan has not ended after {} s ({percent} %).", patience.as_secs())));
                }
                Judged::Running(_) => {}
            },
            // A result has no other moments to be asked for: its server may fail once.
            Err(error) if error.status().is_some_and(|status| status >= 500) && Instant::now() < end => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LAST_POLL);
    }
}
