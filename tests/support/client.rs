//! A client of Core's API, as CI plugins and SDKs are: submit, poll, read.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::description;

/// A scan that takes longer than this has failed its test.
const PATIENCE: Duration = Duration::from_secs(90);

/// Base URL and key.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub key: Option<String>,
    http: reqwest::Client,
}

/// Status and JSON body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub json: Value,
    pub text: String,
}

impl Answer {
    /// The `err` text.
    pub fn err(&self) -> &str {
        self.json["err"].as_str().unwrap_or_else(|| panic!("no err in {self:?}"))
    }
}

impl Client {
    pub fn new(url: impl Into<String>, key: Option<&str>) -> Self {
        let url = url.into();
        description::served_at(&url);
        Self { url, key: key.map(str::to_owned), http: reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap() }
    }

    /// The same server, another key.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.header("apikey", key),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        // Real clients send this type with their JSON.
        let request = self.request(Method::POST, path).header("Content-Type", "application/x-www-form-urlencoded");
        send(request.body(body.to_string())).await
    }

    pub async fn put_json(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// `POST /file` with these headers.
    pub async fn post_file(&self, content: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let request = headers.iter().fold(self.request(Method::POST, "/file"), |request, (name, value)| request.header(*name, *value));
        send(request.body(content)).await
    }

    /// Submits a file that must be accepted; its id.
    pub async fn submit(&self, content: Vec<u8>, headers: &[(&str, &str)]) -> String {
        let answer = self.post_file(content, headers).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json["data_id"].as_str().unwrap().to_owned()
    }

    /// Polls as Jenkins does until there is a verdict. Every poll must be 200 and have the whole shape.
    pub async fn result(&self, id: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(&format!("/file/{id}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            assert_minimum(&answer);
            if answer.json["process_info"]["progress_percentage"] == 100 {
                assert_eq!(answer.json["scan_results"]["progress_percentage"], 100);
                return answer.json;
            }
            assert!(answer.text.contains(r#""result":"Processing""#), "{answer:?}");
            assert!(Instant::now() < end, "no verdict in time: {answer:?}");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Submits and waits for the verdict.
    pub async fn scan(&self, content: Vec<u8>, headers: &[(&str, &str)]) -> Value {
        let id = self.submit(content, headers).await;
        self.result(&id).await
    }
}

/// Sends, and holds what every answer of the API must hold: JSON with its type, `err` on errors.
pub async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let asked = (request.method().clone(), request.url().path().to_owned());
    let answer = read(client.execute(request).await.unwrap()).await;
    description::check(asked.0.as_str(), &asked.1, answer.status.as_u16(), &answer.json);
    if answer.status.is_client_error() || answer.status.is_server_error() {
        // The contract's one exception is the 403 of /logout.
        assert!(answer.json["err"].is_string() || answer.json["response"].is_string() || answer.json["ready"].is_boolean(), "{answer:?}");
    }
    answer
}

async fn read(response: Response) -> Answer {
    let status = response.status();
    let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let text = response.text().await.unwrap();
    if status == reqwest::StatusCode::NOT_MODIFIED {
        // It has no body (RFC 9110 §15.4.5).
        assert_eq!(text, "");
        return Answer { status, json: Value::Null, text };
    }
    assert!(kind.contains("application/json"), "{status} {kind}: {text}");
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    Answer { status, json, text }
}

/// Contract §8.15: what must be there from the first poll to the last.
pub fn assert_minimum(answer: &Answer) {
    let json = &answer.json;
    let missing = |pointer: &str| format!("{pointer} in {}", answer.text);
    let strings = [
        "/data_id",
        "/file_info/display_name",
        "/file_info/file_type",
        "/file_info/file_type_description",
        "/file_info/md5",
        "/file_info/sha1",
        "/file_info/sha256",
        "/file_info/upload_timestamp",
        "/process_info/result",
        "/process_info/blocked_reason",
        "/process_info/profile",
        "/process_info/user_agent",
        "/process_info/post_processing/actions_failed",
        "/process_info/post_processing/actions_ran",
        "/process_info/post_processing/converted_destination",
        "/process_info/post_processing/converted_to",
        "/process_info/post_processing/copy_move_destination",
        "/scan_results/data_id",
        "/scan_results/scan_all_result_a",
        "/scan_results/start_time",
    ];
    let integers = [
        "/file_info/file_size",
        "/process_info/progress_percentage",
        "/process_info/queue_time",
        "/process_info/processing_time",
        "/scan_results/progress_percentage",
        "/scan_results/scan_all_result_i",
        "/scan_results/total_avs",
        "/scan_results/total_time",
    ];
    for pointer in strings {
        assert!(json.pointer(pointer).is_some_and(Value::is_string), "{}", missing(pointer));
    }
    for pointer in integers {
        assert!(json.pointer(pointer).is_some_and(|value| value.is_i64() || value.is_u64()), "{}", missing(pointer));
    }
    assert!(json["process_info"]["file_type_skipped_scan"].is_boolean());
    assert!(json["scan_results"]["total_avs"].as_u64() >= Some(1));
    assert!(json["scan_results"]["scan_details"].is_object());
    assert!(!answer.text.contains(":null"), "{}", answer.text);
    assert!(!answer.text.contains("\": "), "compact JSON: {}", answer.text);
}

/// Main code, `result` and `blocked_reason` in one line.
pub fn verdict(result: &Value) -> (u64, &str, &str) {
    (
        result["scan_results"]["scan_all_result_i"].as_u64().unwrap(),
        result["process_info"]["result"].as_str().unwrap(),
        result["process_info"]["blocked_reason"].as_str().unwrap(),
    )
}
