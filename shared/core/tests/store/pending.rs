//! The index of open submissions: what sweep looks at.

use std::collections::HashSet;

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::store::StoreError;

use crate::table::{HOUR, Table, outcome, submission};

/// A submission that sweep looks at at `check_at`.
async fn submit(table: &Table, check_at: i64) -> DataId {
    let submission = submission();
    table.scans().create(&submission, &[], check_at, now_ms() + HOUR).await.unwrap();
    submission.id
}

async fn due(table: &Table, now: i64, limit: i32) -> Vec<DataId> {
    table.scans().due(now, limit).await.unwrap().into_iter().map(|due| due.record.submission.id).collect()
}

#[tokio::test]
async fn what_is_due_is_found_across_all_shards_and_what_is_not_stays_away() {
    let table = Table::new().await;
    let mut shards = HashSet::new();
    let (mut past, mut future) = (HashSet::new(), HashSet::new());
    for check_at in 1..=24 {
        let id = submit(&table, check_at).await;
        shards.insert(table.submission_item(&id).await.get("pending_shard").unwrap().as_s().unwrap().clone());
        if check_at <= 20 {
            past.insert(id)
        } else {
            future.insert(id)
        };
    }
    assert!(shards.len() > 1, "24 ids fall into {shards:?}");
    let found = due(&table, 20, 100).await;
    assert_eq!(found.len(), 20, "none twice");
    assert_eq!(found.into_iter().collect::<HashSet<_>>(), past);
    assert_eq!(due(&table, 24, 100).await.len(), 24);
    assert!(due(&table, 0, 100).await.is_empty());
}

#[tokio::test]
async fn within_a_shard_the_oldest_come_first_and_the_limit_is_per_shard() {
    let table = Table::new().await;
    let mut by_shard: std::collections::HashMap<String, Vec<DataId>> = std::collections::HashMap::new();
    for check_at in (1..=24).rev() {
        let id = submit(&table, check_at).await;
        let shard = table.submission_item(&id).await.get("pending_shard").unwrap().as_s().unwrap().clone();
        by_shard.entry(shard).or_default().insert(0, id);
    }
    let found = due(&table, HOUR, 2).await;
    assert_eq!(found.len(), by_shard.values().map(|ids| ids.len().min(2)).sum::<usize>());
    for ids in by_shard.values() {
        let of_shard: Vec<_> = found.iter().filter(|id| ids.contains(id)).cloned().collect();
        assert_eq!(of_shard, ids.iter().take(2).cloned().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_rescheduled_comes_back_at_its_time() {
    let table = Table::new().await;
    let id = submit(&table, 10).await;
    table.scans().reschedule(&id, 30).await.unwrap();
    assert!(due(&table, 29, 10).await.is_empty());
    assert_eq!(due(&table, 30, 10).await, [id]);
}

#[tokio::test]
async fn an_open_submission_says_until_when_it_is_claimed() {
    let table = Table::new().await;
    let (submission, _claimed) = table.claimed().await;
    let waiting = table.submit().await;
    let due = table.scans().due(now_ms() + 2 * HOUR, 10).await.unwrap();
    let until = |id: &DataId| due.iter().find(|due| due.record.submission.id == *id).unwrap().claim_until;
    assert!(until(&submission.id) > now_ms());
    assert_eq!(until(&waiting.id), 0);
}

#[tokio::test]
async fn what_has_ended_or_never_was_can_not_be_rescheduled() {
    let table = Table::new().await;
    let id = submit(&table, 10).await;
    let (record, _) = table.scans().get(&id).await.unwrap().unwrap();
    table.scans().finish_unclaimed(&record.submission, &outcome(1)).await.unwrap();
    let never = DataId::random();
    for id in [&id, &never] {
        let result = table.scans().reschedule(id, 5).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    }
    assert!(due(&table, HOUR, 10).await.is_empty());
    assert_eq!(table.count().await, 1);
}
