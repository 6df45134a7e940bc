//! Many small files through everything: HTTP in, object, event, queue, scan, verdict, HTTP out.
//!
//! `cargo bench --workspace --bench throughput` sends 10 000 files of 1–64 KiB (`PORTCULLIS_BENCH_FILES=200`
//! sends fewer) with 8 clients, at most 64 files under way, and prints a Markdown table. The clients and the host
//! share this process, so its CPU time holds the clients' part too; the engines work in processes of their own. On a
//! machine that is busy with other things only the CPU times mean anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking and prints its table"
)]

#[path = "../../../tests/support/own_host.rs"]
#[allow(dead_code, unreachable_pub, reason = "every benchmark uses a part")]
mod own_host;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;

const KEY: &str = "benchmark-key";
const CLIENTS: usize = 8;
/// Files between their submission and their verdict, at most: keeps the mix of work the same from begin to end.
const UNDER_WAY: usize = 64;
/// Files whose time is compared: the first and the last so many.
const WINDOW: usize = 1000;
/// Requests of one latency measurement.
const SAMPLES: usize = 500;

fn main() {
    // `cargo bench` passes `--bench`.
    let files = std::env::var("PORTCULLIS_BENCH_FILES").map_or(10_000, |n| n.parse().expect("PORTCULLIS_BENCH_FILES is a number"));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    portcullis_core::telemetry::start("warn,s3s=error,dynoxide=error", false);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(files, workers));
}

async fn run(files: usize, workers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let host = own_host::start(folder.path(), KEY, &[("PORTCULLIS_WORKERS", &workers.to_string())]).await;
    let api = Api { url: format!("http://{}", host.addr), http: reqwest::Client::new() };
    // The workers load their rules, the table of types is read, connections open.
    let warm = (0..workers * 2).map(|n| api.until_verdict(usize::MAX - n));
    let warm: Vec<Finished> = futures::future::join_all(warm).await;
    let id = &warm.first().unwrap().id;
    let latency_before = api.latency(id).await;

    let (cpu_host, cpu_workers) = (cpu_of_host(), cpu_of_workers());
    let started = Instant::now();
    let window = WINDOW.min(files / 2);
    let mut marks = BTreeMap::from([(0, 0.0), (window, 0.0), (files - window, 0.0), (files, 0.0)]);
    let done = api.send_all(files, started, &mut marks).await;
    let wall = started.elapsed();
    let (cpu_host, cpu_workers) = (cpu_of_host() - cpu_host, cpu_of_workers() - cpu_workers);

    let latency_after = api.latency(id).await;
    let impatient = api.hot_polling(id).await;
    let cpu_between = |from: usize, to: usize| marks[&to] - marks[&from];
    let (first_cpu, last_cpu) = (cpu_between(0, window), cpu_between(files - window, files));
    let (first, last) = (pace(&done, 0, window), pace(&done, files - window, files));
    let sum = |of: fn(&Finished) -> u64| Duration::from_millis(done.iter().map(of).sum());
    let of_capacity = |time: Duration| 100.0 * time.as_secs_f64() / (wall.as_secs_f64() * workers as f64);

    println!("## Throughput: {files} files of 1-64 KiB, {CLIENTS} clients, {workers} workers\n");
    println!("| what | value |\n|---|---|");
    row("files/s, submission to verdict", format!("{:.0}", files as f64 / wall.as_secs_f64()));
    row("wall time", format!("{:.1} s", wall.as_secs_f64()));
    row("bytes", format!("{:.0} MiB", (0..files).map(|n| size_of_file(n) as f64).sum::<f64>() / 1_048_576.0));
    row("not clean", done.iter().filter(|file| !file.clean).count());
    row("CPU: host and clients", format!("{:.1} s, {:.2} ms a file", cpu_host, cpu_host * 1000.0 / files as f64));
    row("CPU: workers (engines)", format!("{:.1} s, {:.2} ms a file", cpu_workers, cpu_workers * 1000.0 / files as f64));
    row("workers' share of all CPU time", format!("{:.0} %", 100.0 * cpu_workers / (cpu_workers + cpu_host)));
    row("workers' CPU / (wall x workers)", format!("{:.0} %", 100.0 * cpu_workers / (wall.as_secs_f64() * workers as f64)));
    row("analysis time (reports' total) / (wall x workers)", format!("{:.0} %", of_capacity(sum(|f| f.total_ms))));
    row("engines' time (`av_scan_time`) / (wall x workers)", format!("{:.0} %", of_capacity(sum(|f| f.engines_ms))));
    row("host CPU / workers' CPU", format!("{:.2}", cpu_host / cpu_workers));
    row(&format!("first {window} files"), format!("{:.2} s wall, {first_cpu:.2} s CPU", first.as_secs_f64()));
    row(&format!("last {window} files"), format!("{:.2} s wall, {last_cpu:.2} s CPU", last.as_secs_f64()));
    row("last / first (target <= 1.2)", format!("{:.2} wall, {:.2} CPU", last.as_secs_f64() / first.as_secs_f64(), last_cpu / first_cpu));
    row("GET /file/{id}, before", &latency_before);
    row("GET /file/{id}, after", &latency_after);
    row("GET /file/{id}, 4 clients polling every 20 ms", &impatient);
    row("memory of host and clients, peak", format!("{} MiB", peak_memory_mib()));
    host.stop().await;
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("| {what} | {value} |");
}

/// Time in which the verdicts `from..to` came, in the order in which they came.
fn pace(done: &[Finished], from: usize, to: usize) -> Duration {
    let mut times: Vec<Duration> = done.iter().map(|file| file.at).collect();
    times.sort_unstable();
    let begin = if from == 0 { Duration::ZERO } else { times[from - 1] };
    times[to - 1].saturating_sub(begin)
}

/// A file with its verdict.
struct Finished {
    id: String,
    at: Duration,
    clean: bool,
    engines_ms: u64,
    total_ms: u64,
}

/// The clients' side.
#[derive(Clone)]
struct Api {
    url: String,
    http: reqwest::Client,
}

impl Api {
    /// Sends all files; returns when all have verdicts. `CLIENTS` senders; verdicts are awaited in the order of
    /// submission, so that watching costs about one request a file. `marks`: CPU seconds so far when so many are done.
    async fn send_all(&self, files: usize, started: Instant, marks: &mut BTreeMap<usize, f64>) -> Vec<Finished> {
        let room = Arc::new(Semaphore::new(UNDER_WAY));
        let (submitted, mut waiting) = tokio::sync::mpsc::unbounded_channel();
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..CLIENTS {
            let (api, room, submitted, next) = (self.clone(), Arc::clone(&room), submitted.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    room.acquire().await.unwrap().forget();
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= files {
                        return;
                    }
                    submitted.send(api.submit(number).await).unwrap();
                }
            });
        }
        drop(submitted);
        let mut done = Vec::with_capacity(files);
        loop {
            if let Some(mark) = marks.get_mut(&done.len()) {
                *mark = cpu_of_host() + cpu_of_workers();
            }
            if done.len() == files {
                return done;
            }
            let id = waiting.recv().await.expect("a client stopped");
            done.push(self.verdict(id, started).await);
            room.add_permits(1);
        }
    }

    async fn until_verdict(&self, number: usize) -> Finished {
        self.verdict(self.submit(number).await, Instant::now()).await
    }

    async fn submit(&self, number: usize) -> String {
        let name = if number.is_multiple_of(2) { format!("report-{number}.txt") } else { format!("blob-{number}.bin") };
        let request = self.http.post(format!("{}/file", self.url)).header("apikey", KEY).header("filename", name).body(content(number));
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        answer["data_id"].as_str().expect("a data_id").to_owned()
    }

    async fn verdict(&self, id: String, started: Instant) -> Finished {
        let asked = Instant::now();
        loop {
            let answer = self.get(&id).await;
            if answer["scan_results"]["progress_percentage"] == 100 {
                return Finished {
                    id,
                    at: started.elapsed(),
                    clean: answer["process_info"]["result"] == "Allowed",
                    engines_ms: answer["process_info"]["processing_time_details"]["av_scan_time"].as_u64().unwrap_or_default(),
                    total_ms: answer["scan_results"]["total_time"].as_u64().unwrap_or_default(),
                };
            }
            assert!(asked.elapsed() < Duration::from_mins(2), "no verdict: {answer}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn get(&self, id: &str) -> Value {
        let request = self.http.get(format!("{}/file/{id}", self.url)).header("apikey", KEY);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// One request after the other.
    async fn latency(&self, id: &str) -> String {
        let mut times = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let begun = Instant::now();
            self.get(id).await;
            times.push(begun.elapsed());
        }
        percentiles(times)
    }

    /// Four clients that ask every 20 ms, as impatient scripts do, for 5 s.
    async fn hot_polling(&self, id: &str) -> String {
        let times = Arc::new(Mutex::new(Vec::new()));
        let clients = (0..4).map(|_| {
            let (api, id, times) = (self.clone(), id.to_owned(), Arc::clone(&times));
            tokio::spawn(async move {
                for _ in 0..250 {
                    let begun = Instant::now();
                    api.get(&id).await;
                    times.lock().unwrap().push(begun.elapsed());
                    tokio::time::sleep(Duration::from_millis(20).saturating_sub(begun.elapsed())).await;
                }
            })
        });
        futures::future::try_join_all(clients).await.unwrap();
        let times = std::mem::take(&mut *times.lock().unwrap());
        percentiles(times)
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", at(50), at(95), at(99))
}

/// xorshift: the same files at every run.
struct Noise(u64);

impl Noise {
    fn of(number: usize) -> Self {
        Self((number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

fn size_of_file(number: usize) -> usize {
    1024 + Noise::of(number).below(63 * 1024 + 1)
}

/// Even numbers are text, odd ones random bytes.
fn content(number: usize) -> Vec<u8> {
    const WORDS: &[&str] =
        &["invoice", "the", "gate", "total", "of", "2024-11-22", "street", "and", "amount;", "12,50", "please", "\n", "order", "no."];
    let (size, mut noise) = (size_of_file(number), Noise::of(number));
    let mut out = format!("file {number} ").into_bytes();
    while out.len() < size {
        if number.is_multiple_of(2) {
            out.extend_from_slice(WORDS[noise.below(WORDS.len())].as_bytes());
            out.push(b' ');
        } else {
            out.extend_from_slice(&noise.next().to_le_bytes());
        }
    }
    out.truncate(size);
    out
}

/// CPU seconds of this process so far.
fn cpu_of_host() -> f64 {
    cpu_of("self")
}

/// CPU seconds of the children of this process that live.
fn cpu_of_workers() -> f64 {
    let me = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    processes.filter(|process| stat(process).is_some_and(|fields| fields.get(1) == Some(&me))).map(|process| cpu_of(&process)).sum()
}

fn cpu_of(process: &str) -> f64 {
    // utime and stime in ticks; Linux reports 100 a second to programs, whatever the kernel's own rate.
    let fields = stat(process).unwrap_or_default();
    [11, 12].into_iter().filter_map(|field| fields.get(field)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The fields of `/proc/<process>/stat` after the name, from the state on.
fn stat(process: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
