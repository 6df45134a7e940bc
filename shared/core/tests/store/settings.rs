//! Configuration that changes without a deploy.

use portcullis_core::store::StoreError;
use serde_json::{Value, json};

use crate::table::{Table, text};

#[tokio::test]
async fn what_was_put_is_read_at_once_by_the_writer_and_by_a_new_reader() {
    let table = Table::new().await;
    let settings = table.settings();
    assert_eq!(settings.get::<Value>("A").await.unwrap(), None);
    settings.put("A", &json!({ "x": 1 })).await.unwrap();
    assert_eq!(settings.get::<Value>("A").await.unwrap(), Some(json!({ "x": 1 })), "not the cached absence");
    settings.put("A", &json!([2])).await.unwrap();
    assert_eq!(settings.get::<Value>("A").await.unwrap(), Some(json!([2])));
    assert_eq!(table.settings().get::<Value>("A").await.unwrap(), Some(json!([2])));
    assert_eq!(settings.get::<Value>("B").await.unwrap(), None, "documents have names");
}

#[tokio::test]
async fn within_its_time_the_cache_answers_without_a_call() {
    let table = Table::new().await;
    let (reader, writer) = (table.settings(), table.settings());
    writer.put("A", &1).await.unwrap();
    assert_eq!(reader.get::<u8>("A").await.unwrap(), Some(1));
    assert_eq!(reader.get::<u8>("B").await.unwrap(), None);
    writer.put("A", &2).await.unwrap();
    writer.put("B", &2).await.unwrap();
    assert_eq!(reader.get::<u8>("A").await.unwrap(), Some(1));
    assert_eq!(reader.get::<u8>("B").await.unwrap(), None, "absence is cached as well");
    table.client.delete_table().table_name(&table.name).send().await.unwrap();
    assert_eq!(reader.get::<u8>("A").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_document_that_can_not_be_parsed_is_an_error_and_never_a_default() {
    let table = Table::new().await;
    table.settings().put("A", &json!({ "x": 1 })).await.unwrap();
    let wrong = table.settings().get::<Vec<String>>("A").await;
    assert!(matches!(wrong, Err(StoreError::Permanent { .. })), "{wrong:?}");
    table.set("CONFIG", "A", "body", text("{")).await;
    let broken = table.settings().get::<Value>("A").await;
    assert!(matches!(broken, Err(StoreError::Permanent { .. })), "{broken:?}");
}

#[tokio::test]
async fn a_table_that_is_not_there_is_missing() {
    let table = Table::new().await;
    table.client.delete_table().table_name(&table.name).send().await.unwrap();
    let result = table.settings().get::<Value>("A").await;
    assert!(matches!(result, Err(StoreError::Missing { .. })), "{result:?}");
}

#[tokio::test]
async fn a_change_based_on_a_stale_revision_is_refused() {
    let table = Table::new().await;
    let (one, other) = (table.settings(), table.settings());
    assert_eq!(one.versioned::<u8>("A").await.unwrap(), (None, 0));
    assert_eq!(one.replace("A", &1, 0).await.unwrap(), 1);
    assert!(matches!(other.replace("A", &2, 0).await, Err(StoreError::Conflict { .. })), "somebody wrote it meanwhile");
    assert_eq!(other.versioned::<u8>("A").await.unwrap(), (Some(1), 1));
    assert_eq!(other.replace("A", &2, 1).await.unwrap(), 2);
    one.put("A", &3).await.unwrap();
    assert_eq!(one.versioned::<u8>("A").await.unwrap(), (Some(3), 3), "every write is a revision");
    assert!(matches!(one.replace("A", &4, 2).await, Err(StoreError::Conflict { .. })));
    assert_eq!(other.get::<u8>("A").await.unwrap(), Some(3));
}
