//! Ten million digests: import, opening, memory and look-ups.
//!
//! `cargo bench --profile dev --workspace --bench hashes --config 'profile.dev.package.portcullis-engines.opt-level=3'`; another
//! number of digests as `-- N`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends at what fails"
)]

use std::time::{Instant, SystemTime};

use portcullis_core::domain::report::{Digests, FileType};
use portcullis_engines::Definitions;
use portcullis_engines::engine::Subject;
use portcullis_engines::engine::hashes::{Builder, List};

struct Noise(u64);

impl Noise {
    fn digest<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for part in out.chunks_mut(8) {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            part.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..part.len()]);
        }
        out
    }
}

/// Anonymous memory of this process, in MiB.
fn anonymous() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn subject_digests(sha256: [u8; 32], noise: &mut Noise) -> Digests {
    Digests {
        md5: hex::encode(noise.digest::<16>()),
        sha1: hex::encode(noise.digest::<20>()),
        sha256: hex::encode(sha256),
        sha512: hex::encode(noise.digest::<64>()),
    }
}

fn main() {
    let count = std::env::args().skip(1).find_map(|a| a.parse::<usize>().ok()).unwrap_or(10_000_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hashes/block.hashlist");
    std::fs::create_dir(dir.path().join("hashes")).unwrap();
    // In another process: what the import takes is none of the engine's memory.
    if std::env::args().any(|a| a == "--write") {
        let out = std::env::args().next_back().unwrap();
        let mut noise = Noise(1);
        let mut builder = Builder::new(List::Block);
        let start = Instant::now();
        for _ in 0..count {
            builder.add(&noise.digest::<32>(), "Evil.Name").unwrap();
        }
        builder.write(out.as_ref(), SystemTime::now()).unwrap();
        println!("import of {count} digests: {:.1} s (with the check that each is found)", start.elapsed().as_secs_f64());
        return;
    }
    let done =
        std::process::Command::new(std::env::current_exe().unwrap()).args([&count.to_string(), "--write", path.to_str().unwrap()]).status().unwrap();
    assert!(done.success());
    println!("file: {} MiB", std::fs::metadata(&path).unwrap().len() >> 20);
    let bare = Definitions::load(None, None);
    let before = anonymous();
    let start = Instant::now();
    let definitions = Definitions::load(Some(dir.path()), None);
    println!("opened and checked, rules compiled: {:.1} s", start.elapsed().as_secs_f64());
    drop(bare);
    println!("anonymous memory: {:.1} MiB on top of the engines without lists", anonymous() - before);
    let engine = definitions.engines().find(|engine| engine.identity().name == "Hash Reputation").unwrap();
    assert!(engine.issues().is_empty(), "{:?}", engine.issues());
    let mut session = engine.session();
    let rounds = 200_000;
    for (what, listed) in [("not listed", false), ("listed", true)] {
        let (mut noise, mut other) = (Noise(if listed { 1 } else { 2 }), Noise(3));
        let asked: Vec<Digests> = (0..rounds.min(count)).map(|_| subject_digests(noise.digest::<32>(), &mut other)).collect();
        let file_type = FileType::default();
        let start = Instant::now();
        let found = asked
            .iter()
            .filter(|digests| {
                let subject = Subject { name: "x", content: b"x", digests, file_type: &file_type };
                !session.scan(&subject, std::time::Duration::from_secs(1)).threat.is_empty()
            })
            .count();
        let each = start.elapsed().as_secs_f64() * 1e6 / asked.len() as f64;
        assert_eq!(found, if listed { asked.len() } else { 0 });
        println!("look-up of a content's four digests, {what}: {each:.2} µs ({found} of {} found)", asked.len());
    }
}
