//! `watch`: what appears in a folder is scanned once it rests, and sorted.
//!
//! What always holds: a file without a verdict stays where it is and is tried again, ever later; only exactly the bytes that
//! were allowed get a name in the clean folder (see `place`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::api::Core;
use crate::args::{Format, WatchArgs};
use crate::content::{Content, Stamp};
use crate::error::Error;
use crate::files;
use crate::interrupt::Running;
use crate::judge::Verdict;
use crate::output::{Report, print, printable};
use crate::place::{self, Placed};
use crate::progress::Progress;
use crate::submit::Submitter;

/// Longest pause before a file without a verdict is tried again.
const LONGEST: Duration = Duration::from_secs(60);

/// What is known about a file.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    state: State,
    tries: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Not before then: it may still be written to, or had no verdict.
    Waits(Instant),
    /// On its way.
    Scanned,
    /// It has a verdict and stays.
    Done,
}

/// How one scan ended.
struct Done {
    name: OsString,
    stamp: Stamp,
    report: Report,
    /// Whether it is to be tried again.
    again: bool,
    moved: Option<PathBuf>,
}

struct Folders {
    dir: PathBuf,
    clean: Option<PathBuf>,
    blocked: Option<PathBuf>,
}

pub(crate) async fn run(args: WatchArgs, running: &Running) -> Result<u8, Error> {
    let seconds = |name: &str, value: f64| Duration::try_from_secs_f64(value).map_err(|_| Error::Said(format!("`--{name}` is no time: `{value}`.")));
    let (settle, interval) = (seconds("settle", args.settle)?, seconds("interval", args.interval)?.max(Duration::from_millis(50)));
    let folders = Arc::new(Folders::of(&args)?);
    let core = Core::of(&args.server)?;
    let submitter = Submitter::new(&core, &args.submit, None, running, Progress::none())?;
    let mut seen: BTreeMap<OsString, Seen> = BTreeMap::new();
    let mut tasks: JoinSet<Done> = JoinSet::new();
    let mut looked = true;
    loop {
        let dir = folders.dir.clone();
        match tokio::task::spawn_blocking(move || look(&dir)).await.map_err(|error| Error::Said(format!("{error}.")))? {
            Ok(found) => {
                looked = true;
                note(&mut seen, found, Instant::now(), settle);
            }
            // It may be mounted again. Told once.
            Err(error) if looked => {
                looked = false;
                print_error(&Error::io(&folders.dir, &error));
            }
            Err(_) => {}
        }
        let now = Instant::now();
        for (name, file) in &mut seen {
            if tasks.len() >= usize::from(args.submit.jobs) {
                break;
            }
            if matches!(file.state, State::Waits(until) if now >= until) {
                file.state = State::Scanned;
                tasks.spawn(one(submitter.clone(), Arc::clone(&folders), name.clone(), file.stamp));
            }
        }
        let pause = tokio::time::sleep(interval);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                Some(done) = tasks.join_next() => {
                    let done = done.map_err(|error| Error::Said(format!("{error}.")))?;
                    tell(&done, args.output)?;
                    ended(&mut seen, &done, Instant::now());
                }
            }
        }
    }
}

impl Folders {
    fn of(args: &WatchArgs) -> Result<Self, Error> {
        if args.dir.as_os_str().is_empty() || !args.dir.is_dir() {
            return Err(Error::Said(format!("`{}` is no folder.", printable(&args.dir.to_string_lossy()))));
        }
        let given = [Some(&args.dir), args.clean_dir.as_ref(), args.blocked_dir.as_ref()];
        let given: Vec<&PathBuf> = given.into_iter().flatten().collect();
        for folder in given.iter().skip(1) {
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
        }
        for (n, one) in given.iter().enumerate() {
            if given.iter().skip(n + 1).any(|other| files::same(one, other)) {
                return Err(Error::Said(format!("`{}` is given for two purposes.", printable(&one.to_string_lossy()))));
            }
        }
        Ok(Self { dir: args.dir.clone(), clean: args.clean_dir.clone(), blocked: args.blocked_dir.clone() })
    }
}

/// Regular files that are not hidden: a hidden name is how others say that they are still writing.
fn look(dir: &Path) -> std::io::Result<Vec<(OsString, Stamp)>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // Gone since the folder was read.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && !entry.file_name().as_bytes().starts_with(b".") {
            found.push((entry.file_name(), Stamp::of(&metadata)));
        }
    }
    Ok(found)
}

/// What is new or changed waits until it has rested.
fn note(seen: &mut BTreeMap<OsString, Seen>, found: Vec<(OsString, Stamp)>, now: Instant, settle: Duration) {
    let found: BTreeMap<OsString, Stamp> = found.into_iter().collect();
    seen.retain(|name, file| matches!(file.state, State::Scanned) || found.contains_key(name));
    for (name, stamp) in found {
        let fresh = || Seen { stamp, state: State::Waits(now + settle), tries: 0 };
        let file = seen.entry(name).or_insert_with(fresh);
        if file.stamp != stamp && !matches!(file.state, State::Scanned) {
            *file = fresh();
        }
    }
}

fn ended(seen: &mut BTreeMap<OsString, Seen>, done: &Done, now: Instant) {
    if done.moved.is_some() {
        // Should something stand there again, it is new.
        seen.remove(&done.name);
    } else if let Some(file) = seen.get_mut(&done.name) {
        if done.again {
            file.state = State::Waits(now + Duration::from_secs(1 << file.tries.min(6)).min(LONGEST));
            file.tries += 1;
        } else {
            file.state = State::Done;
        }
    }
}

async fn one(submitter: Submitter, folders: Arc<Folders>, name: OsString, seen: Stamp) -> Done {
    let path = folders.dir.join(&name);
    let shown = path.to_string_lossy().into_owned();
    let failed = |error: &Error| Done { name: name.clone(), stamp: seen, report: Report::failed(&shown, error), again: true, moved: None };
    let content = Content::Path(path.clone());
    match content.open().map(|opened| opened.stamp()) {
        Ok(now) if now == seen => {}
        Ok(_) => return failed(&Error::Said("It changed before it was read.".into())),
        Err(error) => return failed(&error),
    }
    let (accepted, ended) = submitter.scan(name.as_bytes(), &content).await;
    let (Some(accepted), Ok(ended)) = (accepted, &ended) else {
        return failed(&ended.err().unwrap_or_else(|| Error::Said("There is no result.".into())));
    };
    let (verdict, report) = (ended.verdict, Report::of(&shown, ended.clone(), false));
    let placed = tokio::task::spawn_blocking(move || match (verdict, &folders.clean, &folders.blocked) {
        (Verdict::Allowed, Some(folder), _) => place::clean(&path, seen, &accepted.digest, folder).map(Some),
        (Verdict::Blocked, _, Some(folder)) => place::blocked(&path, seen, folder).map(Some),
        _ => Ok(None),
    });
    match placed.await {
        Ok(Ok(None)) => Done { name, stamp: seen, report, again: false, moved: None },
        Ok(Ok(Some(Placed::There(there)))) => Done { name, stamp: seen, report, again: false, moved: Some(there) },
        Ok(Ok(Some(Placed::Changed))) => failed(&Error::Said("It changed after it was read; it is scanned again.".into())),
        Ok(Err(error)) => failed(&Error::Said(format!("It has a verdict and could not be moved: {error}."))),
        Err(error) => failed(&Error::Said(format!("It has a verdict and could not be moved: {error}."))),
    }
}

fn tell(done: &Done, format: Format) -> Result<(), Error> {
    let moved = done.moved.as_ref().map(|path| path.to_string_lossy().into_owned());
    match format {
        Format::Json => {
            let mut line = serde_json::to_value(&done.report).map_err(|error| Error::Said(format!("{error}.")))?;
            line["moved_to"] = json!(moved);
            line["bytes_seen"] = json!(done.stamp.size);
            print(&line.to_string())
        }
        Format::Table => print(&format!("{}{}", done.report.row(), moved.map(|to| format!(" -> {}", printable(&to))).unwrap_or_default())),
    }
}

fn print_error(error: &Error) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "portcullis: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(content: &str) -> Stamp {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Stamp::of(&std::fs::metadata(file.path()).unwrap())
    }

    fn waits_until(seen: &BTreeMap<OsString, Seen>) -> Option<Instant> {
        if let State::Waits(until) = seen[&OsString::from("a")].state { Some(until) } else { None }
    }

    #[test]
    fn a_file_rests_before_it_is_read_and_a_change_begins_anew() {
        let (mut seen, start, settle) = (BTreeMap::new(), Instant::now(), Duration::from_secs(3));
        let (one, other) = (stamp("1"), stamp("22"));
        note(&mut seen, vec![("a".into(), one)], start, settle);
        note(&mut seen, vec![("a".into(), one)], start + Duration::from_secs(2), settle);
        assert_eq!(waits_until(&seen), Some(start + settle));
        note(&mut seen, vec![("a".into(), other)], start + Duration::from_secs(2), settle);
        assert_eq!(waits_until(&seen), Some(start + Duration::from_secs(5)));
        note(&mut seen, vec![], start, settle);
        assert!(seen.is_empty());
    }

    #[test]
    fn without_a_verdict_it_is_tried_ever_later_and_with_one_only_after_a_change() {
        let (mut seen, now, one) = (BTreeMap::new(), Instant::now(), stamp("1"));
        note(&mut seen, vec![("a".into(), one)], now, Duration::ZERO);
        let done = |again| Done { name: "a".into(), stamp: one, report: Report::failed("a", &Error::Said(String::new())), again, moved: None };
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                ended(&mut seen, &done(true), now);
                (waits_until(&seen).unwrap() - now).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        ended(&mut seen, &done(false), now);
        note(&mut seen, vec![("a".into(), one)], now, Duration::ZERO);
        assert_eq!(waits_until(&seen), None);
        note(&mut seen, vec![("a".into(), stamp("22"))], now, Duration::ZERO);
        assert_eq!(waits_until(&seen), Some(now));
    }
}
