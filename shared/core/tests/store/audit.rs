//! The audit log: written with the change or not at all, read by time, user and action, page by page.

use std::collections::BTreeSet;

use portcullis_core::audit::{Change, Filter, Page};
use portcullis_core::auth::Actor;
use portcullis_core::clock::now_ms;
use portcullis_core::http::origin::Origin;
use portcullis_core::store::StoreError;
use serde_json::json;

use crate::table::{HOUR, Table, text};

fn by(name: &str) -> Actor {
    Actor { user_id: Some(7), name: name.into(), origin: Origin { ip: "192.0.2.1".parse().ok(), request_id: "request".into() } }
}

fn all() -> Filter {
    Filter { from: now_ms() - HOUR, to: now_ms() + HOUR, ..Filter::default() }
}

async fn read(table: &Table, filter: &Filter) -> Page {
    table.audit().page(filter, None, 100).await.unwrap()
}

#[tokio::test]
async fn a_setting_and_its_entry_are_written_together_or_not_at_all() {
    let table = Table::new().await;
    let (settings, audit) = (table.settings(), table.audit());
    let change = |before: u64, after: u64| Change::of(by("LOCAL/ann"), "config.test.write", "TEST", &before, &after);
    assert_eq!(settings.change(&audit, change(0, 1), "TEST", &1, Some(0)).await.unwrap(), 1);
    assert_eq!(settings.change(&audit, change(1, 2), "TEST", &2, None).await.unwrap(), 2);
    let stale = settings.change(&audit, change(1, 3), "TEST", &3, Some(1)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })), "{stale:?}");
    assert_eq!(settings.get::<u64>("TEST").await.unwrap(), Some(2));
    let page = read(&table, &all()).await;
    let told: Vec<_> = page.entries.iter().map(|entry| (entry.before.clone(), entry.after.clone())).collect();
    assert_eq!(told, [(json!(1), json!(2)), (json!(0), json!(1))], "newest first, and nothing of what did not happen");
    let entry = &page.entries[0];
    assert_eq!((entry.user.as_str(), entry.user_id, entry.ip.as_str()), ("LOCAL/ann", Some(7), "192.0.2.1"));
    assert_eq!((entry.action.as_str(), entry.target.as_str(), entry.request_id.as_str()), ("config.test.write", "TEST", "request"));
}

#[tokio::test]
async fn of_many_who_change_a_setting_at_once_each_has_his_revision_and_entry() {
    let table = Table::new().await;
    let (settings, audit) = (&table.settings(), &table.audit());
    let writes = (0..6_u64)
        .map(|n| async move { settings.change(audit, Change::of(by("LOCAL/ann"), "config.test.write", "TEST", &(), &n), "TEST", &n, None).await });
    let revisions: BTreeSet<u64> = futures::future::try_join_all(writes).await.unwrap().into_iter().collect();
    assert_eq!(revisions, (1..=6).collect());
    assert_eq!(read(&table, &all()).await.entries.len(), 6);
}

#[tokio::test]
async fn entries_are_found_by_time_user_and_action_page_by_page() {
    let table = Table::new().await;
    let audit = table.audit();
    for n in 0..7 {
        let (user, action) = if n % 2 == 0 { ("LOCAL/ann", "user.update") } else { ("LOCAL/bob", "username.other") };
        audit.note(&Change::event(by(user), action, format!("t{n}"))).await.unwrap();
        // Within a millisecond there is no order.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = audit.page(&all(), cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.entries.into_iter().map(|entry| entry.target));
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    assert_eq!(seen, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"], "every entry once");
    let of_bob = read(&table, &Filter { user: Some("LOCAL/bob".into()), ..all() }).await;
    assert_eq!(of_bob.entries.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>(), ["t5", "t3", "t1"]);
    let users = read(&table, &Filter { action: Some("user".into()), ..all() }).await;
    assert_eq!(users.entries.len(), 4, "`user` is not `username`");
    let before = read(&table, &Filter { to: now_ms() - 1000, ..all() }).await;
    assert!(before.entries.is_empty() && before.next.is_none());
    let long_ago = read(&table, &Filter { from: 0, ..all() }).await;
    assert_eq!(long_ago.entries.len(), 7);
}

#[tokio::test]
async fn what_is_too_old_is_removed_and_nothing_else() {
    let table = Table::new().await;
    let audit = table.audit();
    audit.note(&Change::event(by("LOCAL/ann"), "login", "new")).await.unwrap();
    // Two months ago, written around the log.
    let (old, name) = (now_ms() - 61 * 24 * HOUR, format!("{}-audit", table.name));
    let month = portcullis_core::clock::iso(old)[..7].to_owned();
    let put = table.client.put_item().table_name(&name).item("pk", text(&format!("MONTH#{month}"))).item("sk", text(&format!("{old:013}-0")));
    put.item("username", text("LOCAL/ann")).send().await.unwrap();
    assert_eq!(read(&table, &Filter { from: 0, ..all() }).await.entries.len(), 2);
    assert_eq!(audit.remove_before(now_ms() - 70 * 24 * HOUR, 12).await.unwrap(), 0);
    assert_eq!(audit.remove_before(now_ms() - 60 * 24 * HOUR, 12).await.unwrap(), 1);
    assert_eq!(read(&table, &Filter { from: 0, ..all() }).await.entries.len(), 1);
}
