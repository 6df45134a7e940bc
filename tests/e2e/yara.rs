//! The life of YARA rules: sources → generate → in force → taken back (contract §6.8).

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{eicar, unique, zip};
use crate::target::Target;

/// What a change may take to be in force everywhere.
const MINUTE: Duration = Duration::from_secs(60);

async fn put_sources(client: &Client, sources: &Value) -> Answer {
    send(client.request(Method::PUT, "/admin/config/yara/sources").body(sources.to_string())).await
}

/// Starts a generation and waits for its end.
async fn generate(client: &Client, verb: Method) -> Value {
    let started = send(client.request(verb, "/yara/generate")).await;
    assert_eq!((started.status, started.json["status"].as_str()), (StatusCode::OK, Some("inprogress")), "{started:?}");
    assert!(started.json["start_time"].as_str().unwrap().ends_with('Z'));
    // Asked again it answers the one that runs, or (that one may have ended already) begins another.
    let again = send(client.request(Method::POST, "/yara/generate")).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let now = client.get("/yara/package").await.json;
        if now["status"] != "inprogress" {
            assert_eq!(now["start_time"], "");
            return now;
        }
        assert!(Instant::now() < end, "{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Scans contents with the mark until the main code is `wanted`.
async fn until(client: &Client, mark: &str, wanted: u64) {
    let end = Instant::now() + MINUTE;
    loop {
        let code = verdict(&client.scan(unique(mark), &[("filename", "a.txt")]).await).0;
        if code == wanted {
            return;
        }
        assert!(Instant::now() < end, "still {code}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn rule(name: &str, mark: &str) -> String {
    format!("rule {name} {{ meta: description = \"e2e\" strings: $a = \"{mark}\" condition: $a }}")
}

async fn upload(folder: &str, files: &[(&str, String)]) {
    let target = Target::get();
    for (name, content) in files {
        let put = target.clients().s3().put_object().bucket(&target.definitions).key(format!("{folder}/{name}"));
        put.body(content.clone().into_bytes().into()).send().await.unwrap();
    }
}

/// Answers every request with these bytes; its address.
async fn server(content: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/rules.zip", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&content).await;
        }
    });
    address
}

#[tokio::test]
async fn rules_are_generated_put_in_force_and_taken_back() {
    let (client, target) = (Target::client(), Target::get());
    let run = uuid::Uuid::new_v4().simple().to_string();
    let (first, second, web) = (format!("e2e-first-{run}"), format!("e2e-second-{run}"), format!("e2e-web-{run}"));
    let folder = format!("sources/{run}");
    let source = format!("s3://{}/{folder}", target.definitions);
    let enabled = |source: &str| json!({ "local_sources": [{ "source": source, "state": "enabled" }], "http_sources": [] });

    // Good, broken, too eager, huge: one file each, and one that is no rule file.
    upload(
        &folder,
        &[
            ("good.yar", rule("e2e_first", &first)),
            ("sub/good.yara", rule("e2e_first", &format!("{first}-sub"))),
            ("broken.yar", "rule broken { condition: no_such_thing }".to_owned()),
            ("eager.yar", "rule eager { condition: true }".to_owned()),
            ("huge.yar", " ".repeat(9 * 1024 * 1024)),
            ("readme.md", "# rules".to_owned()),
        ],
    )
    .await;
    let stored = put_sources(&client, &enabled(&source)).await;
    assert_eq!((stored.status, &stored.json), (StatusCode::OK, &enabled(&source)));
    assert_eq!(client.get("/admin/config/yara/sources").await.json, enabled(&source));
    let ended = generate(&client, Method::PUT).await;
    assert_eq!(ended["status"], "idle", "{ended}");
    assert_eq!((ended["package"]["files"].as_u64(), ended["package"]["rules"].as_u64()), (Some(2), Some(2)), "{ended}");
    let issues: Vec<&str> = ended["issues"][&source].as_array().unwrap().iter().map(|issue| issue["message"].as_str().unwrap()).collect();
    for file in ["broken.yar", "eager.yar", "huge.yar"] {
        assert!(issues.iter().any(|issue| issue.contains(&format!("`{file}` is left out"))), "{file}: {issues:?}");
    }
    assert_eq!(issues.len(), 3, "{issues:?}");
    until(&client, &first, 21).await;
    until(&client, &format!("{first}-sub"), 21).await;
    assert_eq!(verdict(&client.scan(eicar(), &[]).await).0, 1);

    // Nothing usable, and a source that is not there: both leave what is in force.
    let broken = format!("sources/{run}-broken");
    upload(&broken, &[("broken.yar", "rule".to_owned())]).await;
    for (folder, what) in
        [(format!("s3://{}/{broken}", target.definitions), "does not compile"), (format!("s3://no-such-bucket-{run}/x"), "can not be read")]
    {
        put_sources(&client, &enabled(&folder)).await;
        let ended = generate(&client, Method::POST).await;
        assert_eq!(ended["status"], "error", "{ended}");
        assert!(ended["issues"][&folder].to_string().contains(what) && ended["issues"]["general"][0]["severity"] == "error", "{ended}");
        assert_eq!(ended["package"]["files"], 2, "{ended}");
    }
    until(&client, &first, 21).await;

    // A second package: other rules in it. Where the host can reach this process, from the web as well.
    let other = format!("sources/{run}-other");
    upload(&other, &[("other.yar", rule("e2e_second", &second))]).await;
    let mut sources = enabled(&format!("s3://{}/{other}/", target.definitions));
    if target.local {
        let archive = zip(&[("repo/web.yar", rule("e2e_web", &web).as_bytes()), ("../trick.yar", rule("trick", "x").as_bytes())]);
        sources["http_sources"] =
            json!([{ "source": server(archive).await, "state": "enabled" }, { "source": "https://127.0.0.1:1/off.zip", "state": "disabled" }]);
    }
    put_sources(&client, &sources).await;
    let ended = generate(&client, Method::POST).await;
    assert_eq!(ended["status"], "idle", "{ended}");
    until(&client, &second, 21).await;
    until(&client, &first, 0).await;
    if target.local {
        until(&client, &web, 21).await;
        let address = sources["http_sources"][0]["source"].as_str().unwrap();
        assert!(ended["issues"][address].to_string().contains("trick.yar"), "{ended}");
    }

    // Back to the first one.
    let back = send(client.request(Method::POST, "/yara/rollback")).await;
    assert_eq!((back.status, back.json["package"]["files"].as_u64()), (StatusCode::OK, Some(2)), "{back:?}");
    until(&client, &first, 21).await;
    until(&client, &second, 0).await;
    // And to what was before it; no source is enabled any more, so the next package has no rules.
    assert_eq!(send(client.request(Method::POST, "/yara/rollback")).await.status, StatusCode::OK);
    until(&client, &first, 0).await;
    if target.local {
        let nothing = send(client.request(Method::POST, "/yara/rollback")).await;
        assert_eq!((nothing.status, nothing.err()), (StatusCode::CONFLICT, "There is no package to go back to."));
    }
    put_sources(&client, &json!({ "local_sources": [], "http_sources": [] })).await;
    assert_eq!(generate(&client, Method::POST).await["package"]["files"], 0);
}

#[tokio::test]
async fn sources_that_name_no_place_are_refused_and_nothing_is_stored() {
    let (client, target) = (Target::client(), Target::get());
    let yara = format!("s3://{}/yara/team", target.definitions);
    for (body, named) in [
        (json!({ "local_sources": [{ "source": "/mnt/yara", "state": "enabled" }] }), "/mnt/yara"),
        (json!({ "local_sources": [{ "source": yara, "state": "enabled" }] }), yara.as_str()),
        (json!({ "http_sources": [{ "source": "file:///etc/passwd", "state": "enabled" }] }), "file:///etc/passwd"),
        (json!({ "http_sources": [{ "source": "https://example.com/a.zip", "state": "on" }] }), "on"),
        (json!({ "sources": [] }), "sources"),
        (json!([]), "no JSON object"),
        (json!({ "http_sources": [["https://example.com/a.zip", "enabled"]] }), "http_sources"),
    ] {
        let answer = put_sources(&client, &body).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(named), "{named}: {answer:?}");
    }
    assert!(!client.get("/admin/config/yara/sources").await.text.contains("passwd"));
}

#[tokio::test]
async fn rules_are_the_business_of_roles_with_the_right() {
    let reader = user(&["help_desk"]).await;
    let open = reader.with_key(None);
    for path in ["/admin/config/yara/sources", "/yara/package"] {
        assert_eq!(reader.get(path).await.status, StatusCode::OK, "{path}");
        assert_eq!(open.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(open.with_key(Some("no-such-key-0123456789")).get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for (verb, path) in [
        (Method::PUT, "/admin/config/yara/sources"),
        (Method::PUT, "/yara/generate"),
        (Method::POST, "/yara/generate"),
        (Method::POST, "/yara/rollback"),
    ] {
        let answer = send(reader.request(verb.clone(), path).body(r#"{"local_sources":[],"http_sources":[]}"#)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{verb} {path}");
        assert_eq!(send(open.request(verb, path)).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}
