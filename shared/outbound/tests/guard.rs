//! Hostile URLs, rebinding names, redirects, endless bodies: nothing but what the policy permits is connected to.
//! Everything listens on loopback; the listeners themselves say whether somebody came.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use portcullis_outbound::{Client, Error, Limits, Policy, Refused, Resolve, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A listener that counts who comes and answers every request with the same bytes.
struct Listener {
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Listener {
    async fn on(addr: SocketAddr, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (addr, count) = (listener.local_addr().unwrap(), Arc::clone(&accepted));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 65536];
                    while socket.read(&mut request).await.is_ok_and(|n| n > 0) {
                        if answer.is_empty() || socket.write_all(&answer).await.is_err() {
                            tokio::time::sleep(Duration::from_secs(30)).await; // says nothing more
                        }
                    }
                });
            }
        });
        Self { addr, accepted }
    }

    async fn answering(answer: &str) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answer.as_bytes().to_vec()).await
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Names of the tests: each question takes the next answer, the last one stays.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn with(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        Arc::new(Self { answers: Mutex::new(HashMap::from([(name.to_owned(), answers)])), asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> Resolving {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.get_mut(name) {
            Some(rows) if rows.len() > 1 => rows.remove(0),
            Some(rows) => rows[0].clone(),
            None => hostile(name),
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// `x<hex>.hostile.example` has that address, `list-…` several. "Good" is an address that the listeners do not have
/// and that no packet reaches from a test: it comes with a bad one, so nothing may be sent to either.
fn hostile(name: &str) -> Vec<IpAddr> {
    let good = IpAddr::from([1, 1, 1, 1]);
    let stem = name.strip_suffix(".hostile.example").unwrap_or_else(|| panic!("asked for `{name}`"));
    if let Some(digits) = stem.strip_prefix('x') {
        return match digits.len() {
            8 => vec![IpAddr::from(u32::from_str_radix(digits, 16).unwrap().to_be_bytes())],
            32 => vec![IpAddr::from(u128::from_str_radix(digits, 16).unwrap().to_be_bytes())],
            other => panic!("{other} digits in {name}"),
        };
    }
    let (_, list) = stem.split_once("list-").unwrap_or_else(|| panic!("asked for `{name}`"));
    let address = |word| match word {
        "good" => good,
        "bad" => Ipv4Addr::LOCALHOST.into(),
        "bad6" => Ipv6Addr::LOCALHOST.into(),
        other => panic!("{other}"),
    };
    list.split('-').map(address).collect()
}

fn limits() -> Limits {
    Limits { connect: Duration::from_secs(2), total: Duration::from_secs(4), stalled: Duration::from_secs(2) }
}

fn loopback() -> Policy {
    Policy::parse("127.0.0.0/8,::1/128").unwrap()
}

async fn fetch(client: &Client, url: &str) -> Result<Bytes, Error> {
    client.get(url, HeaderMap::new(), 1000).await?.bytes().await
}

#[tokio::test]
async fn hostile_urls_open_no_connection() {
    let v4 = Listener::answering(OK).await;
    // The same port on every loopback address that may be meant.
    let others = [IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 53])];
    let mut listeners = vec![];
    for ip in others {
        listeners.push(Listener::on(SocketAddr::new(ip, v4.addr.port()), OK.into()).await);
    }
    listeners.push(v4);
    let port = listeners[0].addr.port();
    let client = Client::with_resolver(Policy::default(), limits(), Arc::new(Names::default()));
    let lines = include_str!("hostile.txt").lines().filter(|line| !line.starts_with('#'));
    let urls: Vec<String> = lines.map(|line| serde_json::from_str::<String>(line).unwrap().replace("{p}", &port.to_string())).collect();
    assert!(urls.len() >= 200, "{}", urls.len());
    for url in &urls {
        for (method, outcome) in [
            ("get", fetch(&client, url).await.map(drop)),
            ("head", client.head(url).await.map(drop)),
            ("post", client.post(url, Bytes::from_static(b"{}"), HeaderMap::new()).await.map(drop)),
        ] {
            let Err(Error::Refused(refused)) = outcome else { panic!("{method} {url:?}: {outcome:?}") };
            assert!(!refused.to_string().contains("127.0"), "{refused}");
        }
    }
    let accepted: Vec<_> = listeners.iter().map(Listener::accepted).collect();
    assert_eq!(accepted, [0; 4]);
    // The listeners do count: the same client with the operator's leave comes through to each.
    let client = Client::with_resolver(loopback(), limits(), Arc::new(Names::default()));
    for listener in &listeners {
        assert_eq!(fetch(&client, &listener.url()).await.unwrap(), "ok");
        assert_eq!(listener.accepted(), 1, "{}", listener.addr);
    }
    for url in [format!("http://0x7f.1:{port}/"), format!("http://x7f000001.hostile.example:{port}/"), format!("http://[::ffff:127.0.0.1]:{port}/")] {
        assert_eq!(fetch(&client, &url).await.unwrap(), "ok", "{url}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_each_time_and_pinned_in_between() {
    // 127.0.0.2 stands for the public address: allowed. 127.0.0.1 is what the attacker is after.
    let inner = Listener::answering(OK).await;
    let outer = Listener::on(
        SocketAddr::from(([127, 0, 0, 2], inner.addr.port())),
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec(),
    )
    .await;
    let names = Names::with("rebinding.example", &[&["127.0.0.2"], &["127.0.0.1"]]);
    let resolver: Arc<dyn Resolve> = names.clone();
    let client = Client::with_resolver(Policy::parse("127.0.0.2/32").unwrap(), limits(), resolver);
    let url = format!("http://rebinding.example:{}/", inner.addr.port());
    assert_eq!(fetch(&client, &url).await.unwrap(), "ok");
    // One question per connection: what was judged is what was connected to.
    assert_eq!((outer.accepted(), names.asked.load(Ordering::SeqCst)), (1, 1));
    let second = fetch(&client, &url).await;
    assert!(matches!(second, Err(Error::Refused(Refused::Address))), "{second:?}");
    assert_eq!((outer.accepted(), inner.accepted(), names.asked.load(Ordering::SeqCst)), (1, 0, 2));
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let target = Listener::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", target.url());
        let door = Listener::answering(&answer).await;
        let client = Client::new(loopback(), limits());
        let error = fetch(&client, &door.url()).await.unwrap_err();
        assert!(matches!(error, Error::Redirect(told) if told == status), "{error:?}");
        let error = client.post(&door.url(), Bytes::new(), HeaderMap::new()).await.unwrap_err();
        assert_eq!((error.status(), error.is_retryable()), (Some(status), false));
    }
    assert_eq!(target.accepted(), 0);
}

#[tokio::test]
async fn bodies_end_at_their_limit_announced_or_not() {
    let announced = Listener::answering("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n").await;
    let client = Client::new(loopback(), limits());
    assert!(matches!(fetch(&client, &announced.url()).await, Err(Error::TooLarge(1000))));
    let chunk = format!("3e8\r\n{}\r\n", "a".repeat(1000));
    let endless = Listener::answering(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(20))).await;
    assert!(matches!(fetch(&client, &endless.url()).await, Err(Error::TooLarge(1000))));
    let exact = Listener::answering(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")).await;
    assert_eq!(fetch(&client, &exact.url()).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_whole_body() {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(addr).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    });
    let error = fetch(&Client::new(loopback(), limits()), &url).await.unwrap_err();
    assert!(matches!(error, Error::Broken(_)) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn silence_and_stalling_end_in_time() {
    let short = Limits { total: Duration::from_millis(400), ..limits() };
    let silent = Listener::answering("").await;
    let begun = Instant::now();
    let error = fetch(&Client::new(loopback(), short), &silent.url()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout) && error.is_retryable(), "{error:?}");
    // Headers at once, half a body, then nothing.
    let stalling = Listener::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let error = fetch(&Client::new(loopback(), short), &stalling.url()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
    let stalled = Limits { stalled: Duration::from_millis(200), ..limits() };
    assert!(matches!(fetch(&Client::new(loopback(), stalled), &stalling.url()).await, Err(Error::Timeout)));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn statuses_and_missing_listeners_are_told_apart() {
    let client = Client::new(loopback(), limits());
    for (status, retryable) in [(404, false), (400, false), (429, true), (500, true), (503, true)] {
        let listener = Listener::answering(&format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")).await;
        let error = client.head(&listener.url()).await.unwrap_err();
        assert_eq!((error.status(), error.is_retryable()), (Some(status), retryable));
    }
    let gone = Listener::answering(OK).await.addr.port();
    let unused = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    assert_ne!(gone, unused);
    let error = client.head(&format!("http://127.0.0.1:{unused}/")).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn requests_carry_what_they_should_and_connections_are_used_again() {
    let listener = Listener::answering(OK).await;
    let client = Client::new(loopback(), limits());
    for _ in 0..3 {
        let status = client.post(&listener.url(), Bytes::from_static(b"{\"a\":1}"), HeaderMap::new()).await.unwrap();
        assert_eq!(status, 200);
    }
    assert_eq!(listener.accepted(), 1);
}
