//! `downloadfrom` (contract §4.1, §4.3): files fetched from a server on loopback, which this host may reach.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method as Verb, StatusCode as Status};
use axum::response::{IntoResponse, Response};
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::client::{Answer, verdict};
use crate::support::files::{eicar, unique};
use crate::target::{Target, sha256};

/// What a path answers: to `HEAD` (`None`: with 405) and to `GET`.
#[derive(Clone)]
pub struct File {
    head: Option<u64>,
    get: Get,
}

#[derive(Clone)]
enum Get {
    Whole(Vec<u8>),
    /// So many bytes, then silence.
    Stalls(usize),
    /// This status so many times, then the content.
    After(usize, Status, Vec<u8>),
    Redirect,
}

#[derive(Clone, Default)]
pub struct Source {
    files: Arc<Mutex<HashMap<String, File>>>,
    gets: Arc<AtomicUsize>,
}

/// A server of one test; its address.
pub async fn source(files: &[(&str, File)]) -> (String, Source) {
    let source = Source::default();
    *source.files.lock().unwrap() = files.iter().map(|(path, file)| ((*path).to_owned(), file.clone())).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(source.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, source)
}

async fn answer(State(source): State<Source>, request: Request) -> Response {
    let Some(file) = source.files.lock().unwrap().get(request.uri().path()).cloned() else { return Status::NOT_FOUND.into_response() };
    if request.method() == Verb::HEAD {
        return match file.head {
            Some(size) => Response::builder().header("content-length", size).body(Body::empty()).unwrap(),
            None if matches!(file.get, Get::Redirect) => (Status::FOUND, [("location", "http://127.0.0.1/")]).into_response(),
            None => Status::METHOD_NOT_ALLOWED.into_response(),
        };
    }
    let ranged = request.headers().contains_key("range");
    let number = if ranged { 0 } else { source.gets.fetch_add(1, Ordering::SeqCst) };
    match file.get {
        Get::Whole(content) if ranged => {
            let range = format!("bytes 0-0/{}", content.len());
            let disposition = "attachment; filename*=UTF-8''by%20header.bin";
            (Status::PARTIAL_CONTENT, [("content-range", range.as_str()), ("content-disposition", disposition)], content[..1].to_vec())
                .into_response()
        }
        Get::After(failures, status, _) if number < failures => status.into_response(),
        Get::Whole(content) | Get::After(_, _, content) => content.into_response(),
        Get::Stalls(bytes) => {
            let pieces = futures::stream::unfold(0, move |n| async move {
                if n > 0 {
                    tokio::time::sleep(Duration::from_mins(2)).await;
                }
                Some((Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; bytes])), n + 1))
            });
            Body::from_stream(pieces).into_response()
        }
        Get::Redirect => (Status::FOUND, [("location", "http://127.0.0.1/")]).into_response(),
    }
}

pub fn whole(content: &[u8]) -> File {
    File { head: Some(content.len() as u64), get: Get::Whole(content.to_vec()) }
}

/// There when it is accepted, and never again.
pub fn gone() -> File {
    File { head: Some(1), get: Get::After(usize::MAX, Status::NOT_FOUND, Vec::new()) }
}

async fn ask(url: &str, headers: &[(&str, &str)]) -> Answer {
    Target::client().post_file(Vec::new(), &[headers, &[("downloadfrom", url)]].concat()).await
}

/// The result of a download that must be accepted.
async fn fetched(url: &str, headers: &[(&str, &str)]) -> Value {
    let answer = ask(url, headers).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    Target::client().result(answer.json["data_id"].as_str().unwrap()).await
}

/// A deployment's functions can not reach a server of this process.
fn out_of_reach() -> bool {
    !Target::get().local
}

#[tokio::test]
async fn a_link_is_fetched_and_scanned() {
    if out_of_reach() {
        return;
    }
    let (small, large) = (unique("downloaded"), vec![b'a'; 9 * 1024 * 1024 + 17]);
    let by_range = File { head: None, get: Get::Whole(unique("by range")) };
    let files = [("/a%20b.txt", whole(&small)), ("/large.bin", whole(&large)), ("/eicar.com", whole(&eicar())), ("/get", by_range)];
    let (url, _) = source(&files).await;
    let link = format!("{url}/a%20b.txt");
    let result = fetched(&link, &[]).await;
    assert_eq!((verdict(&result), result["file_info"]["sha256"].as_str()), ((0, "Allowed", ""), Some(sha256(&small).as_str())));
    assert_eq!(result["file_info"]["display_name"], "a b.txt");
    let info = &result["download_info"];
    assert_eq!(
        (&info["url"], &info["status"], &info["progress"], &info["error_detail"]),
        (&link.into(), &"Downloaded".into(), &100.into(), &"".into())
    );
    assert_eq!(fetched(&format!("{url}/large.bin"), &[]).await["file_info"]["sha256"], sha256(&large), "more than one piece");
    assert_eq!(verdict(&fetched(&format!("{url}/eicar.com"), &[("filename", "given.com")]).await).0, 1);
    assert_eq!(fetched(&format!("{url}/get"), &[]).await["file_info"]["display_name"], "by header.bin");
}

#[tokio::test]
async fn links_that_can_not_be_had_are_told_at_once() {
    if out_of_reach() {
        return;
    }
    let files =
        [("/moved", File { head: None, get: Get::Redirect }), ("/nameless/", whole(b"x")), ("/empty", whole(b"")), ("/large", whole(&[b'x'; 1001]))];
    let (url, source) = source(&files).await;
    let unknown = "Cannot get file name and file size from url.";
    let too_large = "Failed to request scan. File size exceeded the maximum size permitted by your configuration.";
    for (link, status, text) in [
        (format!("{url}/moved"), 400, "Redirect link not supported."),
        (format!("{url}/missing"), 400, unknown),
        (format!("{url}/nameless/"), 400, unknown),
        ("http://127.0.0.1:1/closed".to_owned(), 400, "Invalid download url."),
        (format!("{url}/empty"), 422, "File is empty."),
        (format!("{url}/large"), 500, too_large),
        ("ftp://example.com/a".to_owned(), 400, "Download url must start with http:// or https://."),
        ("http://10.0.0.1/a".to_owned(), 400, "Invalid download url."),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), 400, "Invalid download url."),
        ("http://user:password@example.com/a".to_owned(), 400, "Invalid download url."),
        ("http://".to_owned(), 400, "Invalid download url."),
    ] {
        let answer = ask(&link, &[("rule", "Tiny")]).await;
        assert_eq!((answer.status.as_u16(), answer.err()), (status, text), "{link}");
    }
    let both = Target::client().post_file(unique("body"), &[("downloadfrom", &format!("{url}/large"))]).await;
    assert_eq!((both.status.as_u16(), both.err()), (400, "Both body data and download link were given."));
    let open = Target::client().with_key(None).post_file(Vec::new(), &[("downloadfrom", &format!("{url}/large"))]).await;
    assert_eq!((open.status.as_u16(), open.err()), (400, "Access denied"));
    assert_eq!(source.gets.load(Ordering::SeqCst), 0, "nothing was fetched");
}

#[tokio::test]
async fn a_size_that_is_a_lie_does_not_get_past_the_limit() {
    if out_of_reach() {
        return;
    }
    let files = [
        ("/more", File { head: Some(10), get: Get::Whole(vec![b'x'; 1001]) }),
        ("/other", File { head: Some(10), get: Get::Whole(vec![b'x'; 1000]) }),
        ("/nothing", File { head: Some(10), get: Get::Whole(Vec::new()) }),
    ];
    let (url, _) = source(&files).await;
    for (path, reason) in [("more", "more than `1000` bytes"), ("nothing", "empty")] {
        let result = fetched(&format!("{url}/{path}"), &[("rule", "Tiny")]).await;
        assert_eq!(verdict(&result), (3, "Blocked", "Failed"), "{path}");
        assert!(result["process_info"]["blocked_reasons"].to_string().contains("The download failed"), "{result}");
        let info = &result["download_info"];
        assert_eq!(info["status"], "Failed");
        assert!(info["error_detail"].as_str().unwrap().contains(reason), "{info}");
    }
    let result = fetched(&format!("{url}/other"), &[("rule", "Tiny")]).await;
    assert_eq!((verdict(&result).0, &result["file_info"]["file_size"]), (0, &1000.into()), "the real size counts");
}

#[tokio::test]
async fn a_source_that_fails_for_a_moment_is_asked_again_and_one_that_is_gone_is_not() {
    if out_of_reach() {
        return;
    }
    let content = unique("at last");
    let (url, busy) = source(&[("/busy.txt", File { head: Some(10), get: Get::After(1, Status::SERVICE_UNAVAILABLE, content.clone()) })]).await;
    let (gone_url, gone) = source(&[("/gone.txt", File { head: Some(10), get: Get::After(9, Status::GONE, content.clone()) })]).await;
    let result = fetched(&format!("{gone_url}/gone.txt"), &[]).await;
    assert_eq!(verdict(&result).0, 3);
    assert_eq!(result["download_info"]["error_detail"], "answered with status `410`");
    assert_eq!(gone.gets.load(Ordering::SeqCst), 1);
    let result = fetched(&format!("{url}/busy.txt"), &[]).await;
    assert_eq!((verdict(&result).0, result["file_info"]["sha256"].as_str()), (0, Some(sha256(&content).as_str())));
    assert_eq!(busy.gets.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_download_that_stalls_shows_its_progress_and_ends_with_the_clients_time_or_its_cancel() {
    if out_of_reach() {
        return;
    }
    let client = Target::client();
    let stalls = File { head: Some(100_000), get: Get::Stalls(25_000) };
    let (url, _) = source(&[("/slow.bin", stalls)]).await;
    let link = format!("{url}/slow.bin");
    let started = Instant::now();
    let cancelled = ask(&link, &[]).await.json["data_id"].as_str().unwrap().to_owned();
    let result = fetched(&link, &[("global-timeout", "3")]).await;
    assert_eq!(verdict(&result).0, 3);
    assert!(result["process_info"]["blocked_reasons"].to_string().contains("Global scan timeout exceeded"), "{result}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let running = client.get(&format!("/file/{cancelled}")).await.json;
    assert_eq!((&running["download_info"]["status"], &running["process_info"]["progress_percentage"]), (&"Downloading".into(), &0.into()));
    let path = format!("/file/{cancelled}/cancel");
    crate::support::client::send(client.request(reqwest::Method::POST, &path).header("Content-Length", "0")).await;
    assert_eq!(verdict(&client.result(&cancelled).await), (19, "Blocked", "Canceled"));
}
