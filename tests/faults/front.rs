//! The streaming front as a process of its own, before the services of a local host: large bodies, bodies that end too early,
//! and its own end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use axum::Json;
use axum::routing::get;
use futures::StreamExt;
use portcullis_core::aws::Clients;
use portcullis_core::domain::rule::Rule;
use portcullis_local::host::{Host, HostOptions};
use reqwest::{Body, Method, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

use crate::process::KEY;
use crate::support::client::{Client, send, verdict};
use crate::support::files::{eicar, unique};
use crate::support::own_host;

const MIB: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

/// A local host, and the front before its services.
struct Front {
    host: Host,
    child: Child,
    client: Client,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Front {
    /// One at a time: memory and seconds are measured.
    async fn start(environment: &[(&str, &str)]) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let host = Host::start(HostOptions { rules: Some(vec![large()]), ..own_host::options(folder.path(), KEY, &[]) }).await.unwrap();
        let mut command = command(&["--port", "0"]);
        // Credentials as a task on Fargate gets them.
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials(&host).await).env("AWS_ENDPOINT_URL", &host.access.endpoint);
        let api = ["auth", "upload", "results", "admin"];
        for function in host.topology.functions.iter().filter(|function| api.contains(&function.binary.as_str())) {
            command.envs(&function.env);
        }
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("Portcullis listens on ").unwrap();
        let addr = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self { client: Client::new(url, Some(KEY)), host, child, addr, _folder: folder, _turn: turn }
    }

    fn memory(&self, what: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Objects, and uploads to S3 that were begun.
    async fn stored(&self) -> (usize, usize) {
        let access = &self.host.access;
        let clients = Clients::for_endpoint(&access.endpoint, &access.region, &access.access_key, &access.secret_key);
        let bucket = &self.host.topology.bucket("UploadBucket").unwrap().name;
        let objects = clients.s3().list_objects_v2().bucket(bucket).prefix("in/").send().await.unwrap();
        let begun = clients.s3().list_multipart_uploads().bucket(bucket).send().await.unwrap();
        (objects.contents().len(), begun.uploads().len())
    }

    async fn until_stored(&self, wanted: (usize, usize)) {
        let end = Instant::now() + PATIENCE;
        while self.stored().await != wanted {
            assert!(Instant::now() < end, "{:?}, not {wanted:?}", self.stored().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }

    async fn ended(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An upload of `length` bytes, of which the first `sent` are on their way.
    async fn begin(&self, length: usize, sent: usize) -> TcpStream {
        self.begin_at("/file", length, sent).await
    }

    async fn begin_at(&self, path: &str, length: usize, sent: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: front\r\nConnection: close\r\napikey: {KEY}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'a'; sent]).await.unwrap();
        stream
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let inherited = std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("PORTCULLIS_"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    command.arg("front").args(arguments).stdin(Stdio::null());
    command.env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", Path::new("/nowhere"));
    command
}

/// What Fargate has beside a task: an address that answers the credentials of its role.
async fn credentials(host: &Host) -> String {
    let answer = json!({
        "AccessKeyId": host.access.access_key,
        "SecretAccessKey": host.access.secret_key,
        "Token": "of a session",
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let listener = tokio::net::TcpListener::bind(own_host::loopback()).await.unwrap();
    let url = format!("http://{}/role", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/role", get(|| async { Json(answer) }))).await });
    url
}

/// A rule for files that no Lambda function could be sent.
fn large() -> Rule {
    Rule { max_file_size: 1024 * 1024 * 1024, ..Rule::default() }
}

/// A body without a length, of this many pieces of 1 MiB.
fn chunked(pieces: usize, last: Vec<u8>) -> Body {
    let zeros = bytes::Bytes::from(vec![0; MIB]);
    let pieces = futures::stream::repeat(zeros).take(pieces).chain(futures::stream::iter([bytes::Bytes::from(last)]));
    Body::wrap_stream(pieces.map(Ok::<_, std::io::Error>))
}

/// The answer on a connection of one's own.
async fn answer(mut stream: TcpStream) -> (String, String) {
    let mut text = String::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_through_whole_and_in_bounded_memory() {
    let front = Front::start(&[]).await;
    let client = &front.client;
    assert_eq!(verdict(&client.scan(eicar(), &[]).await).0, 1, "the host's scans judge what came through the front");
    let idle = front.memory("VmRSS");

    // With a length, and without one; every byte counts.
    let mut content = vec![0; 64 * MIB];
    content.extend(unique("the end"));
    let sha256 = hex::encode(Sha256::digest(&content));
    let (last, size) = (content[64 * MIB..].to_vec(), content.len());
    let announced = client.submit(content, &[]).await;
    let sent = send(client.request(Method::POST, "/file").body(chunked(64, last))).await;
    assert_eq!(sent.status, StatusCode::OK, "{sent:?}");
    for id in [announced.as_str(), sent.json["data_id"].as_str().unwrap()] {
        let result = client.result(id).await;
        assert_eq!(verdict(&result).0, 0, "{result}");
        assert_eq!((result["file_info"]["sha256"].as_str(), result["file_info"]["file_size"].as_u64()), (Some(sha256.as_str()), Some(size as u64)));
    }
    front.until_stored((3, 0)).await;

    // One that breaks off at the end leaves nothing: neither an object, nor pieces, nor a record.
    let history = client.get("/admin/history").await.json["entries"].as_array().map(Vec::len);
    let mut stream = TcpStream::connect(front.addr).await.unwrap();
    let head = format!("POST /file HTTP/1.1\r\nHost: front\r\napikey: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = [format!("{MIB:x}\r\n").into_bytes(), vec![b'b'; MIB], b"\r\n".to_vec()].concat();
    for _ in 0..300 {
        stream.write_all(&piece).await.unwrap();
    }
    front.until_stored((3, 1)).await;
    drop(stream);
    front.until_stored((3, 0)).await;
    assert_eq!(client.get("/admin/history").await.json["entries"].as_array().map(Vec::len), history);
    let peak = front.memory("VmHWM");
    eprintln!("memory of the front: {idle} MiB idle, {peak} MiB at most");
    assert!(peak < idle + 100, "{idle} MiB idle, {peak} MiB at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_running_uploads() {
    let front = Front::start(&[]).await;
    let mut stream = front.begin(20 * MIB, 10 * MIB).await;
    front.until_stored((0, 1)).await;
    front.terminate();
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(front.addr).await.is_ok() {
        assert!(Instant::now() < end, "it takes connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(&vec![b'a'; 10 * MIB]).await.unwrap();
    let (head, body) = answer(stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let id = serde_json::from_str::<serde_json::Value>(&body).unwrap()["data_id"].as_str().unwrap().to_owned();
    let host = Client::new(format!("http://{}", front.host.addr), Some(KEY));
    assert_eq!(verdict(&host.result(&id).await).0, 0);
    assert!(front.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_told_to_come_again_and_taken_back() {
    let front = Front::start(&[("PORTCULLIS_DRAIN_SECONDS", "1")]).await;
    let stream = front.begin(20 * MIB, 10 * MIB).await;
    front.until_stored((0, 1)).await;
    front.terminate();
    let (head, _) = answer(stream).await;
    assert!(head.starts_with("HTTP/1.1 503") && head.to_lowercase().contains("retry-after"), "{head}");
    front.until_stored((0, 0)).await;
    assert!(front.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_bounds_what_runs_at_once_and_knows_its_clients_by_the_last_hop() {
    let front =
        Front::start(&[("PORTCULLIS_MAX_UPLOADS", "1"), ("PORTCULLIS_LOAD_BALANCER", "127.0.0.0/8"), ("PORTCULLIS_LOGINS_PER_SECOND", "1")]).await;
    let client = &front.client;
    let port = front.addr.port().to_string();
    let check = || command(&["--check", "--port", &port]).stderr(Stdio::null()).status().unwrap().success();
    assert!(tokio::task::block_in_place(check));

    let end = Instant::now() + PATIENCE;
    let (mut first, refused) = loop {
        let first = front.begin(MIB, 1).await;
        let second = answer(front.begin(MIB, MIB).await).await;
        // The second one may have been seen first: then the first one was refused.
        if !second.0.starts_with("HTTP/1.1 200") {
            break (first, second);
        }
        assert!(Instant::now() < end);
    };
    assert!(refused.0.starts_with("HTTP/1.1 503") && refused.1.contains("too busy"), "{refused:?}");
    assert_eq!(client.post_file(unique("small"), &[]).await.status, StatusCode::OK, "small ones have room");
    first.write_all(&vec![b'a'; MIB - 1]).await.unwrap();
    drop(first);

    // Nor does who asks for hashes slowly keep an upload out.
    let _asking = [front.begin_at("/hash", MIB / 2, 1).await, front.begin_at("/metascan_rest/hash", MIB / 2, 1).await];
    let end = Instant::now() + PATIENCE;
    while !answer(front.begin(MIB, MIB).await).await.0.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "the first upload's place was given back");
    }

    let wrong = json!({ "user": "admin", "password": "wrong" });
    let logins = futures::future::join_all((0..4).map(|_| client.post_json("/login", &wrong))).await;
    let busy = logins.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert!((2..4).contains(&busy), "{logins:?}");

    let user =
        json!({ "name": "hop", "directory_id": 1, "roles": ["1"], "password": "correct horse battery staple", "display_name": "", "email": "" });
    let forged = client.request(Method::POST, "/admin/user").header("x-forwarded-for", "203.0.113.66, 198.51.100.7").body(user.to_string());
    let made = send(forged).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let told = client.get("/admin/auditlog?action=user.create").await;
    assert_eq!(told.json["entries"][0]["ip"], "198.51.100.7", "{told:?}");
}

#[test]
fn without_its_names_it_says_all_that_is_missing() {
    let output = command(&["--port", "0"]).env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for key in ["PORTCULLIS_TABLE", "PORTCULLIS_UPLOAD_BUCKET", "PORTCULLIS_SIGNING_SECRET_ID", "PORTCULLIS_SCAN_QUEUE_URL"] {
        assert_eq!(said.matches(&format!("`{key}` is not set")).count(), 1, "{said}");
    }
}
