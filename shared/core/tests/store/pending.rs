//! The index of open submissions: what sweep looks at.

use std::collections::HashSet;

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::store::StoreError;

use crate::table::{HOUR, Table, number, outcome, submission, submission_pk, text};

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
    table.scans().told(&id).await;
    let never = DataId::random();
    for id in [&id, &never] {
        let result = table.scans().reschedule(id, 5).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    }
    assert!(due(&table, HOUR, 10).await.is_empty());
    assert_eq!(table.count().await, 1);
}

/// Whoever ends a submission may die before anybody was told of it; for a scan its message repeats that.
#[tokio::test]
async fn what_has_ended_without_a_scan_stays_until_it_was_told_of() {
    let table = Table::new().await;
    let scans = table.scans();
    let (cancelled, overdue) = (submit(&table, 10).await, submit(&table, 10).await);
    let of = async |id: &DataId| scans.get(id).await.unwrap().unwrap().0;
    scans.cancel(&of(&cancelled).await).await.unwrap();
    scans.finish_unclaimed(&of(&overdue).await.submission, &outcome(1)).await.unwrap();
    let (by_scan, claimed) = table.claimed().await;
    scans.finish(&by_scan, &claimed.token, &outcome(1), None).await.unwrap();

    assert!(due(&table, now_ms(), 10).await.is_empty(), "whoever ended it has some time to tell of it");
    let untold: HashSet<_> = due(&table, now_ms() + HOUR, 10).await.into_iter().collect();
    assert_eq!(untold, HashSet::from([cancelled.clone(), overdue.clone()]));
    for id in [&cancelled, &overdue, &by_scan.id] {
        scans.told(id).await;
    }
    assert!(due(&table, now_ms() + HOUR, 10).await.is_empty());
    scans.untold(&by_scan.id).await;
    assert!(due(&table, now_ms(), 10).await.is_empty(), "its message may come again first");
    assert_eq!(due(&table, now_ms() + HOUR, 10).await, [by_scan.id]);
}

#[tokio::test]
async fn an_open_submission_can_not_be_told_of_and_is_looked_at_when_it_was_to_be() {
    let table = Table::new().await;
    let id = submit(&table, 10).await;
    for id in [&id, &DataId::random()] {
        table.scans().told(id).await;
        table.scans().untold(id).await;
    }
    assert_eq!(due(&table, 10, 10).await, [id]);
    assert_eq!(table.count().await, 1);
}

#[tokio::test]
async fn one_that_can_not_be_read_makes_room_for_others() {
    let table = Table::new().await;
    let id = submit(&table, 10).await;
    table.set(&submission_pk(&id), "META", "submission", text("{")).await;
    assert!(due(&table, 10, 10).await.is_empty());
    let item = table.submission_item(&id).await;
    assert!(item["check_at"] != number(10) && item.contains_key("pending_shard"), "{item:?}");
}
