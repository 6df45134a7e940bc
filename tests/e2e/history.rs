//! The list of ended submissions over HTTP.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;

use crate::auth::user;
use crate::support::client::Client;
use crate::support::files::{eicar, unique, zip};
use crate::target::{Target, sha256};

/// The entries that a query finds, once there are so many: the index follows the table.
async fn found(client: &Client, query: &str, wanted: usize) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let (mut entries, mut next) = (Vec::new(), String::new());
        loop {
            let answer = client.get(&format!("/admin/history?{query}{next}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            entries.extend(answer.json["entries"].as_array().unwrap().clone());
            match answer.json["cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        if entries.len() >= wanted {
            return entries;
        }
        assert!(Instant::now() < end, "{wanted} entries of {query}: {entries:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_has_ended_is_listed_newest_first_with_filters_and_pages() {
    let client = Target::client();
    let since = portcullis_core::clock::iso(portcullis_core::clock::now_ms() - 1000);
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let content = unique("history");
    let first = client.scan(content.clone(), &[("filename", &format!("{mark}-1.txt")), ("rule", "No cache")]).await;
    let archive = client.scan(zip(&[("eicar.com", &eicar()), ("a.txt", b"a")]), &[("filename", &format!("{mark}-2.zip"))]).await;
    let query = format!("from={since}&q={}", mark.to_uppercase());

    let entries = found(&client, &query, 2).await;
    let [newer, older] = entries.as_slice() else { panic!("its children are no submissions: {entries:?}") };
    assert_eq!((&newer["data_id"], &older["data_id"]), (&archive["data_id"], &first["data_id"]));
    assert_eq!((newer["code"].as_u64(), &newer["text"], &newer["result"]), (Some(1), &"Infected".into(), &"Blocked".into()));
    assert_eq!((newer["children"].as_u64(), &newer["source"]), (Some(2), &"api".into()));
    assert_eq!((older["code"].as_u64(), &older["result"], &older["rule"]), (Some(0), &"Allowed".into(), &"No cache".into()));
    assert_eq!(older["display_name"], format!("{mark}-1.txt"));
    assert_eq!((older["size"].as_u64(), older["sha256"].as_str()), (Some(content.len() as u64), Some(sha256(&content).as_str())));
    assert_eq!(older["username"], first["process_info"]["username"]);
    assert!(older["total_ms"].as_u64() >= older["scan_ms"].as_u64() && older["ended_at"].as_str().unwrap() > since.as_str());

    assert_eq!(found(&client, &format!("{query}&size=1"), 2).await, entries, "page by page");
    for (filter, wanted) in [("result=Blocked", newer), ("code=1", newer), ("result=allowed", older), ("rule=No%20cache", older)] {
        assert_eq!(found(&client, &format!("{query}&{filter}"), 1).await, std::slice::from_ref(wanted), "{filter}");
    }
    assert!(found(&client, &format!("{query}&to={since}"), 0).await.is_empty());
}

#[tokio::test]
async fn without_the_right_a_caller_sees_only_his_own() {
    let (admin, nobody) = (Target::client(), user(&[]).await);
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{mark}.txt");
    admin.scan(unique("history"), &[("filename", &name)]).await;
    let own = nobody.scan(unique("history"), &[("filename", &name)]).await;
    assert_eq!(found(&admin, &format!("q={mark}"), 2).await.len(), 2);
    let seen = found(&nobody, &format!("q={mark}"), 1).await;
    assert_eq!(seen.iter().map(|entry| &entry["data_id"]).collect::<Vec<_>>(), [&own["data_id"]]);
    assert_eq!(found(&user(&["help_desk"]).await, &format!("q={mark}"), 2).await.len(), 2);
    assert_eq!(admin.with_key(None).get("/admin/history").await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.with_key(Some("wrong")).get("/admin/history").await.status, StatusCode::FORBIDDEN);
    let wrong = admin.get("/admin/history?code=4").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.err().contains("`code`"), "{wrong:?}");
}
