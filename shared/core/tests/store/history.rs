//! The list of ended submissions.

use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::{Owner, Source, Submission};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::store::history::{Entry, Filter, SHARDS};

use crate::table::{HOUR, Table, number, object, outcome, submission, submission_pk};

/// A submission that ended at this time.
async fn ended(table: &Table, at: i64, change: impl FnOnce(&mut Submission), code: Code) -> DataId {
    let mut submission = submission();
    change(&mut submission);
    table.scans().create(&submission, &[], now_ms() + HOUR, now_ms() + HOUR).await.unwrap();
    let claimed = table.claim(&submission).await;
    let mut outcome = outcome(at);
    outcome.report.verdict = Verdict::decide(&[code], &[]);
    table.scans().finish(&submission, &claimed.token, &outcome, None).await.unwrap();
    submission.id
}

async fn clean(table: &Table, at: i64) -> DataId {
    ended(table, at, |_| {}, Code::NoThreatDetected).await
}

/// All pages of a size.
async fn listed(table: &Table, filter: &Filter, size: usize) -> Vec<Entry> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = table.history().page(filter, before.as_ref(), size).await.unwrap();
        assert!(page.entries.len() <= size);
        all.extend(page.entries);
        match page.next {
            Some(next) => {
                assert!(before.as_ref().is_none_or(|before| next < *before), "a cursor goes on");
                before = Some(next);
            }
            None => return all,
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_show_all_parts_newest_first_each_entry_once() {
    let table = Table::new().await;
    let mut wanted = Vec::new();
    for at in 0..40 {
        // Some end in the same millisecond.
        let at = 1_700_000_000_000 + at / 2;
        wanted.push((at, clean(&table, at).await));
    }
    wanted.sort_by_key(|(at, id)| std::cmp::Reverse((*at, id.group().to_owned())));
    let wanted: Vec<_> = wanted.into_iter().map(|(_, id)| id).collect();
    for size in [1, 7, 40, 500] {
        let got: Vec<_> = listed(&table, &Filter::default(), size).await.into_iter().map(|entry| entry.data_id).collect();
        assert_eq!(got, wanted, "pages of {size}");
    }
}

#[tokio::test]
async fn an_entry_says_what_a_list_shows() {
    let table = Table::new().await;
    let id = ended(&table, 1_700_000_000_000, |_| {}, Code::Infected).await;
    let [entry] = listed(&table, &Filter::default(), 10).await.try_into().unwrap();
    let (record, _) = table.scans().get(&id).await.unwrap().unwrap();
    assert_eq!(entry, Entry::of(&record.submission, &record.outcome.unwrap()));
    assert_eq!((entry.data_id, entry.name.as_str(), entry.size, entry.code), (id, "grün & groß.pdf", 1234, Code::Infected));
    assert_eq!((entry.source, entry.ended_at, entry.owner.unwrap().username.as_str()), (Source::Api, 1_700_000_000_000, "LOCAL/ann"));
}

#[tokio::test]
async fn ranges_have_their_begin_and_not_their_end() {
    let table = Table::new().await;
    let mut ids = Vec::new();
    for at in [10, 20, 30, 40] {
        ids.push(clean(&table, at).await);
    }
    for (from, to, wanted) in
        [(Some(20), Some(40), 1..3), (None, Some(20), 0..1), (Some(40), None, 3..4), (Some(41), None, 0..0), (Some(30), Some(20), 0..0)]
    {
        let filter = Filter { from, to, ..Filter::default() };
        let mut got: Vec<_> = listed(&table, &filter, 3).await.into_iter().map(|entry| entry.data_id).collect();
        got.reverse();
        assert_eq!(got, ids[wanted], "{filter:?}");
    }
}

#[tokio::test]
async fn filters_find_what_they_name_and_nothing_else() {
    let table = Table::new().await;
    let bob = Owner { user_id: 8, username: "LOCAL/bob".into() };
    let invoice = ended(&table, 1, |s| s.name = "Invoice 12.PDF".into(), Code::Infected).await;
    let strict = ended(&table, 2, |s| s.rule = "Strict".into(), Code::NoThreatDetected).await;
    let of_bob = ended(&table, 3, |s| s.owner = Some(bob), Code::Failed).await;
    let of_nobody = ended(&table, 4, |s| s.owner = None, Code::NoThreatDetected).await;
    let all = Filter::default;
    for (filter, wanted) in [
        (Filter { code: Some(Code::Infected), ..all() }, vec![&invoice]),
        (Filter { blocked: Some(true), ..all() }, vec![&of_bob, &invoice]),
        (Filter { blocked: Some(false), ..all() }, vec![&of_nobody, &strict]),
        (Filter { rule: Some("Strict".into()), ..all() }, vec![&strict]),
        (Filter { name: Some("invoice".into()), ..all() }, vec![&invoice]),
        (Filter { user_id: Some(8), ..all() }, vec![&of_bob]),
        (Filter { username: Some("BOB".into()), ..all() }, vec![&of_bob]),
        (Filter { user_id: Some(8), blocked: Some(false), ..all() }, vec![]),
    ] {
        let got: Vec<_> = listed(&table, &filter, 1).await.into_iter().map(|entry| entry.data_id).collect();
        assert_eq!(got.iter().collect::<Vec<_>>(), wanted, "{filter:?}");
    }
}

#[tokio::test]
async fn every_way_to_an_end_is_listed_and_what_runs_is_not() {
    let table = Table::new().await;
    let scans = table.scans();
    let (waiting, cancelled, overdue) = (table.submit().await, table.submit().await, table.submit().await);
    let (held, _claim) = table.claimed().await;
    scans.cancel(&scans.get(&cancelled.id).await.unwrap().unwrap().0).await.unwrap();
    scans.finish_unclaimed(&overdue, &outcome(5)).await.unwrap();
    let got: Vec<_> = listed(&table, &Filter::default(), 10).await.into_iter().map(|entry| (entry.data_id, entry.code)).collect();
    assert_eq!(got, [(cancelled.id, Code::Canceled), (overdue.id.clone(), Code::NoThreatDetected)]);
    assert!(!got.iter().any(|(id, _)| *id == waiting.id || *id == held.id));
    // What has expired is not shown, however late it is deleted.
    table.set(&submission_pk(&overdue.id), "META", "expires_at", number(now_ms() / 1000 - 1)).await;
    assert_eq!(listed(&table, &Filter::default(), 10).await.len(), 1);
    // The object of an ended submission is not judged again.
    let again = scans.claim(&overdue.id, &object(&overdue)).await.unwrap();
    assert!(matches!(again, portcullis_core::store::scans::Claim::Done(_)));
}

#[tokio::test]
async fn a_part_is_read_oldest_first_from_where_it_was_left() {
    let table = Table::new().await;
    let mut wanted = Vec::new();
    for at in 10..50 {
        wanted.push(clean(&table, at).await);
    }
    let mut got = Vec::new();
    for shard in 0..SHARDS {
        let mut after = None;
        loop {
            let read = table.history().oldest(shard, 10, 48, after.as_ref(), 3).await.unwrap();
            let is_last = read.len() < 3;
            after = read.last().map(|(cursor, _)| cursor.clone()).or(after);
            got.extend(read.into_iter().map(|(_, entry)| entry.unwrap()));
            if is_last {
                break;
            }
        }
    }
    got.sort_by_key(|entry| entry.ended_at);
    assert_eq!(got.into_iter().map(|entry| entry.data_id).collect::<Vec<_>>(), wanted[..38]);
}
