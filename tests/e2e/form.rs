//! `POST /file` with `multipart/form-data` (contract §4.4).

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::batch::{finished, poll};
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;
use crate::webhooks::Receiver;

async fn send_form(client: &Client, form: Form, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(client.request(Method::POST, "/file"), |request, (name, value)| request.header(*name, *value));
    send(request.multipart(form)).await
}

fn file(content: Vec<u8>, name: &str) -> Part {
    Part::bytes(content).file_name(name.to_owned())
}

#[tokio::test]
async fn a_form_with_one_file_answers_as_older_clients_expect() {
    let client = Target::client();
    let answer = send_form(&client, Form::new().part("file", file(eicar(), "grün und gut.com")), &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let (batch, id) = (answer.json["batch_id"].as_str().unwrap(), answer.json["data_id"].as_str().unwrap());
    let result = client.result(id).await;
    assert_eq!(verdict(&result), (1, "Blocked", "Infected"));
    assert_eq!(result["file_info"]["display_name"], "grün und gut.com");
    assert_eq!(result["file_info"]["file_size"], 68, "the file, not the envelope");
    let done = finished(&client, batch).await;
    assert_eq!((&done["is_closed"], &done["process_info"]["result"]), (&json!(true), &json!("Blocked")));
    // A name in the headers is that of the only file; a rule there is that of the batch.
    let headers = [("filename", "other%20name.txt"), ("rule", "Tolerant"), ("user_agent", "desk")];
    let answer = send_form(&client, Form::new().part("file", file(unique("x"), "a.txt")), &headers).await;
    let result = client.result(answer.json["data_id"].as_str().unwrap()).await;
    assert_eq!((&result["file_info"]["display_name"], &result["process_info"]["profile"]), (&json!("other name.txt"), &json!("Tolerant")));
    let done = finished(&client, answer.json["batch_id"].as_str().unwrap()).await;
    assert_eq!((&done["process_info"]["profile"], &done["process_info"]["user_agent"]), (&json!("Tolerant"), &json!("desk")));
}

#[tokio::test]
async fn a_form_with_three_files_is_a_batch_of_three() {
    let client = Target::client();
    let large = [unique("large"), vec![b'x'; 6_000_000]].concat();
    let form = Form::new().part("a", file(unique("a"), "a.txt")).part("b", file(large, "b.txt")).part("c", file(eicar(), "c.com"));
    let answer = send_form(&client, form, &[("filename", "not theirs")]).await;
    let batch = answer.json["batch_id"].as_str().unwrap();
    assert!(answer.json.get("data_id").is_none(), "{answer:?}");
    let done = finished(&client, batch).await;
    let files = done["batch_files"]["files_in_batch"].as_array().unwrap();
    let mut names: Vec<_> = files.iter().map(|file| (file["display_name"].as_str().unwrap(), file["scan_all_result_i"].as_u64().unwrap())).collect();
    names.sort_unstable();
    assert_eq!(names, [("a.txt", 0), ("b.txt", 0), ("c.com", 1)]);
    let late = client.post_file(unique("late"), &[("batch", batch)]).await;
    assert_eq!((late.status.as_u16(), late.err()), (400, "Batch is closed."));
}

#[tokio::test]
async fn a_part_without_a_file_name_is_not_lost() {
    let client = Target::client();
    let form = Form::new().text("comment", String::from_utf8(eicar()).unwrap()).part("file", file(unique("a"), "a.txt"));
    let answer = send_form(&client, form, &[]).await;
    assert_eq!(client.result(answer.json["data_id"].as_str().unwrap()).await["file_info"]["display_name"], "a.txt", "the one with a file name");
    let done = finished(&client, answer.json["batch_id"].as_str().unwrap()).await;
    assert_eq!((&done["batch_files"]["batch_count"], &done["process_info"]["result"]), (&json!(2), &json!("Blocked")));
}

#[tokio::test]
async fn a_form_fills_the_batch_it_names() {
    let client = Target::client();
    let batch = crate::batch::post(&client, "/file/batch", &[]).await.json["batch_id"].as_str().unwrap().to_owned();
    let answer = send_form(&client, Form::new().part("file", file(unique("a"), "a.txt")), &[("batch", &batch)]).await;
    assert_eq!(answer.json["batch_id"], batch);
    client.submit(unique("b"), &[("batch", &batch)]).await;
    let done = finished(&client, &batch).await;
    assert_eq!((&done["batch_files"]["batch_count"], &done["is_closed"]), (&json!(2), &json!(false)));
}

#[tokio::test]
async fn broken_forms_leave_nothing_behind() {
    let client = Target::client();
    let batch = crate::batch::post(&client, "/file/batch", &[]).await.json["batch_id"].as_str().unwrap().to_owned();
    let part = |content: &str| format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{content}\r\n");
    let good = part("good");
    for (kind, body, status, text) in [
        ("multipart/form-data; boundary=b", good.clone(), 400, "The multipart/form-data body ends before its closing boundary."),
        ("multipart/form-data; boundary=b", String::new(), 400, "The multipart/form-data body ends before its closing boundary."),
        ("multipart/form-data; boundary=b", format!("{good}--b\r\nno header\r\n\r\nx\r\n--b--"), 400, "The multipart/form-data body is malformed."),
        ("multipart/form-data", good.clone(), 400, "The multipart/form-data body has no boundary."),
        ("multipart/form-data; boundary=b", format!("{good}{}--b--\r\n", part("")), 422, "File is empty."),
        ("Multipart/Form-Data; boundary=b", "--b--\r\n".to_owned(), 422, "File is empty."),
        (
            "multipart/form-data; boundary=b",
            format!("{good}{}--b--\r\n", part(&"x".repeat(1001))),
            500,
            "Failed to request scan. File size exceeded the maximum size permitted by your configuration.",
        ),
    ] {
        let request = client.request(Method::POST, "/file").header("Content-Type", kind).header("batch", &batch).header("rule", "Tiny");
        let answer = send(request.body(body)).await;
        assert_eq!((answer.status.as_u16(), answer.err()), (status, text), "{kind}");
    }
    assert_eq!(poll(&client, &format!("/file/batch/{batch}")).await["batch_files"]["batch_count"], 0, "not even the good parts");
    let stranger = send_form(&client.with_key(None), Form::new().part("file", file(unique("a"), "a.txt")), &[]).await;
    assert_eq!((stranger.status.as_u16(), stranger.err()), (400, "Access denied"));
}

#[tokio::test]
async fn a_synchronous_scan_takes_a_form_with_one_file() {
    let client = Target::client();
    let sync = async |form: Form| send(client.request(Method::POST, "/file/sync").multipart(form)).await;
    let answer = sync(Form::new().part("file", file(zip(&[("eicar.com", &eicar())]), "a.zip"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!((verdict(&answer.json).0, &answer.json["file_info"]["display_name"]), (1, &json!("a.zip")), "the file in the envelope was opened");
    let answer = sync(Form::new().part("a", file(unique("a"), "a.txt")).part("b", file(unique("b"), "b.txt"))).await;
    assert_eq!((answer.status.as_u16(), answer.err()), (400, "A synchronous scan takes one file."));
}

#[tokio::test]
async fn a_form_with_a_callback_is_told_of_at_once() {
    let client = Target::client();
    let receiver = Receiver::answering(&[200]).await;
    let form = Form::new().part("a", file(unique("a"), "a.txt")).part("b", file(eicar(), "b.com"));
    let answer = send_form(&client, form, &[("callbackurl", &receiver.url)]).await;
    let told: serde_json::Value = serde_json::from_slice(&receiver.wait_for(1).await[0].body).unwrap();
    assert_eq!((&told["batch_id"], &told["process_info"]["result"]), (&answer.json["batch_id"], &json!("Blocked")));
    // With one file the client waits for that one, as if it had sent it without an envelope.
    let answer = send_form(&client, Form::new().part("a", file(unique("a"), "a.txt")), &[("callbackurl", &receiver.url)]).await;
    let told: serde_json::Value = serde_json::from_slice(&receiver.wait_for(2).await[1].body).unwrap();
    assert_eq!(told["data_id"], answer.json["data_id"]);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(receiver.all().len(), 2, "each once");
}
