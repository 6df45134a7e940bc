//! Users, static keys and sessions.

use portcullis_core::audit::Change;
use portcullis_core::auth::Actor;
use portcullis_core::clock::now_ms;
use portcullis_core::http::origin::Origin;
use portcullis_core::store::StoreError;
use portcullis_core::store::identity::{Guard, KeyOwner, Opened, Refused, Session, User, digest};

use crate::table::{HOUR, Table};

fn user(id: u64, name: &str, key: Option<&str>) -> User {
    User {
        display_name: format!("User {name}"),
        email: format!("{name}@example.com"),
        roles: vec!["2".into()],
        apikey_sha256: key.map(digest),
        password_hash: Some("$argon2id$…".into()),
        ..User::local(id, name)
    }
}

fn session(user_id: u64, at: i64) -> Session {
    Session { user_id, created_at: at, last_used: at, ip: Some("192.0.2.1".into()) }
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
    let ann = user(7, "ann", Some("plain-key"));
    table.identity().create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    assert_eq!(open(&table, &ann, 1, "plain-session", now_ms()).await, Opened::Yes);
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
    assert_eq!(table.count().await, 4, "user, name, key and the guard");
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

/// Opens a session for a user of this revision.
async fn open(table: &Table, user: &User, revision: u64, id: &str, at: i64) -> Opened {
    let change = Change::event(Actor::user(user, Origin::default()), "login", "user");
    table.identity().open_session(&table.audit(), &change, (user, revision), &digest(id), &session(user.id, at), at + HOUR).await.unwrap()
}

async fn ann(table: &Table) -> User {
    let ann = user(7, "ann", Some("ann's"));
    table.identity().create_user(&table.audit(), Actor::system(), &ann).await.unwrap();
    ann
}

/// Changes a user as he is now.
async fn change(table: &Table, after: &User) -> Option<Refused> {
    let (before, revision) = table.identity().versioned(after.id).await.unwrap().unwrap();
    let guard = table.identity().guard().await.unwrap();
    change_of(table, (&before, revision), after, guard).await
}

async fn change_of(table: &Table, before: (&User, u64), after: &User, guard: Guard) -> Option<Refused> {
    let change = Change::event(Actor::system(), "user.update", "user");
    table.identity().update_user(&table.audit(), &change, before, after, guard).await.unwrap()
}

#[tokio::test]
async fn a_session_lives_until_it_is_ended_and_being_used_does_not_bring_it_back() {
    let table = Table::new().await;
    let identity = table.identity();
    let (ann, key, now) = (ann(&table).await, digest("session id"), now_ms());
    let items = table.count().await;
    assert_eq!(open(&table, &ann, 1, "session id", now).await, Opened::Yes);
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), Some(KeyOwner::Session(session(7, now))));
    identity.touch_session(&key, now + 5, now + 2 * HOUR).await.unwrap();
    let touched = Session { last_used: now + 5, ..session(7, now) };
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), Some(KeyOwner::Session(touched.clone())));
    assert_eq!(identity.sessions(7).await.unwrap(), [(key.clone(), touched.clone())]);
    assert_eq!(identity.newest_session(7).await.unwrap(), Some(key.clone()));

    identity.delete_session(&key, &touched).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), None);
    identity.touch_session(&key, now, now + HOUR).await.unwrap();
    assert_eq!(identity.owner_of_key(&key).await.unwrap(), None);
    assert_eq!(table.count().await, items + 1, "what is left is the user's login item");
    identity.delete_session(&key, &touched).await.unwrap();
}

#[tokio::test]
async fn an_expired_session_is_gone_even_before_its_item_is_deleted() {
    let table = Table::new().await;
    let ann = ann(&table).await;
    assert_eq!(open(&table, &ann, 1, "session id", now_ms() - HOUR - 1000).await, Opened::Yes);
    assert_eq!(table.identity().owner_of_key(&digest("session id")).await.unwrap(), None);
    assert!(table.identity().sessions(7).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_password_that_was_changed_while_it_was_verified_opens_nothing() {
    let table = Table::new().await;
    let ann = ann(&table).await;
    assert_eq!(change(&table, &User { password_hash: Some("other".into()), ..ann.clone() }).await, None);
    assert_eq!(open(&table, &ann, 1, "late", now_ms()).await, Opened::UserChanged);
    assert_eq!(table.identity().owner_of_key(&digest("late")).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_key_takes_the_old_ones_place_and_a_new_name_the_old_ones() {
    let table = Table::new().await;
    let identity = table.identity();
    let ann = ann(&table).await;
    let anna = User { name: "anna".into(), apikey_sha256: Some(digest("new")), ..ann.clone() };
    assert_eq!(change(&table, &anna).await, None);
    assert_eq!(identity.owner_of_key(&digest("ann's")).await.unwrap(), None);
    assert_eq!(identity.owner_of_key(&digest("new")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));
    assert_eq!((identity.user_by_name("ann").await.unwrap(), identity.user_by_name("anna").await.unwrap()), (None, Some(anna.clone())));
    assert_eq!(change(&table, &User { apikey_sha256: None, ..anna }).await, None);
    assert_eq!(identity.owner_of_key(&digest("new")).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_in_the_way_of_a_change_is_told_and_nothing_is_half_written() {
    let table = Table::new().await;
    let identity = table.identity();
    let (ann, bob) = (ann(&table).await, user(8, "bob", Some("bob's")));
    let stale = identity.guard().await.unwrap();
    identity.create_user(&table.audit(), Actor::system(), &bob).await.unwrap();
    let guard = identity.guard().await.unwrap();
    let renamed = User { name: "bob".into(), apikey_sha256: None, ..ann.clone() };
    assert_eq!(change_of(&table, (&ann, 1), &renamed, guard).await, Some(Refused::Name));
    let taken = User { apikey_sha256: Some(digest("bob's")), ..ann.clone() };
    assert_eq!(change_of(&table, (&ann, 1), &taken, guard).await, Some(Refused::Key));
    assert_eq!(change_of(&table, (&ann, 2), &ann, guard).await, Some(Refused::Revision));
    assert_eq!(change_of(&table, (&ann, 1), &ann, stale).await, Some(Refused::Guard));
    assert_eq!(identity.versioned(7).await.unwrap(), Some((ann, 1)));
    assert_eq!(identity.owner_of_key(&digest("bob's")).await.unwrap(), Some(KeyOwner::Static { user_id: 8 }));
    assert_eq!(identity.owner_of_key(&digest("ann's")).await.unwrap(), Some(KeyOwner::Static { user_id: 7 }));
}

#[tokio::test]
async fn a_deleted_user_is_gone_with_name_and_key_and_his_id_is_not_given_again() {
    let table = Table::new().await;
    let identity = table.identity();
    let ann = ann(&table).await;
    let guard = identity.guard().await.unwrap();
    let change = Change::event(Actor::system(), "user.delete", "user");
    assert_eq!(identity.delete_user(&table.audit(), &change, (&ann, 2), guard).await.unwrap(), Some(Refused::Revision));
    assert_eq!(identity.delete_user(&table.audit(), &change, (&ann, 1), guard).await.unwrap(), None);
    assert_eq!((identity.user(7).await.unwrap(), identity.user_by_name("ann").await.unwrap()), (None, None));
    assert_eq!(identity.owner_of_key(&digest("ann's")).await.unwrap(), None);
    let back = identity.create_user(&table.audit(), Actor::system(), &ann).await;
    assert!(matches!(back, Err(StoreError::Conflict { .. })), "{back:?}");
}

#[tokio::test]
async fn users_are_listed_a_hundred_in_a_read() {
    let table = Table::new().await;
    let (identity, audit) = (table.identity(), table.audit());
    for n in 0..105 {
        let id = identity.next_user_id().await.unwrap();
        if n % 20 == 0 {
            identity.create_user(&audit, Actor::system(), &user(id, &format!("u{n}"), None)).await.unwrap();
        }
    }
    let listed = identity.users().await.unwrap();
    assert_eq!(listed.iter().map(|(user, _)| user.id).collect::<Vec<_>>(), [3, 23, 43, 63, 83, 103]);
}

#[tokio::test]
async fn of_many_failures_at_once_none_is_lost_and_the_lock_holds_until_its_time() {
    let table = Table::new().await;
    let (identity, audit) = (&table.identity(), &table.audit());
    let ann = ann(&table).await;
    let now = now_ms();
    let failure = || Change::event(Actor::system(), "login.failed", "user");
    // As the login does it, with a lock at the third.
    let attempts = (0..12).map(|_| async move {
        loop {
            let seen = identity.failures(7, now).await.unwrap();
            if seen.is_locked(now) {
                return 0;
            }
            let until = (seen.count + 1 >= 3).then_some(now + HOUR);
            match identity.count_failure(audit, &failure(), 7, &seen, until, now).await {
                Ok(()) => return 1,
                Err(StoreError::Conflict { .. } | StoreError::Retry { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let counted: u64 = futures::future::join_all(attempts).await.into_iter().sum();
    assert_eq!(counted, 3, "exactly as many as lock");
    assert_eq!(open(&table, &ann, 1, "guessed", now).await, Opened::Locked, "the right password comes too late");
    assert_eq!(open(&table, &ann, 1, "still", now + HOUR - 1).await, Opened::Locked);
    assert_eq!(open(&table, &ann, 1, "in time", now + HOUR).await, Opened::Yes, "released by itself, to the millisecond");
    assert_eq!(identity.failures(7, now + HOUR).await.unwrap().count, 0);
}

#[tokio::test]
async fn a_release_lets_in_at_once_and_failures_are_forgotten_after_a_day() {
    let table = Table::new().await;
    let (identity, audit) = (table.identity(), table.audit());
    let ann = ann(&table).await;
    let (now, change) = (now_ms(), Change::event(Actor::system(), "login.failed", "user"));
    let none = identity.failures(7, now).await.unwrap();
    identity.count_failure(&audit, &change, 7, &none, Some(now + HOUR), now).await.unwrap();
    assert_eq!(open(&table, &ann, 1, "locked", now).await, Opened::Locked);
    identity.release(&audit, &change, 7).await.unwrap();
    let none = identity.failures(7, now).await.unwrap();
    identity.count_failure(&audit, &change, 7, &none, None, now).await.unwrap();
    assert_eq!(identity.failures(7, now).await.unwrap().count, 1);
    assert_eq!(identity.failures(7, now + 25 * HOUR).await.unwrap().count, 0);
    assert_eq!(open(&table, &ann, 1, "released", now).await, Opened::Yes);
}
