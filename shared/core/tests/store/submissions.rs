//! Create, read, withdraw.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::State;
use portcullis_core::store::StoreError;

use crate::table::{HOUR, Table, number, object, submission, submission_pk};

#[tokio::test]
async fn what_was_created_reads_back_as_it_was() {
    let table = Table::new().await;
    let submission = table.submit().await;
    let (record, inline) = table.scans().get(&submission.id).await.unwrap().unwrap();
    assert_eq!(record.submission, submission);
    assert_eq!((record.state, record.attempts, record.object, record.started_at, record.outcome), (State::Uploading, 0, None, None, None));
    assert!(inline.children.is_none());
}

#[tokio::test]
async fn a_second_create_with_the_same_id_is_a_conflict_and_changes_nothing() {
    let table = Table::new().await;
    let first = table.submit().await;
    let mut second = submission();
    second.id = first.id.clone();
    let result = table.scans().create(&second, &["secret".into()], 0, now_ms() + HOUR).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(table.scans().get(&first.id).await.unwrap().unwrap().0.submission, first);
    assert!(!table.submission_item(&first.id).await.contains_key("passwords"));
}

#[tokio::test]
async fn a_childs_id_leads_to_the_record_of_its_archive() {
    let table = Table::new().await;
    let submission = table.submit().await;
    let child = submission.id.child(9_999);
    assert_ne!(child, submission.id);
    let (record, _) = table.scans().get(&child).await.unwrap().unwrap();
    assert_eq!(record.submission.id, submission.id);
    assert_eq!(record.submission.id.number_of(&child), 9_999);
}

#[tokio::test]
async fn an_unknown_id_is_not_there() {
    let table = Table::new().await;
    table.submit().await;
    assert!(table.scans().get(&DataId::random()).await.unwrap().is_none());
}

#[tokio::test]
async fn past_its_retention_a_submission_is_not_there_even_before_its_item_is_deleted() {
    let table = Table::new().await;
    let submission = table.submit().await;
    table.set(&submission_pk(&submission.id), "META", "expires_at", number(now_ms() / 1000 - 1)).await;
    assert!(table.scans().get(&submission.id).await.unwrap().is_none());
    table.set(&submission_pk(&submission.id), "META", "expires_at", number(now_ms() / 1000 + 60)).await;
    assert!(table.scans().get(&submission.id).await.unwrap().is_some());
}

#[tokio::test]
async fn the_ttl_attribute_is_in_seconds() {
    let table = Table::new().await;
    let submission = submission();
    table.scans().create(&submission, &[], 0, 1_900_000_000_999).await.unwrap();
    assert_eq!(table.submission_item(&submission.id).await.get("expires_at"), Some(&number(1_900_000_000)));
}

#[tokio::test]
async fn withdrawn_before_its_object_is_seen_a_submission_is_gone() {
    let table = Table::new().await;
    let submission = table.submit().await;
    table.scans().withdraw(&submission.id).await.unwrap();
    assert!(table.scans().get(&submission.id).await.unwrap().is_none());
    assert_eq!(table.count().await, 0);
    let again = table.scans().withdraw(&submission.id).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

#[tokio::test]
async fn once_its_object_was_seen_a_submission_can_not_be_withdrawn() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    for step in ["claimed", "released"] {
        let result = table.scans().withdraw(&submission.id).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{step}: {result:?}");
        let _ = table.scans().release(&submission.id, &claimed.token).await;
    }
    assert_eq!(table.scans().get(&submission.id).await.unwrap().unwrap().0.object, Some(object(&submission)));
}
