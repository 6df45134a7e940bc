//! Webhook deliveries: attempts happen once and in their order, whatever is delivered twice.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::store::StoreError;
use portcullis_core::store::deliveries::{Begun, Deliveries, Ended, Facts, Progress};
use portcullis_core::webhook::{Subject, Webhook};

use crate::table::{HOUR, Table, number};

fn facts() -> Facts {
    Facts { subject: Subject::File, url: "https://receiver.example/".into(), owner: None }
}

fn failed(next_at: i64) -> Ended {
    Ended { status_code: 500, progress: Progress::Pending, next_at: Some(next_at) }
}

async fn opened(table: &Table) -> (Deliveries, Webhook) {
    let deliveries = Deliveries::new(table.client.clone(), &table.name);
    let id = DataId::random();
    deliveries.open(&id, &facts(), now_ms() + HOUR).await.unwrap();
    (deliveries, Webhook::first(id, Subject::File, now_ms()))
}

#[tokio::test]
async fn an_attempt_begins_once_and_its_end_makes_way_for_the_next() {
    let (deliveries, first) = opened(&Table::new().await).await;
    let before = deliveries.get(&first.id).await.unwrap().unwrap();
    assert_eq!((before.attempts, before.requested_at, before.status_code, before.progress), (0, None, 0, Progress::Pending));
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Now(_)));
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Elsewhere), "the same message again");
    assert!(matches!(deliveries.begin(&first.next(0)).await.unwrap(), Begun::Elsewhere), "not before the first one ended");
    deliveries.end(&first, failed(77)).await.unwrap();
    // Whoever made it may have died before it asked for the next: the message that comes again does.
    let Begun::Made(made) = deliveries.begin(&first).await.unwrap() else { panic!("the first attempt was made") };
    assert_eq!((made.attempts, made.status_code, made.next_at), (1, 500, Some(77)));
    let second = first.next(77);
    assert!(matches!(deliveries.begin(&second).await.unwrap(), Begun::Now(_)));
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Over), "the schedule does not start again");
    deliveries.end(&second, Ended { status_code: 204, progress: Progress::Delivered, next_at: None }).await.unwrap();
    for late in [&first, &second, &second.next(0)] {
        assert!(matches!(deliveries.begin(late).await.unwrap(), Begun::Over));
    }
    let after = deliveries.get(&first.id).await.unwrap().unwrap();
    assert_eq!((after.attempts, after.status_code, after.progress, after.next_at), (2, 204, Progress::Delivered, None));
    assert!(after.requested_at.is_some());
}

#[tokio::test]
async fn opening_again_changes_nothing_and_what_was_never_opened_is_over() {
    let table = Table::new().await;
    let (deliveries, first) = opened(&table).await;
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Now(_)));
    deliveries.open(&first.id, &Facts { url: "https://other.example/".into(), ..facts() }, now_ms() + HOUR).await.unwrap();
    let is = deliveries.get(&first.id).await.unwrap().unwrap();
    assert_eq!((is.facts, is.attempts), (facts(), 1));
    let unknown = Webhook::first(DataId::random(), Subject::Batch, 0);
    assert!(matches!(deliveries.begin(&unknown).await.unwrap(), Begun::Over));
    assert_eq!(deliveries.get(&unknown.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_attempt_whose_worker_died_is_made_again_after_its_lease() {
    let table = Table::new().await;
    let (deliveries, first) = opened(&table).await;
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Now(_)));
    table.set(&format!("WEBHOOK#{}", first.id), "DELIVERY", "lease_until", number(now_ms() - 1)).await;
    let Begun::Now(again) = deliveries.begin(&first).await.unwrap() else { panic!("the lease is over") };
    assert_eq!(again.attempts, 1);
}

#[tokio::test]
async fn a_new_round_begins_only_when_the_old_one_is_over_and_voids_its_messages() {
    let table = Table::new().await;
    let (deliveries, first) = opened(&table).await;
    assert!(matches!(deliveries.renew(&first.id).await, Err(StoreError::Conflict { .. })), "the first attempt is to come");
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Now(_)));
    deliveries.end(&first, Ended { status_code: 410, progress: Progress::Failed, next_at: None }).await.unwrap();
    let renewed = deliveries.renew(&first.id).await.unwrap();
    assert_eq!((renewed.round, renewed.attempts, renewed.progress, renewed.status_code), (2, 0, Progress::Pending, 410));
    assert!(matches!(deliveries.begin(&first).await.unwrap(), Begun::Over), "of the first round");
    assert!(matches!(deliveries.begin(&Webhook { round: 2, ..first.clone() }).await.unwrap(), Begun::Now(_)));
    assert!(matches!(deliveries.end(&first, failed(1)).await, Err(StoreError::Conflict { .. })), "an end of the first round");
    assert!(matches!(deliveries.renew(&DataId::random()).await, Err(StoreError::Conflict { .. })), "nothing to send again");
}
