//! The claim: who scans, who may write the verdict, and what the tries say.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{ObjectRef, State};
use portcullis_core::domain::verdict::Code;
use portcullis_core::store::StoreError;
use portcullis_core::store::scans::{Cancelled, Claim, LEASE_MS};

use crate::table::{HOUR, Table, number, object, outcome, report, submission};

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

#[tokio::test]
async fn the_first_claim_wins_pins_the_object_and_hands_out_the_passwords() {
    let table = Table::new().await;
    let submission = submission();
    table.scans().create(&submission, &["a".into(), "b".into()], now_ms() + HOUR, now_ms() + HOUR).await.unwrap();
    let before = now_ms();
    let claimed = table.claim(&submission).await;
    assert_eq!(claimed.passwords, ["a", "b"]);
    assert_eq!((claimed.record.state, claimed.record.attempts), (State::Processing, 1));
    assert_eq!(claimed.record.object, Some(object(&submission)));
    assert!(claimed.record.started_at.is_some_and(|at| (before..=now_ms()).contains(&at)));
    assert_eq!(claimed.record.submission, submission);
}

#[tokio::test]
async fn while_one_worker_holds_the_claim_another_is_told_until_when() {
    let table = Table::new().await;
    let (submission, _claimed) = table.claimed().await;
    let Claim::Held { until } = table.scans().claim(&submission.id, &object(&submission)).await.unwrap() else { panic!("not held") };
    assert!((now_ms() + LEASE_MS - 5000..=now_ms() + LEASE_MS).contains(&until), "{until}");
}

#[tokio::test]
async fn a_finished_submission_answers_with_its_record() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    table.scans().finish(&submission, &claimed.token, &outcome(5), None).await.unwrap();
    let Claim::Done(record) = table.scans().claim(&submission.id, &object(&submission)).await.unwrap() else { panic!("not done") };
    assert_eq!(record.outcome, Some(outcome(5)));
}

#[tokio::test]
async fn another_version_of_the_object_is_never_judged_not_even_after_the_verdict() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    let changes: [fn(&mut ObjectRef); 4] = [|o| o.version = Some("v2".into()), |o| o.version = None, |o| o.etag = "e2".into(), |o| o.size += 1];
    for finished in [false, true] {
        for change in changes {
            let mut other = object(&submission);
            change(&mut other);
            let claim = table.scans().claim(&submission.id, &other).await.unwrap();
            assert!(matches!(claim, Claim::OtherObject), "{finished} {other:?}: {claim:?}");
        }
        table.let_lease_end(&submission.id).await;
        if !finished {
            table.scans().finish(&submission, &claimed.token, &outcome(5), None).await.unwrap();
        }
    }
    let (record, _) = table.scans().get(&submission.id).await.unwrap().unwrap();
    assert_eq!((record.object, record.attempts), (Some(object(&submission)), 1));
}

#[tokio::test]
async fn what_was_never_submitted_can_not_be_claimed_and_is_not_created() {
    let table = Table::new().await;
    let claim = table.scans().claim(&DataId::random(), &object(&submission())).await.unwrap();
    assert!(matches!(claim, Claim::Missing), "{claim:?}");
    assert_eq!(table.count().await, 0);
}

#[tokio::test]
async fn a_dead_workers_claim_is_taken_over_when_its_lease_ends_and_it_loses_every_late_write() {
    let table = Table::new().await;
    let (submission, dead) = table.claimed().await;
    table.let_lease_end(&submission.id).await;
    let alive = table.claim(&submission).await;
    assert_ne!(alive.token, dead.token);
    assert_eq!(alive.record.attempts, 2, "the dead worker's try counts");
    assert_eq!(alive.record.started_at, dead.record.started_at, "the first start stays");

    let (scans, id) = (table.scans(), &submission.id);
    let before = table.submission_item(id).await;
    assert!(is_conflict(&scans.renew(id, &dead.token).await));
    assert!(is_conflict(&scans.count_death(id, &dead.token).await));
    assert!(is_conflict(&scans.release(id, &dead.token).await));
    assert!(is_conflict(&scans.finish(&submission, &dead.token, &outcome(1), None).await));
    assert_eq!(table.submission_item(id).await, before, "late writes leave no trace");

    scans.finish(&submission, &alive.token, &outcome(2), None).await.unwrap();
    assert!(is_conflict(&scans.finish(&submission, &dead.token, &outcome(3), None).await));
    assert!(is_conflict(&scans.finish(&submission, &alive.token, &outcome(4), None).await), "a verdict is written once");
    assert_eq!(scans.get(id).await.unwrap().unwrap().0.outcome, Some(outcome(2)));
}

#[tokio::test]
async fn a_late_worker_whose_claim_nobody_took_still_finishes() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    table.let_lease_end(&submission.id).await;
    table.scans().renew(&submission.id, &claimed.token).await.unwrap();
    assert!(matches!(table.scans().claim(&submission.id, &object(&submission)).await.unwrap(), Claim::Held { .. }));
    table.let_lease_end(&submission.id).await;
    table.scans().finish(&submission, &claimed.token, &outcome(2), None).await.unwrap();
}

#[tokio::test]
async fn no_token_fits_a_submission_that_nobody_claimed() {
    let table = Table::new().await;
    let submission = table.submit().await;
    let missing = self::submission();
    for submission in [&submission, &missing] {
        let id = &submission.id;
        assert!(is_conflict(&table.scans().renew(id, "").await));
        assert!(is_conflict(&table.scans().release(id, "x").await));
        assert!(is_conflict(&table.scans().finish(submission, "x", &outcome(1), None).await));
    }
    assert_eq!(table.count().await, 1, "a late write never makes an item");
}

#[tokio::test]
async fn a_try_that_is_given_back_does_not_count_and_a_death_does() {
    let table = Table::new().await;
    let scans = table.scans();
    let submission = table.submit().await;
    let id = &submission.id;
    for round in 0..3 {
        let claimed = table.claim(&submission).await;
        assert_eq!(claimed.record.attempts, 1, "round {round}");
        scans.release(id, &claimed.token).await.unwrap();
        assert!(is_conflict(&scans.release(id, &claimed.token).await), "given back once");
    }
    assert_eq!(scans.get(id).await.unwrap().unwrap().0.attempts, 0);

    let claimed = table.claim(&submission).await;
    assert_eq!(scans.count_death(id, &claimed.token).await.unwrap(), 2);
    assert_eq!(scans.count_death(id, &claimed.token).await.unwrap(), 3);
    scans.release(id, &claimed.token).await.unwrap();
    assert_eq!(scans.get(id).await.unwrap().unwrap().0.attempts, 2, "the deaths stay");
    assert_eq!(table.claim(&submission).await.record.attempts, 3);
}

#[tokio::test]
async fn counting_a_death_renews_the_claim() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    table.let_lease_end(&submission.id).await;
    table.scans().count_death(&submission.id, &claimed.token).await.unwrap();
    assert!(matches!(table.scans().claim(&submission.id, &object(&submission)).await.unwrap(), Claim::Held { .. }));
}

#[tokio::test]
async fn a_released_submission_is_free_at_once() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    table.scans().release(&submission.id, &claimed.token).await.unwrap();
    assert!(is_conflict(&table.scans().renew(&submission.id, &claimed.token).await));
    table.claim(&submission).await;
}

#[tokio::test]
async fn a_verdict_removes_passwords_claim_and_index_entry_and_keeps_the_children() {
    let table = Table::new().await;
    let scans = table.scans();
    let submission = submission();
    scans.create(&submission, &["secret".into()], 1, now_ms() + HOUR).await.unwrap();
    let claimed = table.claim(&submission).await;
    let children = [report("a.zip/1"), report("a.zip/2")];
    scans.finish(&submission, &claimed.token, &outcome(5), Some(&children)).await.unwrap();

    let item = table.submission_item(&submission.id).await;
    for attribute in ["passwords", "claim_token", "pending_shard", "check_at"] {
        assert!(!item.contains_key(attribute), "{attribute} stays");
    }
    assert!(!format!("{item:?}").contains("secret"));
    assert!(scans.due(now_ms() + HOUR, 10).await.unwrap().is_empty());
    let (record, inline) = scans.get(&submission.id).await.unwrap().unwrap();
    assert_eq!((record.state, record.outcome, record.submission), (State::Done, Some(outcome(5)), submission));
    assert_eq!(inline.children.as_deref(), Some(children.as_slice()));
}

#[tokio::test]
async fn sweep_ends_only_what_no_worker_holds() {
    let table = Table::new().await;
    let scans = table.scans();
    let missing = scans.finish_unclaimed(&submission(), &outcome(1)).await;
    assert!(is_conflict(&missing), "{missing:?}");

    let (held, claimed) = table.claimed().await;
    assert!(is_conflict(&scans.finish_unclaimed(&held, &outcome(1)).await));
    table.let_lease_end(&held.id).await;
    scans.finish_unclaimed(&held, &outcome(2)).await.unwrap();
    assert!(is_conflict(&scans.finish(&held, &claimed.token, &outcome(3), None).await), "the late worker loses");
    assert!(is_conflict(&scans.finish_unclaimed(&held, &outcome(4)).await), "once");
    assert_eq!(scans.get(&held.id).await.unwrap().unwrap().0.outcome, Some(outcome(2)));

    let waiting = table.submit().await;
    scans.finish_unclaimed(&waiting, &outcome(5)).await.unwrap();
    let (record, _) = scans.get(&waiting.id).await.unwrap().unwrap();
    assert_eq!((record.state, record.outcome, record.object), (State::Done, Some(outcome(5)), None));
    assert!(matches!(scans.claim(&waiting.id, &object(&waiting)).await.unwrap(), Claim::Done(_)), "its object comes too late");
    assert_eq!(table.count().await, 2);
}

#[tokio::test]
async fn of_twenty_workers_at_once_exactly_one_wins() {
    let table = Table::new().await;
    for takeover in [false, true] {
        let submission = table.submit().await;
        if takeover {
            table.claim(&submission).await;
            table.let_lease_end(&submission.id).await;
        }
        let object = object(&submission);
        let claims = (0..20).map(|_| {
            let (scans, id, object) = (table.scans(), submission.id.clone(), object.clone());
            tokio::spawn(async move { scans.claim(&id, &object).await.unwrap() })
        });
        let claims: Vec<Claim> = futures::future::try_join_all(claims).await.unwrap();
        let won = claims.iter().filter(|claim| matches!(claim, Claim::Won(_))).count();
        let held = claims.iter().filter(|claim| matches!(claim, Claim::Held { .. })).count();
        assert_eq!((won, held), (1, 19), "takeover: {takeover}");
        let item = table.submission_item(&submission.id).await;
        assert_eq!(item.get("tries"), Some(&number(1 + i64::from(takeover))), "losers count no try");
    }
}

#[tokio::test]
async fn of_twenty_verdicts_at_once_exactly_one_is_written() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    let scans = table.scans();
    let writes = (1..=20).map(|n| {
        let (scans, submission, token) = (table.scans(), submission.clone(), claimed.token.clone());
        tokio::spawn(async move { scans.finish(&submission, &token, &outcome(n), None).await.map(|()| n) })
    });
    let written: Vec<i64> = futures::future::try_join_all(writes).await.unwrap().into_iter().flatten().collect();
    let [winner] = written.as_slice() else { panic!("{written:?}") };
    // As when the answer of the write was lost and the same write is sent again.
    scans.finish(&submission, &claimed.token, &outcome(*winner), None).await.unwrap();
    assert_eq!(table.scans().get(&submission.id).await.unwrap().unwrap().0.outcome, Some(outcome(*winner)));
}

#[tokio::test]
async fn a_cancel_ends_a_submission_in_any_state_and_every_later_write_loses() {
    let table = Table::new().await;
    let scans = table.scans();
    let waiting = table.submit().await;
    let (claimed, claim) = table.claimed().await;
    for submission in [&waiting, &claimed] {
        let (record, _) = scans.get(&submission.id).await.unwrap().unwrap();
        for call in ["first", "again"] {
            let Cancelled::Yes(record) = scans.cancel(&record).await.unwrap() else { panic!("{call}") };
            let outcome = record.outcome.unwrap();
            assert_eq!((record.state, outcome.report.verdict.code, outcome.report.verdict.result()), (State::Done, Code::Canceled, "Blocked"));
        }
        let item = table.submission_item(&submission.id).await;
        for gone in ["claim_token", "passwords"] {
            assert!(!item.contains_key(gone), "{gone}");
        }
        assert!(matches!(scans.claim(&submission.id, &object(submission)).await.unwrap(), Claim::Done(_)));
        assert!(is_conflict(&scans.finish_unclaimed(submission, &outcome(9)).await));
        assert!(is_conflict(&scans.withdraw(&submission.id).await));
    }
    let before = table.submission_item(&claimed.id).await;
    assert!(is_conflict(&scans.renew(&claimed.id, &claim.token).await));
    assert!(is_conflict(&scans.count_death(&claimed.id, &claim.token).await));
    assert!(is_conflict(&scans.release(&claimed.id, &claim.token).await));
    assert!(is_conflict(&scans.finish(&claimed, &claim.token, &outcome(1), None).await));
    assert_eq!(table.submission_item(&claimed.id).await, before);
}

#[tokio::test]
async fn a_verdict_stays_and_what_was_never_submitted_is_not_cancelled() {
    let table = Table::new().await;
    let (submission, claimed) = table.claimed().await;
    let stale = table.scans().get(&submission.id).await.unwrap().unwrap().0;
    table.scans().finish(&submission, &claimed.token, &outcome(5), None).await.unwrap();
    let Cancelled::TooLate(record) = table.scans().cancel(&stale).await.unwrap() else { panic!("cancelled") };
    assert_eq!(record.outcome, Some(outcome(5)));
    let unknown = portcullis_core::domain::submission::Record { submission: crate::table::submission(), ..stale };
    assert!(matches!(table.scans().cancel(&unknown).await.unwrap(), Cancelled::Missing));
    assert_eq!(table.count().await, 1, "a cancel never makes an item");
}

#[tokio::test]
async fn a_pause_frees_the_claim_costs_no_try_and_is_handed_to_the_next_worker() {
    let table = Table::new().await;
    let (submission, first) = table.claimed().await;
    assert_eq!(first.partial, None);
    table.scans().pause(&submission.id, &first.token, "partial/x/1.json").await.unwrap();
    assert!(is_conflict(&table.scans().pause(&submission.id, &first.token, "partial/x/2.json").await), "it is not the holder any more");
    let second = table.claim(&submission).await;
    assert_eq!((second.partial.as_deref(), second.record.attempts), (Some("partial/x/1.json"), 1));
    // A worker that had no time to do anything leaves it as it was.
    table.scans().release(&submission.id, &second.token).await.unwrap();
    assert_eq!(table.claim(&submission).await.partial.as_deref(), Some("partial/x/1.json"));
}

#[tokio::test]
async fn what_was_done_before_is_not_kept_with_a_verdict() {
    let table = Table::new().await;
    let (submission, first) = table.claimed().await;
    table.scans().pause(&submission.id, &first.token, "partial/x/1.json").await.unwrap();
    let second = table.claim(&submission).await;
    table.scans().finish(&submission, &second.token, &outcome(5), None).await.unwrap();
    assert!(!table.submission_item(&submission.id).await.contains_key("partial_key"));
}
