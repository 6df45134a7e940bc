//! Batches: files counted once however often and side by side, closed for certain, listed by the page.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures::future::join_all;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::batch::{Batch, BatchState, FileEnd};
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::FileReport;
use portcullis_core::domain::submission::{BatchSeat, Outcome, Submission};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::store::StoreError;
use portcullis_core::store::batches::Batches;

use crate::table::{HOUR, Table, number, object, outcome, submission, text};

impl Table {
    fn batches(&self) -> Batches {
        Batches::new(self.client.clone(), &self.name)
    }

    async fn batch(&self) -> Batch {
        let now = now_ms();
        let batch = Batch {
            id: DataId::random(),
            rule: "File process".into(),
            user_agent: "kiosk".into(),
            user_data: "grün & groß".into(),
            owner: None,
            created_at: now,
            expires_at: now + HOUR,
        };
        self.batches().create(&batch).await.unwrap();
        batch
    }

    /// Adds a file; its seat, as its record tells.
    async fn add(&self, batch: &Batch) -> Result<(Submission, BatchSeat), StoreError> {
        let submission = submission();
        self.batches().add(batch, &submission, &["secret".into()], now_ms() + HOUR, now_ms() + HOUR).await?;
        let record = self.scans().get(&submission.id).await.unwrap().unwrap().0;
        Ok((submission, record.submission.wishes.batch.unwrap()))
    }

    async fn batch_state(&self, batch: &Batch) -> BatchState {
        self.batches().state(&batch.id).await.unwrap().unwrap()
    }
}

fn end(code: Code) -> FileEnd {
    let outcome = Outcome { report: FileReport::unscanned("a", 7, Verdict::decide(&[code], &[])), ..outcome(1) };
    FileEnd { total_ms: 10, ..FileEnd::of(&outcome) }
}

#[tokio::test]
async fn a_new_batch_reads_back_open_and_without_an_outcome() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let state = table.batch_state(&batch).await;
    assert_eq!((&state.batch, state.is_open(), state.files, state.code()), (&batch, true, 0, None));
    assert!(matches!(table.batches().create(&batch).await, Err(StoreError::Conflict { .. })));
    assert!(table.batches().state(&DataId::random()).await.unwrap().is_none());
}

#[tokio::test]
async fn files_have_places_in_order_and_records_that_name_them() {
    let table = Table::new().await;
    let batch = table.batch().await;
    for index in 0..3 {
        let (submission, seat) = table.add(&batch).await.unwrap();
        assert_eq!(seat, BatchSeat { id: batch.id.clone(), index, expires_at: batch.expires_at });
        assert!(table.submission_item(&submission.id).await.contains_key("passwords"));
        let last = table.batches().page(&table.batch_state(&batch).await, index as usize, 50).await.unwrap();
        assert_eq!(last.iter().map(|e| (e.index, e.file.data_id.clone(), e.end.is_some())).collect::<Vec<_>>(), [(index, submission.id, false)]);
    }
    assert_eq!(table.batch_state(&batch).await.files, 3);
}

#[tokio::test]
async fn a_file_counts_once_however_often_and_side_by_side_it_ends() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let mut seats = Vec::new();
    for _ in 0..12 {
        seats.push(table.add(&batch).await.unwrap().1);
    }
    let codes = [Code::NoThreatDetected, Code::Allowlisted, Code::Infected];
    let (batches, state) = (table.batches(), table.batch_state(&batch).await);
    assert!(!state.is_finished());
    let ends = (0..3).flat_map(|_| seats.iter().enumerate()).map(|(n, seat)| {
        let (batches, end) = (batches.clone(), end(codes[n % 3]));
        async move { batches.finish(seat, &end).await.unwrap() }
    });
    let first = join_all(ends).await.into_iter().filter(|first| *first).count();
    assert_eq!(first, 12, "each ended once");
    let state = table.batch_state(&batch).await;
    assert_eq!((state.tally.finished, state.tally.total_ms, state.code()), (12, 120, Some(Code::Infected)));
    for code in codes {
        assert_eq!(state.tally.codes[&code.value()], 4);
    }
    let page = batches.page(&state, 0, 50).await.unwrap();
    assert!(page.iter().enumerate().all(|(n, entry)| entry.end == Some(end(codes[n % 3]))));
    let stranger = BatchSeat { index: 99, ..seats[0].clone() };
    assert!(!batches.finish(&stranger, &end(Code::NoThreatDetected)).await.unwrap(), "who is not in the batch does not count");
    assert_eq!(table.batch_state(&batch).await.tally.finished, 12);
}

#[tokio::test]
async fn a_closed_batch_takes_no_file_and_leaves_no_record() {
    let table = Table::new().await;
    for how in ["sealed", "cancelled", "called back"] {
        let batch = table.batch().await;
        let batches = table.batches();
        match how {
            "sealed" => batches.seal(&batch.id).await.unwrap(),
            "cancelled" => batches.cancel(&batch.id).await.unwrap(),
            _ => batches.call_back(&batch.id, "https://example.com/").await.unwrap(),
        }
        let submission = submission();
        let result = batches.add(&batch, &submission, &[], now_ms(), now_ms() + HOUR).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{how}: {result:?}");
        assert!(table.scans().get(&submission.id).await.unwrap().is_none(), "{how}");
        let state = table.batch_state(&batch).await;
        assert_eq!((state.files, state.closed, state.canceled), (0, how != "called back", how == "cancelled"));
    }
    let unknown = Batch { id: DataId::random(), ..table.batch().await };
    assert!(matches!(table.add(&unknown).await, Err(StoreError::Conflict { .. })), "nor does one that is not there");
}

#[tokio::test]
async fn nobody_slips_into_a_batch_that_is_being_closed() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let adds = (0..30).map(|n| {
        let (table, batch) = (&table, &batch);
        async move {
            if n == 15 {
                table.batches().seal(&batch.id).await.unwrap();
            }
            table.add(batch).await.is_ok()
        }
    });
    let taken = join_all(adds).await.into_iter().filter(|taken| *taken).count();
    let state = table.batch_state(&batch).await;
    assert_eq!(state.files as usize, taken);
    assert_eq!(table.batches().page(&state, 0, 100).await.unwrap().len(), taken);
    assert!(matches!(table.add(&batch).await, Err(StoreError::Conflict { .. })));
}

#[tokio::test]
async fn thirty_files_at_once_all_get_in() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let added = join_all((0..30).map(|_| table.add(&batch))).await;
    let mut places: Vec<_> = added.into_iter().map(|added| added.unwrap().1.index).collect();
    places.sort_unstable();
    assert_eq!(places, (0..30).collect::<Vec<_>>());
    assert_eq!(table.batch_state(&batch).await.files, 30);
}

#[tokio::test]
async fn a_batch_is_closed_only_as_it_was_seen() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let (_, seat) = table.add(&batch).await.unwrap();
    table.batches().finish(&seat, &end(Code::NoThreatDetected)).await.unwrap();
    let seen = table.batch_state(&batch).await;
    assert!(seen.is_finished());
    let (_, late) = table.add(&batch).await.unwrap();
    for result in [table.batches().close(&seen).await, table.batches().conclude(&seen, "me").await] {
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "a file came in between: {result:?}");
    }
    table.batches().finish(&late, &end(Code::NoThreatDetected)).await.unwrap();
    let seen = table.batch_state(&batch).await;
    table.batches().close(&seen).await.unwrap();
    table.batches().conclude(&seen, "me").await.unwrap();
    assert!(matches!(table.batches().conclude(&seen, "you").await, Err(StoreError::Conflict { .. })), "one tells of it");
    table.batches().told(&batch.id).await.unwrap();
    let state = table.batch_state(&batch).await;
    assert_eq!((state.closed, state.told, state.concluded_by.as_deref(), state.code()), (true, true, Some("me"), Some(Code::NoThreatDetected)));
}

#[tokio::test]
async fn a_failed_upload_gives_its_place_back_and_pages_stay_exact() {
    let table = Table::new().await;
    let batch = table.batch().await;
    let mut added = Vec::new();
    for _ in 0..6 {
        added.push(table.add(&batch).await.unwrap());
    }
    let (withdrawn, seat) = added.remove(2);
    table.batches().withdraw(&seat, &withdrawn.id).await.unwrap();
    assert!(table.scans().get(&withdrawn.id).await.unwrap().is_none());
    let again = table.batches().withdraw(&seat, &withdrawn.id).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert!(!table.batches().finish(&seat, &end(Code::Failed)).await.unwrap());

    let state = table.batch_state(&batch).await;
    assert_eq!((state.files, state.seats), (5, 6));
    let mut seen = Vec::new();
    for first in [0, 2, 4, 6] {
        seen.extend(table.batches().page(&state, first, 2).await.unwrap().into_iter().map(|entry| entry.file.data_id));
    }
    assert_eq!(seen, added.iter().map(|(submission, _)| submission.id.clone()).collect::<Vec<_>>());

    // Once its object was seen a file stays.
    let (claimed, seat) = &added[0];
    table.scans().claim(&claimed.id, &object(claimed)).await.unwrap();
    assert!(matches!(table.batches().withdraw(seat, &claimed.id).await, Err(StoreError::Conflict { .. })));
    assert_eq!(table.batch_state(&batch).await.files, 5);
}

#[tokio::test]
async fn past_its_retention_a_batch_is_not_there() {
    let table = Table::new().await;
    let batch = table.batch().await;
    table.add(&batch).await.unwrap();
    table.set(&format!("BATCH#{}", batch.id), "META", "expires_at", number(now_ms() / 1000 - 1)).await;
    assert!(table.batches().state(&batch.id).await.unwrap().is_none());
}

/// A batch with so many files that ended, written around the store from a file that was added by it.
async fn full(table: &Table, files: u32) -> Batch {
    let batch = table.batch().await;
    let (_, seat) = table.add(&batch).await.unwrap();
    table.batches().finish(&seat, &end(Code::NoThreatDetected)).await.unwrap();
    let pk = format!("BATCH#{}", batch.id);
    let sample = table.item(&pk, "FILE#0000000000").await.unwrap();
    let rows: Vec<_> = (1..files)
        .map(|index| {
            let mut row = sample.clone();
            row.insert("sk".into(), text(&format!("FILE#{index:010}")));
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(row)).build().unwrap()).build()
        })
        .collect();
    for rows in rows.chunks(25) {
        table.client.batch_write_item().request_items(&table.name, rows.to_vec()).send().await.unwrap();
    }
    table.set(&pk, "META", "file_count", number(files.into())).await;
    table.set(&pk, "META#SEATS", "seat_count", number(files.into())).await;
    table.set(&pk, "META#T0", "ended_count", number(files.into())).await;
    table.set(&pk, "META#T0", "c_0", number(files.into())).await;
    batch
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "the figure of the README")]
async fn a_poll_of_ten_thousand_files_costs_what_a_poll_of_ten_does() {
    let table = Table::new().await;
    let (small, large) = (full(&table, 10).await, full(&table, 10_000).await);
    let batches = table.batches();
    let poll = async |batch: &Batch, first: usize| {
        let started = Instant::now();
        let state = batches.state(&batch.id).await.unwrap().unwrap();
        let page = batches.page(&state, first, 10).await.unwrap();
        assert_eq!(page.iter().map(|entry| entry.index as usize).collect::<Vec<_>>(), (first..first + 10).collect::<Vec<_>>());
        assert_eq!(state.code(), Some(Code::NoThreatDetected));
        started.elapsed()
    };
    // Taken in turns, so that what else runs on the machine meets all of them alike.
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..41 {
        for (times, (batch, first)) in times.iter_mut().zip([(&small, 0), (&large, 0), (&large, 9_990)]) {
            times.push(poll(batch, first).await);
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1000.0
    };
    let [small, first, last] = times.map(median);
    println!("poll of a batch: 10 files {small:.2} ms; 10 000 files {first:.2} ms (first page), {last:.2} ms (last page)");
    assert!(first < 3.0 * small && last < 3.0 * small, "{small} {first} {last}");
}

#[tokio::test]
async fn all_files_can_be_gone_through() {
    let table = Table::new().await;
    let batch = full(&table, 1_234).await;
    let (batches, mut next, mut seen) = (table.batches(), 0, 0);
    loop {
        let entries = batches.entries_from(&batch.id, next, 1000).await.unwrap();
        let Some(last) = entries.last() else { break };
        next = last.index + 1;
        seen += entries.len();
    }
    assert_eq!(seen, 1_234);
    let state = table.batch_state(&batch).await;
    assert_eq!(batches.page(&state, 700, 10_000).await.unwrap().len(), 534);
    assert!(batches.page(&state, 1_234, 10).await.unwrap().is_empty());
    assert!(batches.page(&state, usize::MAX, 10).await.unwrap().is_empty());
}
