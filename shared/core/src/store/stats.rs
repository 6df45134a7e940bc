//! Counts of ended submissions by hour, for `GET /stat/summary`.
//!
//! One write per verdict, to one of [`SHARDS`] items of its hour: `STATS#<shard>`, `<hour>`. Times are counted in buckets
//! ([`bucket`]), which add up over hours and shards, so that percentiles of any range come from counters and no record is
//! read. What always holds: counters only grow. They are no ledger: an event that SQS delivers twice counts twice, and a
//! write that fails is not made up for (metrics and webhooks do not wait for it).

use std::collections::BTreeMap;

use super::StoreError;
use super::attributes::{Item, key, n, s, text};
use crate::clock::now_ms;
use crate::domain::event::VerdictEvent;
use crate::domain::verdict::Code;

/// Items per hour: each takes some 1000 verdicts a second.
pub const SHARDS: u32 = 4;
/// An hour, in ms.
pub const HOUR_MS: i64 = 3_600_000;
/// Hours of one summary, at most: 92 days.
pub const MAX_HOURS: i64 = 92 * 24;
/// Counts are kept for 400 days, ms.
const KEPT_MS: i64 = 400 * 24 * HOUR_MS;
/// Buckets per doubling of the time: a percentile is told at most 19 % too high.
const PER_OCTAVE: f64 = 4.0;

/// The bucket of a time in ms.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a logarithm of an integer is small and not negative"
)]
pub fn bucket(ms: i64) -> u32 {
    ((ms.max(0) as f64 + 1.0).log2() * PER_OCTAVE) as u32
}

/// The longest time of a bucket, in ms.
#[allow(clippy::cast_possible_truncation, reason = "as above")]
pub fn upper(bucket: u32) -> i64 {
    (((f64::from(bucket) + 1.0) / PER_OCTAVE).exp2() - 1.0).ceil() as i64
}

/// How often which time was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    /// The time that this share of all (0 to 1) did not exceed, in ms; `None` while nothing was counted.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn percentile(&self, share: f64) -> Option<i64> {
        let all: u64 = self.0.values().sum();
        let wanted = ((all as f64 * share).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= wanted).then(|| upper(*bucket))
        })
    }
}

/// Counts of an hour, or of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ended submissions.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What came out of them.
    pub children: u64,
    /// Time between claim and verdict, all together, in ms.
    pub scan_ms: u64,
    /// By main outcome.
    pub codes: BTreeMap<u8, u64>,
    /// Submission to verdict.
    pub total: Histogram,
    /// Claim to verdict.
    pub scan: Histogram,
}

impl Counts {
    /// Submissions that were held back.
    pub fn blocked(&self) -> u64 {
        self.codes.iter().filter(|(code, _)| Code::from_value(**code).is_none_or(Code::is_blocked)).map(|(_, count)| count).sum()
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.children += other.children;
        self.scan_ms += other.scan_ms;
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (into, from) in [(&mut self.total, &other.total), (&mut self.scan, &other.scan)] {
            for (bucket, count) in &from.0 {
                *into.0.entry(*bucket).or_default() += count;
            }
        }
    }

    fn of_item(item: &Item) -> Self {
        let mut counts = Self::default();
        for (name, value) in item {
            let Some(value) = value.as_n().ok().and_then(|value| value.parse::<u64>().ok()) else { continue };
            let (kind, number) = name.split_at(name.len().min(1));
            match (name.as_str(), number.parse::<u32>()) {
                ("n_files", _) => counts.files = value,
                ("n_bytes", _) => counts.bytes = value,
                ("n_children", _) => counts.children = value,
                ("n_scan_ms", _) => counts.scan_ms = value,
                (_, Ok(number)) if kind == "c" => drop(counts.codes.insert(u8::try_from(number).unwrap_or(u8::MAX), value)),
                (_, Ok(number)) if kind == "t" => drop(counts.total.0.insert(number, value)),
                (_, Ok(number)) if kind == "s" => drop(counts.scan.0.insert(number, value)),
                _ => {}
            }
        }
        counts
    }
}

/// The counters.
#[derive(Clone, Debug)]
pub struct Stats {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Stats {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Counts a submission that ended.
    pub async fn count(&self, event: &VerdictEvent) -> Result<(), StoreError> {
        let ended = if event.ended_at > 0 { event.ended_at } else { now_ms() };
        let shard = event.data_id.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(byte))) % SHARDS;
        let one = "ADD n_files :one, n_bytes :bytes, n_children :children, n_scan_ms :scan_ms, #code :one, #total :one, #scan :one";
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(format!("STATS#{shard}"), hour_key(ended))))
            .update_expression(format!("{one} SET expires_at = if_not_exists(expires_at, :expires_at)"))
            .expression_attribute_names("#code", format!("c{}", event.code.value()))
            .expression_attribute_names("#total", format!("t{}", bucket(event.queue_ms + event.scan_ms)))
            .expression_attribute_names("#scan", format!("s{}", bucket(event.scan_ms)))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":bytes", n(event.size))
            .expression_attribute_values(":children", n(event.children))
            .expression_attribute_values(":scan_ms", n(event.scan_ms.max(0)))
            .expression_attribute_values(":expires_at", n((ended + KEPT_MS) / 1000))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("count a verdict", e))?;
        Ok(())
    }

    /// Counts by hour, of the hours that begin at `from` or later and before `to` (ms since the epoch), in order. Hours
    /// without verdicts are left out. The range should not exceed [`MAX_HOURS`].
    pub async fn hours(&self, from: i64, to: i64) -> Result<BTreeMap<i64, Counts>, StoreError> {
        let mut hours: BTreeMap<i64, Counts> = BTreeMap::new();
        let (first, last) = (hour_key(from + HOUR_MS - 1), hour_key(to - 1));
        if first > last {
            return Ok(hours);
        }
        for shard in 0..SHARDS {
            let mut pages = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", s(format!("STATS#{shard}")))
                .expression_attribute_values(":from", s(&first))
                .expression_attribute_values(":to", s(&last))
                .into_paginator()
                .items()
                .send();
            while let Some(item) = pages.next().await {
                let item = item.map_err(|e| StoreError::from_sdk("read counts", e))?;
                if let Some(hour) = text(&item, "sk").and_then(|hour| hour.parse::<i64>().ok()) {
                    hours.entry(hour * HOUR_MS).or_default().add(&Counts::of_item(&item));
                }
            }
        }
        Ok(hours)
    }
}

/// Hours since the epoch, in order as text.
fn hour_key(ms: i64) -> String {
    format!("{:010}", ms.max(0) / HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_times_and_no_more_than_a_fifth_beyond() {
        let mut last = 0;
        for ms in [0, 1, 2, 3, 5, 10, 99, 100, 1234, 60_000, 86_400_000] {
            let (bucket, upper) = (bucket(ms), upper(bucket(ms)));
            assert!(upper >= ms && bucket >= last, "{ms}: {bucket} to {upper}");
            assert!(upper <= ms + ms / 5 + 2, "{ms}: {upper}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_of_added_counts_are_those_of_all() {
        let of = |times: &[i64]| {
            let mut counts = Counts::default();
            for ms in times {
                *counts.total.0.entry(bucket(*ms)).or_default() += 1;
                counts.files += 1;
            }
            counts
        };
        let mut sum = of(&[10; 90]);
        sum.add(&of(&[1000; 10]));
        assert_eq!(sum.files, 100);
        assert_eq!(sum.total.percentile(0.5), Some(upper(bucket(10))));
        assert_eq!(sum.total.percentile(0.90), Some(upper(bucket(10))));
        assert_eq!(sum.total.percentile(0.91), Some(upper(bucket(1000))));
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn an_item_is_read_back() {
        let numbers = [("n_files", 3), ("n_bytes", 70), ("n_children", 2), ("n_scan_ms", 9), ("c0", 2), ("c1", 1), ("t7", 3), ("s5", 3)];
        let mut item: Item = numbers.iter().map(|(name, value)| ((*name).to_owned(), n(*value))).collect();
        item.insert("sk".into(), s("x"));
        let counts = Counts::of_item(&item);
        assert_eq!((counts.files, counts.bytes, counts.children, counts.scan_ms, counts.blocked()), (3, 70, 2, 9, 1));
        assert_eq!(counts.total.percentile(1.0), Some(upper(7)));
        assert_eq!(counts.scan.percentile(1.0), Some(upper(5)));
    }
}
