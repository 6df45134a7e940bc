//! Files in parts (contract §1.4, §7.3).

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::{Target, sha256};
use crate::ways_in::{presign, upload};

async fn begin(headers: &[(&str, &str)]) -> Answer {
    let request =
        headers.iter().fold(Target::client().request(Method::POST, "/file/multipart"), |request, (name, value)| request.header(*name, *value));
    send(request.header("Content-Length", "0")).await
}

/// A session under the rule that permits it.
async fn session(headers: &[(&str, &str)]) -> String {
    let answer = begin(&[headers, &[("rule", "Parts")]].concat()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json["data_id"].as_str().unwrap().to_owned()
}

async fn part_of(client: &Client, id: &str, content: &[u8], place: (&str, &str)) -> Answer {
    let request = client.request(Method::POST, &format!("/file/multipart/{id}")).header(place.0, place.1);
    send(request.body(content.to_vec())).await
}

/// Sends part `number`, which must be accepted.
async fn part(id: &str, number: usize, content: &[u8]) {
    let answer = part_of(&Target::client(), id, content, ("part-number", &number.to_string())).await;
    assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ "data_id": id, "part": number, "status": "uploaded" })));
}

async fn status(id: &str) -> Value {
    let answer = Target::client().get(&format!("/file/multipart/{id}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json
}

async fn abort(client: &Client, id: &str) -> Answer {
    send(client.request(Method::DELETE, &format!("/file/multipart/{id}"))).await
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = uuid::Uuid::new_v4().as_u64_pair().1;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[2]
    };
    (0..bytes).map(step).collect()
}

/// Versions of the object that a session's parts became, and parts that are left.
async fn stored(id: &str) -> (usize, usize) {
    let form = presign(&[]).await;
    let bucket = form["url"].as_str().unwrap().trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let clients = Target::get().clients();
    let versions = clients.s3().list_object_versions().bucket(&bucket).prefix(format!("in/{id}")).send().await.unwrap();
    let parts = clients.s3().list_objects_v2().bucket(&bucket).prefix(format!("parts/{id}/")).send().await.unwrap();
    (versions.versions().len(), parts.contents().len())
}

#[tokio::test]
async fn parts_in_parallel_and_out_of_order_become_the_file_once() {
    let client = Target::client();
    let content = noise(200_000);
    let chunks: Vec<&[u8]> = content.chunks(10_007).collect();
    let count = chunks.len().to_string();
    let id = session(&[("filename", "in%20parts.bin"), ("file-size", &content.len().to_string()), ("part-count", &count)]).await;
    let waiting = client.get(&format!("/file/{id}")).await.json;
    assert_eq!((waiting["process_info"]["progress_percentage"].as_u64(), waiting["process_info"]["result"].as_str()), (Some(0), Some("Processing")));
    let mut sends: Vec<_> = chunks.iter().enumerate().map(|(n, chunk)| part(&id, n + 1, chunk)).collect();
    sends.reverse();
    join_all(sends).await;
    // Every message that asks for it again, at any time, does no harm.
    let queue = Target::get().queue(&Target::get().scan_queue);
    let again = json!({ "task": { "assemble": { "data_id": id } } }).to_string();
    join_all((0..10).map(|_| queue.send(again.clone()))).await;
    let result = client.result(&id).await;
    assert_eq!(verdict(&result), (0, "Allowed", ""));
    assert_eq!(
        (result["file_info"]["sha256"].as_str(), result["file_info"]["display_name"].as_str()),
        (Some(sha256(&content).as_str()), Some("in parts.bin"))
    );
    queue.send(again).await.unwrap();
    assert_eq!(verdict(&client.scan(unique("after"), &[]).await).0, 0);
    let all: Vec<usize> = (1..=chunks.len()).collect();
    let status = status(&id).await;
    assert_eq!((&status["status"], &status["uploaded_parts"], &status["uploaded_size"]), (&json!("completed"), &json!(all), &json!(content.len())));
    let end = Instant::now() + Duration::from_secs(20);
    while stored(&id).await != (1, 0) {
        assert!(Instant::now() < end, "one object and no parts: {:?}", stored(&id).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = part_of(&client, &id, b"x", ("part-number", "1")).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    assert_eq!(abort(&client, &id).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn large_parts_become_the_file() {
    let content = noise(13 * 1024 * 1024 + 1);
    let id = session(&[("parts", "3")]).await;
    let chunks: Vec<&[u8]> = content.chunks(6 * 1024 * 1024).collect();
    join_all(chunks.iter().enumerate().map(|(n, chunk)| part(&id, n + 1, chunk))).await;
    let result = Target::client().result(&id).await;
    assert_eq!((verdict(&result).0, result["file_info"]["sha256"].as_str()), (0, Some(sha256(&content).as_str())));
    assert_eq!(result["file_info"]["file_size"], content.len());
}

#[tokio::test]
async fn a_threat_is_found_across_parts_of_any_size() {
    let client = Target::client();
    let eicar = eicar();
    let halves = session(&[("file-size", "68"), ("filename", "eicar.com")]).await;
    part(&halves, 2, &eicar[30..]).await;
    part(&halves, 1, &eicar[..30]).await;
    let bytes = session(&[("part-count", "68")]).await;
    join_all(eicar.iter().enumerate().map(|(n, byte)| part(&bytes, n + 1, std::slice::from_ref(byte)))).await;
    for id in [halves, bytes] {
        assert_eq!(verdict(&client.result(&id).await), (1, "Blocked", "Infected"));
    }
}

#[tokio::test]
async fn a_part_may_be_sent_again_and_the_status_tells_what_is_missing() {
    let content = zip(&[("a.txt", &unique("resent"))]);
    let (first, second) = content.split_at(content.len() / 2);
    let size = content.len().to_string();
    let id = session(&[("x-file-size", &size), ("part-count", "2")]).await;
    let empty = status(&id).await;
    assert_eq!(
        empty,
        json!({ "data_id": id, "status": "uploading", "total_parts": 2, "uploaded_parts": [], "uploaded_size": 0, "file_size": content.len() })
    );
    part(&id, 2, b"broken off").await;
    part(&id, 2, second).await;
    let half = status(&id).await;
    assert_eq!((&half["status"], &half["uploaded_parts"], &half["uploaded_size"]), (&json!("uploading"), &json!([2]), &json!(second.len())));
    // All numbers are there, the bytes are not: the file does not begin with anything else than its own.
    part(&id, 1, &first[1..]).await;
    assert_eq!(status(&id).await["status"], "uploading");
    assert_eq!(Target::client().get(&format!("/file/{id}")).await.json["process_info"]["progress_percentage"], 0);
    part(&id, 1, first).await;
    let result = Target::client().result(&id).await;
    assert_eq!((verdict(&result).0, result["file_info"]["sha256"].as_str()), (0, Some(sha256(&content).as_str())));
}

#[tokio::test]
async fn offsets_and_ranges_are_places_too() {
    let client = Target::client();
    let content = noise(3000);
    let sized = session(&[("file-size", "3000")]).await;
    for from in [2000, 0, 1000] {
        let answer = part_of(&client, &sized, &content[from..from + 1000], ("part-offset", &from.to_string())).await;
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ "data_id": sized, "part_offset": from, "status": "uploaded" })));
    }
    let unsized_id = session(&[]).await;
    for (from, to) in [(1500, 2999), (0, 1499)] {
        let range = format!("bytes {from}-{to}/3000");
        assert_eq!(part_of(&client, &unsized_id, &content[from..=to], ("Content-Range", &range)).await.status, StatusCode::OK);
    }
    for id in [sized, unsized_id] {
        assert_eq!(client.result(&id).await["file_info"]["sha256"], sha256(&content));
    }
    let overlapping = session(&[("file-size", "3000")]).await;
    for (from, to) in [(0, 2000), (1500, 3000)] {
        part_of(&client, &overlapping, &content[from..to], ("part-offset", &from.to_string())).await;
    }
    let status = status(&overlapping).await;
    assert_eq!((&status["status"], &status["uploaded_offsets"]), (&json!("uploading"), &json!([0, 1500])));
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let client = Target::client();
    let id = session(&[("part-count", "2")]).await;
    part(&id, 1, b"half").await;
    for _ in 0..2 {
        let answer = abort(&client, &id).await;
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!({ &*id: "aborted" })));
    }
    assert_eq!(verdict(&client.result(&id).await), (19, "Blocked", "Canceled"));
    let late = part_of(&client, &id, b"half", ("part-number", "2")).await;
    assert_eq!((late.status, late.err()), (StatusCode::NOT_FOUND, "Not found"));
    assert_eq!(status(&id).await["status"], "aborted");
    let end = Instant::now() + Duration::from_secs(20);
    while stored(&id).await != (0, 0) {
        assert!(Instant::now() < end, "its parts are removed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn sizes_are_bounded_as_announced_and_as_sent() {
    let client = Target::client();
    let too_large = "Failed to request scan. File size exceeded the maximum size permitted by your configuration.";
    let announced = begin(&[("rule", "Few parts"), ("file-size", "1001")]).await;
    assert_eq!((announced.status.as_u16(), announced.err()), (500, too_large));
    let begun = begin(&[("rule", "Few parts"), ("part-count", "2")]).await;
    let id = begun.json["data_id"].as_str().unwrap();
    let one = part_of(&client, id, &[b'x'; 1001], ("part-number", "1")).await;
    assert_eq!((one.status.as_u16(), one.err()), (500, too_large));
    for number in ["1", "2"] {
        part_of(&client, id, &[b'x'; 600], ("part-number", number)).await;
    }
    let result = client.result(id).await;
    assert_eq!(verdict(&result), (3, "Blocked", "Failed"));
    assert!(result["process_info"]["blocked_reasons"].to_string().contains("1200 bytes"), "{result}");
}

#[tokio::test]
async fn a_part_can_go_straight_to_storage() {
    let client = Target::client();
    let content = noise(5000);
    let id = session(&[("file-size", "5000"), ("part-count", "2")]).await;
    part(&id, 2, &content[2000..]).await;
    let form = send(client.request(Method::POST, &format!("/file/multipart/{id}/presign?part=1")).header("Content-Length", "0")).await;
    assert_eq!((form.status, &form.json["part"], &form.json["max_file_size"]), (StatusCode::OK, &json!(1), &json!(5000)));
    assert!(upload(&form.json, noise(5001), &[]).await.is_client_error(), "larger than the file");
    let elsewhere = format!("parts/{id}/n0002");
    assert!(upload(&form.json, content[..2000].to_vec(), &[("key", &elsewhere)]).await.is_client_error(), "another part");
    assert_eq!(upload(&form.json, content[..2000].to_vec(), &[]).await, StatusCode::CREATED);
    assert_eq!(client.result(&id).await["file_info"]["sha256"], sha256(&content));
}

#[tokio::test]
async fn a_session_is_its_owners_and_needs_a_rule_that_permits_it() {
    let client = Target::client();
    let disabled = begin(&[("file-size", "10")]).await;
    assert_eq!((disabled.status, disabled.err()), (StatusCode::FORBIDDEN, "Multipart upload is disabled."));
    let id = session(&[("file-size", "10")]).await;
    for (who, wanted) in [
        (client.with_key(None), StatusCode::FORBIDDEN),
        (client.with_key(Some("wrong")), StatusCode::BAD_REQUEST),
        (user(&[]).await, StatusCode::FORBIDDEN),
    ] {
        let presign = send(who.request(Method::POST, &format!("/file/multipart/{id}/presign?part=1")).header("Content-Length", "0")).await;
        let answers =
            [part_of(&who, &id, b"x", ("part-number", "1")).await, who.get(&format!("/file/multipart/{id}")).await, abort(&who, &id).await, presign];
        for answer in answers {
            assert_eq!((answer.status, answer.err()), (wanted, "Access denied"));
        }
    }
    let other = client.submit(unique("no session"), &[]).await;
    for unknown in ["0123456789abcdef0123456789abcdef", "nonsense", &other] {
        assert_eq!(part_of(&client, unknown, b"x", ("part-number", "1")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(client.get(&format!("/file/multipart/{unknown}")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(abort(&client, unknown).await.status, StatusCode::NOT_FOUND);
    }
    for wrong in [("part-number", "0"), ("part-number", "1001"), ("part-offset", "10"), ("content-range", "bytes 0-1/10"), ("x-nothing", "1")] {
        let answer = part_of(&client, &id, b"x", wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong:?} {answer:?}");
    }
    assert_eq!(part_of(&client, &id, b"", ("part-number", "1")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    for wrong in [("file-size", "ten"), ("part-count", "1001"), ("parts", "0"), ("filepath", "/etc/passwd"), ("downloadfrom", "http://127.0.0.1/")] {
        assert_eq!(begin(&[("rule", "Parts"), wrong]).await.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    }
}
