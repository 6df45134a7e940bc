//! The operator's own rules and lists, from the definitions bucket.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::client::{Client, verdict};
use crate::support::files::{unique, zip};
use crate::target::{ALLOWED_CONTENT, BLOCKED_CONTENT, Target, YARA_MARK};

/// Waits until the scan function runs with the suite's definitions: it looks for new ones every half minute
/// while files come. The broken file among them tells.
async fn loaded(client: &Client) -> Value {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        client.scan(unique("loaded"), &[]).await;
        let nodes = client.get("/stat/nodes").await;
        assert_eq!(nodes.status, StatusCode::OK);
        let issues = nodes.json["statuses"][0]["issues"].clone();
        if issues.to_string().contains("broken.yar") {
            return issues;
        }
        assert!(Instant::now() < end, "the definitions are not loaded: {issues}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_rule_of_the_operator_blocks_also_inside_archives() {
    let client = Target::client();
    loaded(&client).await;
    let marked = unique(YARA_MARK);
    let result = client.scan(marked.clone(), &[("filename", "a.txt")]).await;
    assert_eq!(verdict(&result), (21, "Blocked", "Yara Rule Matched"));
    assert_eq!(result["yara"]["hits"]["e2e_operator_mark"]["description"], "mark of the operator");
    assert_eq!(verdict(&client.scan(zip(&[("a.txt", &marked)]), &[]).await).0, 21);
}

#[tokio::test]
async fn a_broken_rule_file_is_listed_and_disables_nothing() {
    let client = Target::client();
    let issues = loaded(&client).await;
    assert_eq!(issues[0]["severity"], "warning");
    assert_eq!(verdict(&client.scan(unique(YARA_MARK), &[]).await).0, 21, "the good file beside it works");
}

#[tokio::test]
async fn block_and_allow_lists_decide() {
    let client = Target::client();
    loaded(&client).await;
    let blocked = client.scan(BLOCKED_CONTENT.to_vec(), &[("filename", "a.txt")]).await;
    assert_eq!(verdict(&blocked), (8, "Blocked", "Blocklisted"));
    let allowed = client.scan(ALLOWED_CONTENT.to_vec(), &[("filename", "a.txt")]).await;
    assert_eq!(verdict(&allowed), (7, "Allowed", ""));
    let inside = client.scan(zip(&[("blocked.txt", BLOCKED_CONTENT), ("fine.txt", b"fine")]), &[("filename", "a.zip")]).await;
    assert_eq!(verdict(&inside).0, 8);
}
