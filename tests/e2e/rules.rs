//! The rules as one document that is replaced as a whole, and what they then do.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::{Answer, Client, send, verdict};
use crate::support::files::{unique, zip};
use crate::target::Target;

const PATH: &str = "/admin/config/rules";

async fn put(client: &Client, body: &Value) -> Answer {
    send(client.request(Method::PUT, PATH).body(body.to_string())).await
}

/// What `/file/rules` names for an agent.
async fn named(client: &Client, agent: &str) -> Vec<String> {
    let listed = send(client.request(Method::GET, "/file/rules").header("user_agent", agent)).await;
    listed.json.as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn rules_are_replaced_as_a_whole_and_in_force_within_seconds() {
    let client = Target::client();
    let before = client.get(PATH).await;
    assert_eq!(before.status, StatusCode::OK);
    let version = before.json["version"].as_u64().unwrap();
    // The suite's own rules stay: other tests use them.
    let mut rules = before.json["rules"].as_array().unwrap().clone();
    let agent = format!("agent-{}", uuid::Uuid::new_v4().simple());
    let name = format!("No archives {agent}");
    let limits = json!({ "name": name, "description": "e2e", "user_agents": [agent], "types": { "block": ["A"], "allow": ["T", "A"] } });
    rules.push(limits);
    rules.push(json!({ "name": format!("Low {agent}"), "user_agents": [agent], "priority": -1 }));
    rules.push(json!({ "name": format!("Desk {agent}"), "user_agents": [agent], "priority": 9, "roles": ["help_desk"] }));

    // All or nothing: one wrong field, and nothing changes.
    for (field, value) in
        [("max_file_sizes", json!(1)), ("timeout_seconds", json!(0)), ("yara_blocks", json!("no")), ("types", json!({ "skip": ["E"] }))]
    {
        let mut wrong = rules.clone();
        wrong.last_mut().unwrap()[field] = value;
        let answer = put(&client, &json!({ "version": version, "rules": wrong })).await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.err().contains(field), "{field}: {answer:?}");
    }
    for wrong in [json!({ "rules": rules }), json!({ "version": version }), json!({ "version": version, "rules": [] }), json!([])] {
        assert_eq!(put(&client, &wrong).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(client.get(PATH).await.json["version"], version);

    let stored = put(&client, &json!({ "version": version, "rules": rules })).await;
    assert_eq!((stored.status, stored.json["version"].as_u64()), (StatusCode::OK, Some(version + 1)), "{stored:?}");
    let stale = put(&client, &json!({ "version": version, "rules": rules })).await;
    assert!(stale.status == StatusCode::CONFLICT && stale.err().contains(&format!("`{version}`")), "{stale:?}");

    let end = Instant::now() + Duration::from_secs(30);
    while !named(&client, &agent).await.contains(&name) {
        assert!(Instant::now() < end, "not in force after 30 s");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!named(&client, "somebody-else").await.contains(&name));
    assert!(!named(&client, &agent).await.iter().any(|name| name.starts_with("Desk")), "for another role");
    let desk = user(&["help_desk"]).await;
    assert!(named(&desk, &agent).await.iter().any(|name| name.starts_with("Desk")));

    // The functions of a host read the setting each for itself: one that answers has it, another may take its 5 s.
    let headers = [("filename", "a.txt"), ("user_agent", agent.as_str())];
    let text = loop {
        let result = client.scan(unique("rules"), &headers).await;
        if result["process_info"]["profile"] == name.as_str() {
            break result;
        }
        assert!(Instant::now() < end, "{}", result["process_info"]["profile"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(verdict(&text), (0, "Allowed", ""));
    let archive = client.scan(zip(&[("a.txt", &unique("inside"))]), &[("filename", "a.zip"), ("user_agent", &agent)]).await;
    assert_eq!(verdict(&archive), (8, "Blocked", "Blocklisted"));
}

#[tokio::test]
async fn rules_are_read_and_written_by_roles_with_the_right() {
    let desk = user(&["help_desk"]).await;
    assert_eq!(desk.get(PATH).await.status, StatusCode::OK);
    assert_eq!(put(&desk, &json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let open = desk.with_key(None);
    assert_eq!(open.get(PATH).await.status, StatusCode::FORBIDDEN);
    assert_eq!(put(&open, &json!({})).await.status, StatusCode::FORBIDDEN);
}
