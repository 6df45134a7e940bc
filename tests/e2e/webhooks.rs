//! Webhooks: delivered, signed, retried, told of, sent again; never to an address that is not allowed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::aws::Clients;
use portcullis_local::host::Host;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::{Client, send};
use crate::support::files::{unique, zip};
use crate::support::own_host;
use crate::target::Target;
use crate::ways_in::presign;

/// A webhook that did not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits of the retries in these tests, in ms.
const DELAY: u64 = 300;
const PROGRESSION: u64 = 200;

/// A request as the receiver got it.
#[derive(Clone, Debug)]
pub struct Received {
    at: Instant,
    path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// A receiver on loopback: answers these statuses, one after the other, the last one for ever; none = says nothing.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub async fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind(own_host::loopback()).await.unwrap();
        let url = format!("http://{}/hook?team=1", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (log, statuses) = (Arc::clone(&received), statuses.to_vec());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, statuses) = (Arc::clone(&log), statuses.clone());
                tokio::spawn(async move { serve(socket, &log, &statuses).await });
            }
        });
        Self { url, received }
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let end = Instant::now() + PATIENCE;
        while self.all().len() < count {
            assert!(Instant::now() < end, "{} of {count} requests came: {:?}", self.all().len(), self.all());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.all()
    }
}

async fn serve(mut socket: TcpStream, log: &Mutex<Vec<Received>>, statuses: &[u16]) {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 65536];
    loop {
        let whole = loop {
            if let Some(whole) = parse(&bytes) {
                break whole;
            }
            match socket.read(&mut piece).await {
                Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
                _ => return,
            }
        };
        bytes.clear();
        let place = {
            let mut log = log.lock().unwrap();
            log.push(whole);
            log.len() - 1
        };
        let Some(status) = statuses.get(place).or(statuses.last()) else {
            tokio::time::sleep(PATIENCE).await; // takes the request and says nothing
            return;
        };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    assert_eq!(first.next(), Some("POST"));
    let path = first.next()?.to_owned();
    let headers: BTreeMap<_, _> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(Received { at: Instant::now(), path, headers, body })
}

/// HMAC-SHA256 as RFC 2104 writes it down, without the crate that signs.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let digest = |pad: u8, text: &[u8]| Sha256::new().chain_update(block.map(|byte| byte ^ pad)).chain_update(text).finalize();
    digest(0x5c, &digest(0x36, text)).to_vec()
}

/// Whether one of the signatures is that of this secret: the recipe of the README.
fn verifies(received: &Received, secret: &str) -> bool {
    let mut signed = format!("{}.{}.", received.headers["webhook-id"], received.headers["webhook-timestamp"]).into_bytes();
    signed.extend_from_slice(&received.body);
    let wanted = format!("v1,{}", STANDARD.encode(hmac(&STANDARD.decode(secret).unwrap(), &signed)));
    received.headers["webhook-signature"].split(' ').any(|signature| signature == wanted)
}

async fn secret_of(clients: &Clients, id: &str) -> String {
    clients.secrets().get_secret_value().secret_id(id).send().await.unwrap().secret_string.unwrap()
}

async fn configure(client: &Client, settings: &Value) -> crate::support::client::Answer {
    send(client.request(Method::PUT, "/admin/config/webhook").body(settings.to_string())).await
}

/// The client, with short waits in force.
async fn client() -> Client {
    let client = Target::client();
    loop {
        let answer = configure(&client, &json!({ "maxretrytime": 3, "delayduration": DELAY, "deplayprogression": PROGRESSION })).await;
        // Other tests do the same at the same time, and one of two is told so.
        if answer.status != StatusCode::CONFLICT {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            return client;
        }
    }
}

async fn told(client: &Client, id: &str, state: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = client.get(&format!("/file/webhook/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        if answer.json["state"] == state {
            return answer.json;
        }
        assert!(Instant::now() < end, "not {state}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_the_result_the_third_time() {
    let client = client().await;
    let receiver = Receiver::answering(&[500, 500, 200]).await;
    let id = client.submit(zip(&[("a.txt", &unique("webhook"))]), &[("filename", "a.zip"), ("callbackurl", &receiver.url)]).await;
    let requests = receiver.wait_for(3).await;
    let state = told(&client, &id, "delivered").await;
    assert_eq!(
        (&state["data_id"], &state["url"], &state["status_code"], &state["attempts"]),
        (&json!(id), &json!(receiver.url), &json!(200), &json!(3))
    );
    assert!(state["request_time"].as_str().unwrap().ends_with('Z') && state["next_attempt"] == "", "{state}");

    // Spacing: d, then d + p (contract §10, check 14).
    let gaps: Vec<_> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps[0] >= Duration::from_millis(DELAY) && gaps[1] >= Duration::from_millis(DELAY + PROGRESSION), "{gaps:?}");

    // The very result that a poll answers, children included.
    let result = client.get(&format!("/file/{id}")).await;
    let secret = secret_of(&Target::get().clients(), &Target::get().webhook_secret).await;
    for request in &requests {
        // Other tests change definitions meanwhile: what has become outdated since is not compared.
        let lasting = |mut result: Value| {
            result["process_info"].as_object_mut().unwrap().remove("outdated_data");
            result
        };
        assert_eq!(lasting(serde_json::from_slice(&request.body).unwrap()), lasting(result.json.clone()));
        assert_eq!((request.path.as_str(), request.headers["content-type"].as_str()), ("/hook?team=1", "application/json"));
        assert_eq!(request.headers["webhook-id"], id, "the same for every attempt");
        assert!(verifies(request, &secret), "{request:?}");
        assert!(!verifies(&Received { body: b"{}".to_vec(), ..request.clone() }, &secret));
    }
    assert!(result.json["extracted_files"]["files_in_archive"][0]["data_id"].is_string());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.all().len(), 3, "delivered is delivered");

    // Sent again when somebody asks for it.
    let again = client.request(Method::POST, &format!("/file/webhook/{id}/resend")).header("Content-Length", "0");
    let answer = send(again).await;
    assert_eq!((answer.status, &answer.json["state"]), (StatusCode::OK, &json!("pending")), "{answer:?}");
    let requests = receiver.wait_for(4).await;
    assert_eq!((&requests[3].body, &requests[3].headers["webhook-id"]), (&requests[0].body, &requests[0].headers["webhook-id"]));
    assert_eq!(told(&client, &id, "delivered").await["attempts"], 1);
}

#[tokio::test]
async fn a_receiver_that_never_takes_it_is_given_up_and_redirects_are_not_followed() {
    let client = client().await;
    let receiver = Receiver::answering(&[302]).await;
    let id = client.submit(unique("redirected"), &[("callbackurl", &receiver.url)]).await;
    receiver.wait_for(4).await;
    let state = told(&client, &id, "failed").await;
    assert_eq!((&state["status_code"], &state["attempts"]), (&json!(302), &json!(4)));
}

#[tokio::test]
async fn before_there_is_a_verdict_the_delivery_is_pending_and_without_a_callback_there_is_none() {
    let client = client().await;
    let receiver = Receiver::answering(&[200]).await;
    let presigned = presign(&[("callbackurl", &receiver.url)]).await;
    let path = format!("/file/webhook/{}", presigned["data_id"].as_str().unwrap());
    let state = client.get(&path).await;
    assert_eq!((&state.json["request_time"], &state.json["status_code"], &state.json["url"]), (&json!(""), &json!(0), &json!(receiver.url)));
    let resend = send(client.request(Method::POST, &format!("{path}/resend")).header("Content-Length", "0")).await;
    assert_eq!(resend.status, StatusCode::CONFLICT);
    let stranger = client.with_key(None).get(&path).await;
    assert_eq!((stranger.status, stranger.err()), (StatusCode::FORBIDDEN, "Access denied"));
    assert_eq!(client.with_key(Some("no such key")).get(&path).await.status, StatusCode::BAD_REQUEST);

    let id = client.submit(unique("no callback"), &[]).await;
    for unknown in [id.as_str(), "0123456789abcdef0123456789abcdef", "no-id"] {
        let answer = client.get(&format!("/file/webhook/{unknown}")).await;
        assert_eq!((answer.status, answer.err()), (StatusCode::NOT_FOUND, "Not found"));
    }
}

#[tokio::test]
async fn urls_that_lead_inside_are_refused_at_submission() {
    let client = Target::client();
    for url in [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/",
        "http://[fd00:ec2::254]/",
        "ftp://a.example/",
        "a.example",
        "http://u:p@a.example/",
        "http://a.example:22/",
    ] {
        for (header, text) in [("callbackurl", "Callback url is invalid."), ("sanitizedurl", "Sanitized url is invalid.")] {
            let answer = client.post_file(b"x".to_vec(), &[(header, url)]).await;
            assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, text), "{header}: {url}");
        }
    }
    let taken = client.post_file(unique("sanitized"), &[("sanitizedurl", "https://store.example/put?key=%2Fa")]).await;
    assert_eq!(taken.status, StatusCode::OK, "{taken:?}");
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_hold_up_the_webhooks_of_others() {
    let client = client().await;
    let (hanging, prompt) = (Receiver::answering(&[]).await, Receiver::answering(&[200]).await);
    for n in 0..12 {
        client.submit(unique(&format!("hanging {n}")), &[("callbackurl", &hanging.url)]).await;
    }
    hanging.wait_for(12).await;
    // All of them wait for an answer now, and will for ten seconds.
    let id = client.submit(unique("prompt"), &[("callbackurl", &prompt.url)]).await;
    client.result(&id).await;
    let finished = Instant::now();
    prompt.wait_for(1).await;
    // Stand-ins for AWS invoke a function for one batch of messages after the other.
    let limit = if Target::get().local { 5 } else { 30 };
    assert!(finished.elapsed() < Duration::from_secs(limit), "{:?}", finished.elapsed());
}

#[tokio::test]
async fn the_settings_are_shown_in_both_spellings_and_nonsense_is_named() {
    let client = client().await;
    let shown = client.get("/admin/config/webhook").await;
    let wanted = json!({ "maxretrytime": 3, "delayduration": DELAY, "deplayprogression": PROGRESSION, "delayprogression": PROGRESSION });
    assert_eq!((shown.status, &shown.json), (StatusCode::OK, &wanted));
    for (body, names) in
        [(json!({ "maxretrytime": "3" }), "`maxretrytime`"), (json!({ "delayduration": -1 }), "`delayduration`"), (json!({ "x": 1 }), "`x`")]
    {
        let answer = configure(&client, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.err().contains(names), "{answer:?}");
    }
    assert_eq!(configure(&client.with_key(None), &wanted).await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.with_key(None).get("/admin/config/webhook").await.status, StatusCode::FORBIDDEN);
}

/// What the last file of a batch with a callback causes: the batch is told of as a poll answers it.
#[tokio::test]
async fn a_batch_with_a_callback_is_told_of_when_its_last_file_has_ended() {
    use portcullis_core::domain::id::DataId;
    use portcullis_core::store::batches::Batches;

    let client = client().await;
    let receiver = Receiver::answering(&[500, 200]).await;
    let batch = send(client.request(Method::POST, "/file/batch").header("Content-Length", "0")).await.json["batch_id"].as_str().unwrap().to_owned();
    let files = [client.submit(unique("batch one"), &[("batch", &batch)]).await, client.submit(unique("batch two"), &[("batch", &batch)]).await];
    client.result(&files[0]).await;
    let target = Target::get();
    let id = DataId::parse(&batch).unwrap();
    assert_eq!(client.get(&format!("/file/webhook/{batch}")).await.status, StatusCode::NOT_FOUND, "no callback yet");
    let batches = Batches::new(target.clients().dynamodb().clone(), &target.table);
    batches.call_back(&id, &receiver.url).await.unwrap();
    // One more file makes its end the last one: the batch takes none any more, so the callback comes with those it has.
    client.result(&files[1]).await;
    portcullis_core::announce::Announcer::new(target.queue(&target.notify_queue), batches).settle(&id, "e2e").await.unwrap();
    let requests = receiver.wait_for(2).await;
    let state = told(&client, &batch, "delivered").await;
    assert_eq!((&state["data_id"], &state["attempts"], &state["status_code"]), (&json!(batch), &json!(2), &json!(200)));
    let polled = client.get(&format!("/file/batch/{batch}")).await;
    assert_eq!(serde_json::from_slice::<Value>(&requests[1].body).unwrap(), polled.json);
    assert_eq!(polled.json["batch_files"]["batch_count"], 2, "{polled:?}");
    let secret = secret_of(&target.clients(), &target.webhook_secret).await;
    assert!(verifies(&requests[1], &secret));
}

/// A host of one's own: only it may be asked to rotate secrets or to allow nothing.
async fn own_host(name: &str, allow: &str) -> (Host, Client, Clients) {
    let overrides = [("PORTCULLIS_OUTBOUND_ALLOW", allow), ("PORTCULLIS_WORKERS", "1")];
    let host = own_host::start(&own_host::folder(name), "own-host-key", &overrides).await;
    let client = Client::new(format!("http://{}", host.addr), Some("own-host-key"));
    let clients = Clients::for_endpoint(&host.access.endpoint, &host.access.region, &host.access.access_key, &host.access.secret_key);
    (host, client, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_rotation_both_secrets_sign() {
    let (host, client, clients) = own_host("rotation", "127.0.0.0/8").await;
    let name = host.topology.secret("WebhookSecret").unwrap().name.clone();
    let old = secret_of(&clients, &name).await;
    let new = STANDARD.encode([7_u8; 32]);
    clients.secrets().put_secret_value().secret_id(&name).secret_string(&new).send().await.unwrap();
    let receiver = Receiver::answering(&[204]).await;
    client.submit(unique("rotation"), &[("callbackurl", &receiver.url)]).await;
    let request = receiver.wait_for(1).await.remove(0);
    assert_eq!(request.headers["webhook-signature"].split(' ').count(), 2);
    assert!(verifies(&request, &old) && verifies(&request, &new), "{request:?}");
    host.stop().await;
}

/// What the operator allowed yesterday may be in records of today: the address is judged again when the request is made.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_any_more_is_refused_at_once_and_not_tried_again() {
    use portcullis_core::domain::id::DataId;
    use portcullis_core::store::deliveries::{Deliveries, Facts};
    use portcullis_core::store::queue::Queue;
    use portcullis_core::webhook::{Subject, Webhook, WebhookRequest};

    let (host, client, clients) = own_host("strict", "").await;
    let receiver = Receiver::answering(&[200]).await;
    let answer = client.post_file(b"x".to_vec(), &[("callbackurl", &receiver.url)]).await;
    assert_eq!((answer.status, answer.err()), (StatusCode::BAD_REQUEST, "Callback url is invalid."));

    let id = client.submit(unique("strict"), &[]).await;
    client.result(&id).await;
    let table = host.topology.table("DataTable").unwrap().name.clone();
    let data_id = DataId::parse(&id).unwrap();
    give_callback(&clients, &table, &data_id, &receiver.url).await;
    let facts = Facts { subject: Subject::File, url: receiver.url.clone(), owner: None };
    Deliveries::new(clients.dynamodb().clone(), &table).open(&data_id, &facts, portcullis_core::clock::now_ms() + 3_600_000).await.unwrap();
    let queue = format!("{}/000000000000/{}", host.access.endpoint, host.topology.queue("NotifyQueue").unwrap().name);
    Queue::new(clients.sqs().clone(), queue).send(WebhookRequest::encode(Webhook::first(data_id, Subject::File, 0)).unwrap()).await.unwrap();
    let state = told(&client, &id, "refused").await;
    assert_eq!((&state["status_code"], &state["attempts"], &state["next_attempt"]), (&json!(0), &json!(1), &json!("")));
    assert!(receiver.all().is_empty());
    host.stop().await;
}

/// Writes a callback into a record, past the check at submission.
async fn give_callback(clients: &Clients, table: &str, id: &portcullis_core::domain::id::DataId, url: &str) {
    use aws_sdk_dynamodb::types::AttributeValue;
    let key = |name: &str| AttributeValue::S(name.to_owned());
    let (pk, sk) = (key(&format!("SCAN#{}", id.group())), key("META"));
    let got = clients.dynamodb().get_item().table_name(table).key("pk", pk.clone()).key("sk", sk.clone()).send().await.unwrap();
    let mut submission: Value = serde_json::from_str(got.item.unwrap()["submission"].as_s().unwrap()).unwrap();
    submission["wishes"]["callback_url"] = json!(url);
    let update = clients.dynamodb().update_item().table_name(table).key("pk", pk).key("sk", sk);
    update
        .update_expression("SET submission = :submission")
        .expression_attribute_values(":submission", AttributeValue::S(submission.to_string()))
        .send()
        .await
        .unwrap();
}
