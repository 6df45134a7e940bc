//! Batches over HTTP (contract §10.13, §2.9, §5.7).

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique};
use crate::target::Target;
use crate::ways_in::presign_with;
use crate::webhooks::Receiver;

pub async fn post(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(client.request(Method::POST, path), |request, (name, value)| request.header(*name, *value));
    send(request.header("Content-Length", "0")).await
}

/// Opens a batch that must be accepted; its id.
async fn open(client: &Client, headers: &[(&str, &str)]) -> String {
    let answer = post(client, "/file/batch", headers).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let id = answer.json["batch_id"].as_str().unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()), "{id}");
    id
}

/// A poll, which must have every field that a strict client wants.
pub async fn poll(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_batch(&answer.json);
    assert!(!answer.text.contains(":null") && !answer.text.contains("\": "), "{}", answer.text);
    answer.json
}

/// The shape of contract §2.9 in the types that CL-cpp demands.
pub fn assert_batch(json: &Value) {
    let strings = ["/batch_id", "/user_data", "/process_info/blocked_reason", "/process_info/profile", "/process_info/result"];
    let more = ["/process_info/user_agent", "/process_info/username", "/scan_results/batch_id", "/scan_results/scan_all_result_a"];
    for pointer in strings.iter().chain(&more).chain(&["/scan_results/start_time"]) {
        assert!(json.pointer(pointer).is_some_and(Value::is_string), "{pointer} in {json}");
    }
    let numbers = ["/scan_results/scan_all_result_i", "/scan_results/total_avs", "/scan_results/total_time", "/batch_files/batch_count"];
    for pointer in numbers.iter().chain(&["/batch_files/first_index", "/batch_files/page_size"]) {
        assert!(json.pointer(pointer).is_some_and(|value| value.is_i64() || value.is_u64()), "{pointer} in {json}");
    }
    assert!(json["is_closed"].is_boolean() && json["process_info"]["file_type_skipped_scan"].is_boolean(), "{json}");
    for file in json["batch_files"]["files_in_batch"].as_array().unwrap() {
        for name in ["data_id", "display_name", "file_type", "file_type_description", "scan_all_result_a"] {
            assert!(file[name].is_string(), "{name} in {file}");
        }
        for name in ["detected_by", "file_size", "progress_percentage", "scan_all_result_i", "scanned_with"] {
            assert!(file[name].is_u64(), "{name} in {file}");
        }
        let process = &file["process_info"];
        assert!(process["blocked_reason"].is_string() && process["result"].is_string() && process["verdicts"].is_array(), "{file}");
        assert_eq!(process["progress_percentage"], file["progress_percentage"], "{file}");
    }
}

/// Polls until every file of the batch has ended.
pub async fn finished(client: &Client, id: &str) -> Value {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let batch = poll(client, &format!("/file/batch/{id}?size=500")).await;
        if batch["process_info"]["result"] != "Processing" {
            return batch;
        }
        assert_eq!((&batch["scan_results"]["scan_all_result_i"], &batch["process_info"]["blocked_reason"]), (&json!(255), &json!("")));
        assert!(Instant::now() < end, "the batch does not end: {batch}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_batch_from_its_creation_to_its_close() {
    let client = Target::client();
    let id = open(&client, &[("user-data", "ticket%2012%20gr%C3%BCn"), ("user_agent", "mdicapserver"), ("rule", "Tolerant")]).await;
    let empty = poll(&client, &format!("/file/batch/{id}")).await;
    assert_eq!((&empty["process_info"]["result"], &empty["batch_files"]["batch_count"]), (&json!("Processing"), &json!(0)), "nothing is proven yet");
    assert_eq!((&empty["user_data"], &empty["process_info"]["username"]), (&json!("ticket 12 grün"), &json!("LOCAL/admin")));

    let first = client.submit(unique("first"), &[("filename", "first.txt"), ("batch", &id)]).await;
    // One that has no content yet: the batch can not be finished.
    let waiting = presign_with(&client, &[("filename", "second.txt"), ("batch", &id)]).await;
    let second = waiting["data_id"].as_str().unwrap();
    let result = client.result(&first).await;
    assert_eq!((&result["process_info"]["profile"], &result["process_info"]["user_agent"]), (&json!("Tolerant"), &json!("mdicapserver")));
    for _ in 0..3 {
        let early = post(&client, &format!("/file/batch/{id}/close"), &[]).await;
        assert_eq!((early.status.as_u16(), early.err()), (400, "Batch has unfinished files."));
    }
    let running = poll(&client, &format!("/metascan_rest/file/batch/{id}")).await;
    assert_eq!(
        (&running["process_info"]["result"], &running["is_closed"], &running["scan_results"]["total_time"]),
        (&json!("Processing"), &json!(false), &json!(-1))
    );
    assert_eq!(crate::ways_in::upload(&waiting, unique("second"), &[]).await, StatusCode::CREATED);

    let done = finished(&client, &id).await;
    assert_eq!(
        (&done["process_info"]["result"], &done["scan_results"]["scan_all_result_i"], &done["is_closed"]),
        (&json!("Allowed"), &json!(0), &json!(false))
    );
    let files = done["batch_files"]["files_in_batch"].as_array().unwrap();
    assert_eq!(files.iter().map(|file| file["data_id"].as_str().unwrap()).collect::<Vec<_>>(), [&first, second], "in the order of submission");
    assert_eq!(
        (&files[0]["display_name"], &files[0]["file_type"], &files[0]["progress_percentage"]),
        (&json!("first.txt"), &json!("text/plain"), &json!(100))
    );
    let page = poll(&client, &format!("/file/batch/{id}?first=1&size=1")).await["batch_files"].clone();
    assert_eq!((&page["first_index"], &page["page_size"], &page["batch_count"]), (&json!(1), &json!(1), &json!(2)));
    assert_eq!(page["files_in_batch"].as_array().unwrap().len(), 1);
    assert_eq!(page["files_in_batch"][0]["data_id"], second);
    assert_eq!(client.get(&format!("/file/batch/{id}?first=x")).await.status, StatusCode::BAD_REQUEST);

    let closed = post(&client, &format!("/file/batch/{id}/close"), &[]).await;
    assert_eq!((closed.status, &closed.json["is_closed"]), (StatusCode::OK, &json!(true)));
    assert_batch(&closed.json);
    assert_eq!(post(&client, &format!("/file/batch/{id}/close"), &[]).await.json, closed.json, "closed again is the same");
    assert_eq!(poll(&client, &format!("/file/batch/{id}")).await, closed.json);
    let late = client.post_file(unique("late"), &[("batch", &id)]).await;
    assert_eq!((late.status.as_u16(), late.err()), (400, "Batch is closed."));
}

#[tokio::test]
async fn one_bad_file_of_thirty_blocks_the_batch() {
    let client = Target::client();
    let id = open(&client, &[]).await;
    let files = join_all((0..30).map(|n| {
        let (client, id) = (client.clone(), id.clone());
        let content = if n == 17 { eicar() } else { unique("one of many") };
        async move { client.submit(content, &[("filename", &format!("{n}.txt")), ("batch", &id)]).await }
    }))
    .await;
    let done = finished(&client, &id).await;
    assert_eq!((&done["process_info"]["result"], &done["process_info"]["blocked_reason"]), (&json!("Blocked"), &json!("Infected")));
    assert_eq!((&done["scan_results"]["scan_all_result_i"], &done["batch_files"]["batch_count"]), (&json!(1), &json!(30)));
    let listed = done["batch_files"]["files_in_batch"].as_array().unwrap();
    assert!(files.iter().all(|id| listed.iter().filter(|file| file["data_id"] == **id).count() == 1), "every file once: {done}");
    let bad: Vec<_> = listed.iter().filter(|file| file["process_info"]["result"] != "Allowed").collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(
        (&bad[0]["display_name"], &bad[0]["scan_all_result_a"], &bad[0]["process_info"]["verdicts"]),
        (&json!("17.txt"), &json!("Infected"), &json!(["Infected"]))
    );
    assert!(bad[0]["detected_by"].as_u64() >= Some(1) && bad[0]["scanned_with"].as_u64() >= bad[0]["detected_by"].as_u64());
    assert_eq!(poll(&client, &format!("/file/batch/{id}")).await["batch_files"]["page_size"], 50);
}

#[tokio::test]
async fn both_paths_cancel_a_batch_with_its_files() {
    let client = Target::client();
    for path in ["/file/batch", "/file"] {
        let id = open(&client, &[]).await;
        let done = client.submit(unique("ended before"), &[("batch", &id)]).await;
        client.result(&done).await;
        let waiting = presign_with(&client, &[("filename", "waits"), ("batch", &id)]).await;
        for again in 0..2 {
            let answer = post(&client, &format!("{path}/{id}/cancel"), &[]).await;
            assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ &*id: "cancelled" })), "{path} {again}");
        }
        let batch = finished(&client, &id).await;
        assert_eq!((&batch["is_closed"], &batch["process_info"]["blocked_reason"]), (&json!(true), &json!("Canceled")), "{path}");
        let ends: Vec<_> = batch["batch_files"]["files_in_batch"].as_array().unwrap().iter().map(|file| file["scan_all_result_i"].clone()).collect();
        assert_eq!(ends, [json!(0), json!(19)], "what had ended stays");
        assert_eq!(verdict(&client.result(waiting["data_id"].as_str().unwrap()).await).0, 19);
        let late = client.post_file(unique("late"), &[("batch", &id)]).await;
        assert_eq!((late.status.as_u16(), late.err()), (400, "Batch is closed."));
        assert_eq!(post(&client, &format!("/file/batch/{id}/close"), &[]).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_empty_batch_proves_nothing() {
    let client = Target::client();
    let id = open(&client, &[]).await;
    let closed = post(&client, &format!("/file/batch/{id}/close"), &[]).await;
    assert_eq!((&closed.json["process_info"]["result"], &closed.json["process_info"]["blocked_reason"]), (&json!("Blocked"), &json!("Not Scanned")));
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_in_its_batch() {
    let target = Target::get();
    if !target.local {
        return;
    }
    let client = Target::client();
    let id = open(&client, &[]).await;
    let head = format!("POST /file HTTP/1.1\r\nHost: x\r\napikey: {}\r\nbatch: {id}\r\nContent-Length: 100000\r\n\r\nonly this", target.apikey);
    let mut stream = std::net::TcpStream::connect(target.url.trim_start_matches("http://")).unwrap();
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(stream);
    let good = client.submit(unique("again"), &[("batch", &id)]).await;
    let done = finished(&client, &id).await;
    assert_eq!(done["batch_files"]["batch_count"], 1, "{done}");
    assert_eq!(done["batch_files"]["files_in_batch"][0]["data_id"], good);
    assert_eq!(done["process_info"]["result"], "Allowed");
    assert_eq!(post(&client, &format!("/file/batch/{id}/close"), &[]).await.status, StatusCode::OK, "nothing is waited for");
}

#[tokio::test]
async fn a_batch_with_an_owner_is_not_for_others() {
    let client = Target::client();
    let id = open(&client, &[]).await;
    client.submit(unique("mine"), &[("batch", &id)]).await;
    let calls = [(Method::GET, ""), (Method::POST, "/close"), (Method::POST, "/cancel")];
    for (who, status) in [(client.with_key(None), 403), (client.with_key(Some("wrong")), 400), (user(&[]).await, 403)] {
        for (method, call) in &calls {
            let answer = send(who.request(method.clone(), &format!("/file/batch/{id}{call}")).header("Content-Length", "0")).await;
            assert_eq!((answer.status.as_u16(), answer.err()), (status, "Access denied"), "{method} {call}");
        }
        let answer = who.post_file(unique("foreign"), &[("batch", &id), ("rule", "Open")]).await;
        assert_eq!((answer.status.as_u16(), answer.err()), (status, "Access denied"), "adding a file");
    }
    // Roles that see all see it, and change nothing.
    let auditor = user(&["help_desk"]).await;
    assert_eq!(poll(&auditor, &format!("/file/batch/{id}")).await["batch_files"]["batch_count"], 1);
    assert_eq!(post(&auditor, &format!("/file/batch/{id}/cancel"), &[]).await.status, StatusCode::FORBIDDEN);

    let open_to_all = client.with_key(None);
    let id = open(&open_to_all, &[("rule", "Open")]).await;
    open_to_all.submit(unique("anyone's"), &[("batch", &id)]).await;
    assert_eq!(finished(&open_to_all, &id).await["process_info"]["username"], "");
    assert_eq!(post(&open_to_all, &format!("/file/batch/{id}/close"), &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_said() {
    let client = Target::client();
    for unknown in [uuid::Uuid::new_v4().simple().to_string(), "nonsense".to_owned(), "%ff".to_owned()] {
        for answer in [
            client.get(&format!("/file/batch/{unknown}")).await,
            post(&client, &format!("/file/batch/{unknown}/close"), &[]).await,
            post(&client, &format!("/file/batch/{unknown}/cancel"), &[]).await,
        ] {
            assert_eq!((answer.status.as_u16(), answer.err()), (404, "Batch not found"), "{unknown}");
        }
        let answer = client.post_file(unique("x"), &[("batch", &unknown)]).await;
        assert_eq!((answer.status.as_u16(), answer.err()), (404, "Batch not found"), "{unknown}");
    }
    assert_eq!(post(&client, "/file/batch", &[("rule", "No such rule")]).await.err(), "Rule not found.");
    assert_eq!(post(&client.with_key(None), "/file/batch", &[]).await.status, StatusCode::BAD_REQUEST);
    let encoded = "%C3%BC".repeat(512);
    let id = open(&client, &[("user-data", &encoded)]).await;
    assert_eq!(poll(&client, &format!("/file/batch/{id}")).await["user_data"].as_str().unwrap().len(), 1024);
    let answer = post(&client, "/file/batch", &[("user-data", &format!("{encoded}x"))]).await;
    assert_eq!((answer.status.as_u16(), answer.err()), (400, "The user-data header is larger than 1024 bytes."));
    // A batch's id is no file's.
    assert_eq!(client.get(&format!("/file/{id}")).await.json, json!({ &*id: "Not Found" }));
}

/// The text of a signed report.
async fn report(client: &Client, id: &str) -> String {
    let answer = client.request(Method::GET, &format!("/file/batch/{id}/certificate")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    answer.text().await.unwrap()
}

/// The public key of an Ed25519 certificate: 32 bytes behind its algorithm (RFC 8410).
fn public_key(pem: &str) -> (Vec<u8>, Vec<u8>) {
    use base64::Engine;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let key_info = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let at = der.windows(key_info.len()).position(|window| window == key_info).unwrap() + key_info.len();
    (der[at..at + 32].to_vec(), der)
}

#[tokio::test]
async fn a_signed_report_lists_the_batch_and_verifies() {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde::Deserialize;
    let client = Target::client();
    let hostile = "evil%22:x%0A...%0A---%0Asignature:%22.txt";
    let id = open(&client, &[("user-data", "a%22b%0A...%0A\u{e9}")]).await;
    let early = client.get(&format!("/file/batch/{id}/certificate")).await;
    assert_eq!((early.status.as_u16(), early.err()), (400, "Batch is not closed."));
    let good = client.submit(unique("good"), &[("batch", &id), ("filename", hostile)]).await;
    let bad = client.submit(eicar(), &[("batch", &id), ("filename", "eicar.com")]).await;
    finished(&client, &id).await;
    let closed = post(&client, &format!("/file/batch/{id}/close"), &[]).await.json;
    let text = report(&client, &id).await;
    assert_eq!(report(&client, &id).await, text, "the same report every time");

    let (first, second) = text.split_at(text.find("\n...\n").unwrap() + 5);
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect();
    let [said, signed] = &documents[..] else { panic!("{text}") };
    assert!(first.starts_with("---\n") && second.starts_with("---\nsignature: "));
    assert_eq!((&said["batch_id"], &said["user_data"]), (&closed["batch_id"], &closed["user_data"]));
    assert_eq!(said["user_data"], "a\"b\n...\n\u{e9}");
    for field in ["blocked_reason", "file_type_skipped_scan", "profile", "result", "user_agent"] {
        assert_eq!(said["process_info"][field], closed["process_info"][field], "{field}");
    }
    for field in ["scan_all_result_a", "scan_all_result_i", "start_time", "total_avs", "total_time"] {
        assert_eq!(said["scan_results"][field], closed["scan_results"][field], "{field}");
    }
    let files = said["batch_files"]["files_in_batch"].as_array().unwrap();
    assert_eq!(files.iter().map(|file| file["data_id"].as_str().unwrap()).collect::<Vec<_>>(), [&good, &bad]);
    for (file, listed) in files.iter().zip(closed["batch_files"]["files_in_batch"].as_array().unwrap()) {
        assert_eq!((&file["scan_all_result_i"], &file["file_size"]), (&listed["scan_all_result_i"], &listed["file_size"]));
        assert_eq!(file["process_info"]["result"], listed["process_info"]["result"]);
    }
    assert_eq!((&files[1]["display_name"], &files[1]["scan_all_result_i"]), (&json!("eicar.com"), &json!(1)));
    assert_eq!(files[1]["sha256"], crate::target::sha256(&eicar()));
    assert!(files[0]["display_name"].as_str().unwrap().starts_with("evil%22%3Ax"), "{}", files[0]);

    let (key, der) = public_key(signed["certificate"].as_str().unwrap());
    let signature = hex::decode(signed["signature"].as_str().unwrap()).unwrap();
    let verifier = UnparsedPublicKey::new(&ED25519, key);
    verifier.verify(first.as_bytes(), &signature).unwrap();
    assert!(verifier.verify(first.replace("Blocked", "Allowed").as_bytes(), &signature).is_err(), "a changed report does not verify");
    let fingerprint: [u8; 20] = <sha1::Sha1 as sha1::Digest>::digest(&der).into();
    assert_eq!(said["cert_sha1_fingerprint"], hex::encode(fingerprint));
    // The certificate is signed with its own key: its signature is the last 64 bytes, over its first element.
    let header = |at: usize| if der[at + 1] < 0x80 { 2 } else { 2 + usize::from(der[at + 1] & 0x7f) };
    let length = |at: usize| {
        let bytes = &der[at + 1..at + header(at)];
        if bytes.len() == 1 { usize::from(bytes[0]) } else { bytes[1..].iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte)) }
    };
    let body = header(0);
    verifier.verify(&der[body..body + header(body) + length(body)], &der[der.len() - 64..]).unwrap();

    let stranger = client.with_key(None).get(&format!("/file/batch/{id}/certificate")).await;
    assert_eq!((stranger.status.as_u16(), stranger.err()), (403, "Access denied"));
    let unknown = client.get("/file/batch/0123456789abcdef0123456789abcdef/certificate").await;
    assert_eq!((unknown.status.as_u16(), unknown.err()), (404, "Batch not found"));
}

#[tokio::test]
async fn cancelled_and_empty_batches_are_certified_as_what_they_are() {
    let client = Target::client();
    let id = open(&client, &[]).await;
    presign_with(&client, &[("filename", "never sent"), ("batch", &id)]).await;
    post(&client, &format!("/file/batch/{id}/cancel"), &[]).await;
    let text = report(&client, &id).await;
    assert!(text.contains("\n  result: \"Blocked\"\n") && text.contains("scan_all_result_a: \"Canceled\""), "{text}");
    let empty = open(&client, &[]).await;
    post(&client, &format!("/file/batch/{empty}/close"), &[]).await;
    assert!(report(&client, &empty).await.contains("\n  batch_count: 0\n  files_in_batch: []\n"));
}

#[tokio::test]
async fn close_with_callback_tells_once_when_the_last_file_has_ended() {
    let client = Target::client();
    let receiver = Receiver::answering(&[200]).await;
    let id = open(&client, &[("user-data", "told")]).await;
    let path = format!("/file/batch/{id}/close/callback");
    for n in 0..6 {
        client.submit(unique("told of"), &[("batch", &id), ("filename", &format!("{n}.txt"))]).await;
    }
    let waiting = presign_with(&client, &[("filename", "last.txt"), ("batch", &id)]).await;

    let none = post(&client, &path, &[]).await;
    assert_eq!((none.status.as_u16(), none.err()), (403, "No callback url given."));
    for wrong in ["ftp://127.0.0.1/", "http://user@127.0.0.1:1/", "http://169.254.169.254/", "nonsense"] {
        let answer = post(&client, &path, &[("callbackurl", wrong)]).await;
        assert_eq!((answer.status.as_u16(), answer.err()), (400, "Callback url is invalid."), "{wrong}");
    }
    let stranger = post(&client.with_key(None), &path, &[("callbackurl", &receiver.url)]).await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    let unknown = post(&client, "/file/batch/0123456789abcdef0123456789abcdef/close/callback", &[("callbackurl", &receiver.url)]).await;
    assert_eq!((unknown.status.as_u16(), unknown.err()), (404, "Batch not found"));

    let set = post(&client, &path, &[("callbackurl", &receiver.url)]).await;
    assert_eq!((set.status, &set.json), (StatusCode::OK, &json!({ &*id: "Callback url set" })));
    let late = client.post_file(unique("late"), &[("batch", &id)]).await;
    assert_eq!((late.status.as_u16(), late.err()), (400, "Batch is closed."));
    assert_eq!((&poll(&client, &format!("/file/batch/{id}")).await["is_closed"], receiver.all().len()), (&json!(false), 0), "one file is missing");
    assert_eq!(crate::ways_in::upload(&waiting, eicar(), &[]).await, StatusCode::CREATED);

    let told: Value = serde_json::from_slice(&receiver.wait_for(1).await[0].body).unwrap();
    assert_batch(&told);
    assert_eq!((&told["is_closed"], &told["process_info"]["blocked_reason"], &told["user_data"]), (&json!(true), &json!("Infected"), &json!("told")));
    assert_eq!(poll(&client, &format!("/file/batch/{id}")).await, told, "what a poll answers");
    let again = post(&client, &path, &[("callbackurl", &receiver.url)]).await;
    assert_eq!((again.status.as_u16(), again.err()), (400, "Batch is closed."));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(receiver.all().len(), 1, "once");
}

#[tokio::test]
async fn a_batch_that_is_finished_already_or_cancelled_is_told_of_too() {
    let client = Target::client();
    let receiver = Receiver::answering(&[200]).await;
    let id = open(&client, &[]).await;
    client.submit(unique("ended"), &[("batch", &id)]).await;
    finished(&client, &id).await;
    assert_eq!(post(&client, &format!("/file/batch/{id}/close/callback"), &[("callbackurl", &receiver.url)]).await.status, StatusCode::OK);
    let told: Value = serde_json::from_slice(&receiver.wait_for(1).await[0].body).unwrap();
    assert_eq!((&told["batch_id"], &told["is_closed"], &told["process_info"]["result"]), (&json!(id), &json!(true), &json!("Allowed")));

    let id = open(&client, &[]).await;
    presign_with(&client, &[("filename", "never sent"), ("batch", &id)]).await;
    assert_eq!(post(&client, &format!("/file/batch/{id}/close/callback"), &[("callbackurl", &receiver.url)]).await.status, StatusCode::OK);
    assert_eq!(post(&client, &format!("/file/batch/{id}/cancel"), &[]).await.status, StatusCode::OK);
    let told: Value = serde_json::from_slice(&receiver.wait_for(2).await[1].body).unwrap();
    assert_eq!((&told["batch_id"], &told["process_info"]["blocked_reason"]), (&json!(id), &json!("Canceled")));
}
