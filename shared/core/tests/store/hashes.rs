//! The newest result of a content.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::Digests;
use portcullis_core::store::hashes::Hashes;

use crate::table::{HOUR, Table, digests, number};

const RULE: &str = "File process";

/// Records a content under a new id; `age` in ms.
async fn record(hashes: &Hashes, content: u64, rule: &str, age: i64) -> DataId {
    let id = DataId::random();
    hashes.record(&[(id.clone(), digests(content))], rule, now_ms() - age, HOUR).await.unwrap();
    id
}

fn all_four(digests: &Digests) -> [&str; 4] {
    [&digests.md5, &digests.sha1, &digests.sha256, &digests.sha512]
}

#[tokio::test]
async fn a_content_is_found_by_each_of_its_digests_in_any_case() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let id = record(&hashes, 0xabc, RULE, 0).await;
    for digest in all_four(&digests(0xabc)) {
        assert_eq!(hashes.newest(digest, None).await.unwrap().as_ref(), Some(&id), "{digest}");
        assert_eq!(hashes.newest(&digest.to_uppercase(), Some(RULE)).await.unwrap().as_ref(), Some(&id), "{digest}");
    }
}

#[tokio::test]
async fn what_is_unknown_or_no_digest_is_not_found() {
    let table = Table::new().await;
    let hashes = table.hashes();
    record(&hashes, 1, RULE, 0).await;
    for digest in all_four(&digests(2)).into_iter().chain(["", "abc", &"0".repeat(63)]) {
        assert_eq!(hashes.newest(digest, None).await.unwrap(), None, "{digest}");
    }
}

#[tokio::test]
async fn results_are_kept_per_rule() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let first = record(&hashes, 1, "strict", 2000).await;
    let second = record(&hashes, 1, "lax", 0).await;
    for digest in all_four(&digests(1)) {
        assert_eq!(hashes.newest(digest, Some("strict")).await.unwrap().as_ref(), Some(&first));
        assert_eq!(hashes.newest(digest, Some("lax")).await.unwrap().as_ref(), Some(&second));
        assert_eq!(hashes.newest(digest, None).await.unwrap().as_ref(), Some(&second), "any rule: the newest");
        assert_eq!(hashes.newest(digest, Some("LAX")).await.unwrap(), None, "names of rules are compared exactly");
    }
}

#[tokio::test]
async fn a_newer_result_replaces_an_older_one_and_never_the_other_way_round() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let old = record(&hashes, 1, RULE, 60_000).await;
    assert_eq!(hashes.newest(&digests(1).sha1, None).await.unwrap().as_ref(), Some(&old));
    let new = record(&hashes, 1, RULE, 0).await;
    // The old message is delivered again.
    hashes.record(&[(old, digests(1))], RULE, now_ms() - 60_000, HOUR).await.unwrap();
    for digest in all_four(&digests(1)) {
        assert_eq!(hashes.newest(digest, None).await.unwrap().as_ref(), Some(&new));
        assert_eq!(hashes.newest(digest, Some(RULE)).await.unwrap().as_ref(), Some(&new));
    }
    let alias = table.item(&format!("HASH#{}", digests(1).md5), "ALIAS").await.unwrap();
    assert!(
        alias.get("expires_at").unwrap().as_n().unwrap().parse::<i64>().unwrap() > (now_ms() + HOUR) / 1000 - 30,
        "nor does its expiry come back"
    );
}

#[tokio::test]
async fn the_newer_result_counts_also_when_it_is_kept_for_less_long() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let files = |id: &DataId| [(id.clone(), digests(1))];
    let (old, new) = (DataId::random(), DataId::random());
    hashes.record(&files(&old), RULE, now_ms() - 60_000, 720 * HOUR).await.unwrap();
    hashes.record(&files(&new), RULE, now_ms(), HOUR).await.unwrap();
    for digest in all_four(&digests(1)) {
        assert_eq!(hashes.newest(digest, None).await.unwrap().as_ref(), Some(&new));
    }
    hashes.record(&files(&old), RULE, now_ms() - 60_000, 720 * HOUR).await.unwrap();
    assert_eq!(hashes.newest(&digests(1).md5, Some(RULE)).await.unwrap(), Some(new));
}

#[tokio::test]
async fn the_same_content_twice_in_one_call_is_one_entry_and_the_first_stays() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let ids: Vec<DataId> = (0..3).map(|_| DataId::random()).collect();
    let files: Vec<_> = ids.iter().cloned().zip([1, 2, 1].map(digests)).collect();
    hashes.record(&files, RULE, now_ms(), HOUR).await.unwrap();
    assert_eq!(hashes.newest(&digests(1).md5, None).await.unwrap(), ids.first().cloned());
    assert_eq!(hashes.newest(&digests(2).md5, None).await.unwrap(), ids.get(1).cloned());
}

#[tokio::test]
async fn contents_made_to_share_an_md5_are_both_recorded() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let twin = Digests { md5: digests(1).md5, ..digests(2) };
    let (first, second) = (DataId::random(), DataId::random());
    hashes.record(&[(first.clone(), digests(1)), (second.clone(), twin.clone())], RULE, now_ms(), HOUR).await.unwrap();
    assert_eq!(hashes.newest(&twin.sha256, None).await.unwrap(), Some(second.clone()));
    assert_eq!(hashes.newest(&twin.sha512, None).await.unwrap(), Some(second));
    assert_eq!(hashes.newest(&twin.md5, None).await.unwrap(), Some(first));
}

#[tokio::test]
async fn more_files_than_fit_a_batch_are_all_found() {
    let table = Table::new().await;
    let hashes = table.hashes();
    let files: Vec<_> = (0..101).map(|content| (DataId::random(), digests(content))).collect();
    hashes.record(&files, RULE, now_ms(), HOUR).await.unwrap();
    for (id, digests) in &files {
        assert_eq!(hashes.newest(&digests.md5, Some(RULE)).await.unwrap().as_ref(), Some(id));
    }
}

#[tokio::test]
async fn an_expired_entry_is_not_found_even_before_it_is_deleted_and_makes_room() {
    let table = Table::new().await;
    let hashes = table.hashes();
    record(&hashes, 1, RULE, 0).await;
    table.set(&format!("HASH#{}", digests(1).sha256), "ANY", "expires_at", number(now_ms() / 1000 - 1)).await;
    assert_eq!(hashes.newest(&digests(1).sha256, None).await.unwrap(), None);
    let again = record(&hashes, 1, RULE, 0).await;
    assert_eq!(hashes.newest(&digests(1).md5, None).await.unwrap(), Some(again));
}

#[tokio::test]
async fn a_verdict_to_take_over_is_found_under_its_key_until_it_expires() {
    let table = Table::new().await;
    let (hashes, sha256) = (table.hashes(), "ab".repeat(32));
    let (first, second) = (DataId::random(), DataId::random());
    assert_eq!(hashes.remembered(&sha256, "k").await.unwrap(), None);
    hashes.remember(&sha256, "k", &first, now_ms() + HOUR).await.unwrap();
    hashes.remember(&sha256, "k", &second, now_ms() + HOUR).await.unwrap();
    assert_eq!(hashes.remembered(&sha256, "k").await.unwrap(), Some(second), "the newest");
    assert_eq!(hashes.remembered(&sha256, "other").await.unwrap(), None);
    assert_eq!(hashes.newest(&sha256, None).await.unwrap(), None, "it is no result to be asked for");
    hashes.remember(&sha256, "k", &first, now_ms() - 2000).await.unwrap();
    assert_eq!(hashes.remembered(&sha256, "k").await.unwrap(), None, "expired");
}
