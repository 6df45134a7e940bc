//! Users, static keys and sessions.

use portcullis_core::auth::Actor;
use portcullis_core::clock::now_ms;
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{KeyOwner, Session, User, digest};

use crate::table::{HOUR, Table};

fn user(id: u64, name: &str, key: Option<&str>) -> User {
    User {
        id,
        name: name.to_owned(),
        display_name: format!("User {name}"),
        email: format!("{name}@example.com"),
        roles: vec!["2".into()],
        apikey_sha256: key.map(digest),
        password_hash: Some("$argon2id$…".into()),
    }
}

fn session(user_id: u64, at: i64) -> Session {
    Session { user_id, created_at: at, last_used: at }
}

#[tokio::test]
async fn a_user_is_found_by_id_name_and_key() {
    let table = Table::new().await;
    let identity = table.identity();
    let ann = user(7, "ann", Some("ann's key"));
    identity.create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    assert_eq!(identity.user(7).await.unwrap(), Some(ann.clone()));
    assert_eq!(identity.user_by_name("ann").await.unwrap(), Some(ann));
    assert_eq!(identity.owner_of_key(&digest("ann's key")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));

    assert_eq!(identity.user(8).await.unwrap(), None);
    assert_eq!(identity.user_by_name("Ann").await.unwrap(), None);
    assert_eq!(identity.owner_of_key(&digest("another key")).await.unwrap(), None);
}

#[tokio::test]
async fn keys_are_stored_as_digests_only() {
    let table = Table::new().await;
    table.identity().create_user(&table.audit(), Actor::system(), &user(7, "ann", Some("plain-key"))).await.unwrap();
    table.identity().create_session(&digest("plain-session"), &session(7, now_ms()), now_ms() + HOUR).await.unwrap();
    let items = table.client.scan().table_name(&table.name).send().await.unwrap();
    assert!(!format!("{items:?}").contains("plain-"));
}

#[tokio::test]
async fn an_id_a_name_or_a_key_that_is_taken_is_a_conflict_and_nothing_is_half_written() {
    let table = Table::new().await;
    let identity = table.identity();
    let ann = user(7, "ann", Some("ann's key"));
    identity.create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    let before = table.count().await;
    for (what, other) in [
        ("id", user(7, "bob", Some("bob's key"))),
        ("name", user(8, "ann", Some("bob's key"))),
        ("key", user(8, "bob", Some("ann's key"))),
        ("id, without key", user(7, "bob", None)),
    ] {
        let result = identity.create_user(&table.audit(), Actor::system(), &other).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{what}: {result:?}");
        assert_eq!(table.count().await, before, "{what}");
    }
    assert_eq!(identity.user_by_name("ann").await.unwrap(), Some(ann));
    assert_eq!(identity.user_by_name("bob").await.unwrap(), None);
    assert_eq!(identity.owner_of_key(&digest("ann's key")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));
    identity.create_user(&table.audit(), Actor::system(), &user(8, "bob", Some("bob's key"))).await.unwrap();
}

#[tokio::test]
async fn of_several_who_create_the_first_administrator_at_once_one_does() {
    let table = Table::new().await;
    let tasks = (0..10).map(|_| {
        let (identity, audit) = (table.identity(), table.audit());
        tokio::spawn(async move { identity.create_user(&audit, Actor::system(), &user(2, "admin", Some("key"))).await })
    });
    let results = futures::future::try_join_all(tasks).await.unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    // Those that met in the middle may try again; nobody is told that it can never work.
    assert!(results.iter().all(|r| matches!(r, Ok(()) | Err(StoreError::Conflict { .. } | StoreError::Retry { .. }))), "{results:?}");
    assert_eq!(table.count().await, 3);
}

#[tokio::test]
async fn ids_are_given_out_once() {
    let table = Table::new().await;
    let identity = table.identity();
    assert_eq!(identity.last_user_id().await.unwrap(), 2);
    let ids = futures::future::try_join_all((0..10).map(|_| identity.next_user_id())).await.unwrap();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (3..=12).collect::<Vec<_>>());
    assert_eq!(identity.last_user_id().await.unwrap(), 12);
}

#[tokio::test]
async fn a_session_lives_until_it_is_ended_and_being_used_does_not_bring_it_back() {
    let table = Table::new().await;
    let identity = table.identity();
    let (key, now) = (digest("session id"), now_ms());
    identity.create_session(&key, &session(7, now), now + HOUR).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), Some(KeyOwner::Session(session(7, now))));
    identity.touch_session(&key, now + 5, now + 2 * HOUR).await.unwrap();
    let touched = Session { last_used: now + 5, ..session(7, now) };
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), Some(KeyOwner::Session(touched)));

    identity.delete_session(&key).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), None);
    identity.touch_session(&key, now, now + HOUR).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), None);
    assert_eq!(table.count().await, 0);
    identity.delete_session(&key).await.unwrap();
}

#[tokio::test]
async fn an_expired_session_is_gone_even_before_its_item_is_deleted() {
    let table = Table::new().await;
    let identity = table.identity();
    let key = digest("session id");
    identity.create_session(&key, &session(7, now_ms()), now_ms() - 1000).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_key_takes_the_old_ones_place() {
    let table = Table::new().await;
    let identity = table.identity();
    let ann = user(7, "ann", Some("old"));
    identity.create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    identity.replace_key(&ann, &digest("new")).await.unwrap();
    assert_eq!(identity.owner_of_key(&digest("old")).await.unwrap(), None);
    assert_eq!(identity.owner_of_key(&digest("new")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));
    let changed = identity.user(7).await.unwrap().unwrap();
    assert_eq!(changed, user(7, "ann", Some("new")));

    identity.replace_key(&changed, &digest("new")).await.unwrap();
    assert_eq!(identity.owner_of_key(&digest("new")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }), "the same key again stays");
    let keyless = user(8, "bob", None);
    identity.create_user(&table.audit(), Actor::system(), &keyless).await.unwrap();
    identity.replace_key(&keyless, &digest("first")).await.unwrap();
    assert_eq!(identity.owner_of_key(&digest("first")).await.unwrap(), Some(KeyOwner::Static { user_id: 8 }));
}

#[tokio::test]
async fn another_users_key_can_not_be_taken_and_the_own_one_stays() {
    let table = Table::new().await;
    let identity = table.identity();
    let (ann, bob) = (user(7, "ann", Some("ann's")), user(8, "bob", Some("bob's")));
    identity.create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    identity.create_user(&table.audit(), Actor::system(), &bob).await.unwrap();
    let result = identity.replace_key(&ann, &digest("bob's")).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(identity.owner_of_key(&digest("bob's")).await.unwrap(), Some(KeyOwner::Static { user_id: 8 }));
    assert_eq!(identity.owner_of_key(&digest("ann's")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));
    assert_eq!(identity.user(7).await.unwrap(), Some(ann));
}

#[tokio::test]
async fn a_user_who_is_not_there_gets_no_key() {
    let table = Table::new().await;
    let result = table.identity().replace_key(&user(7, "ann", None), &digest("key")).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(table.count().await, 0);
}
