//! One content: digests, lists and engines, side by side where that pays.

use std::sync::Arc;
use std::time::Instant;

use portcullis_core::domain::engine::{CATALOGUE, HASH_REPUTATION};
use portcullis_core::domain::report::{Digests, EngineReport, FileType, YaraHit};
use portcullis_core::domain::skip::SkipLists;
use portcullis_core::domain::verdict::Code;
use serde::{Deserialize, Serialize};

use super::Run;
use super::watch::{Part, Spot};
use crate::clock;
use crate::content::Content;
use crate::definitions::Definitions;
use crate::digests::{self, PARALLEL_BYTES};
use crate::engine::{Engine, EngineOutcome, Runner, Subject};
use crate::filetype::{self, mismatch};
use crate::hooks;
use crate::job::Job;

/// A content to scan.
pub(super) struct Task {
    /// Its number in the tree.
    pub(super) index: usize,
    /// Name, unclean.
    pub(super) name: String,
    pub(super) content: Arc<Content>,
    pub(super) file_type: FileType,
    pub(super) deadline: Instant,
    /// The rule does not scan files of this type: only the hash lists look at it.
    pub(super) skipped: bool,
}

impl Task {
    /// Whether this engine looks at the content.
    fn is_for(&self, engine: &dyn Engine) -> bool {
        !self.skipped || engine.identity() == HASH_REPUTATION
    }
}

/// What a scan found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scanned {
    /// Number of the content in the tree.
    pub(crate) index: usize,
    /// Bytes of the content.
    pub(super) size: u64,
    pub(super) digests: Digests,
    pub(super) rows: Vec<EngineReport>,
    pub(super) hits: Vec<YaraHit>,
    /// Inputs of the verdict.
    pub(super) codes: Vec<Code>,
    /// Let in by its type.
    pub(super) skipped: bool,
    pub(super) detail: String,
    pub(super) hash_ms: u64,
    pub(super) engines_ms: u64,
}

impl Scanned {
    /// Nothing was scanned, and `code` says why.
    pub(crate) fn not_scanned(index: usize, code: Code, why: &str) -> Self {
        Self {
            index,
            size: 0,
            digests: Digests::default(),
            rows: Vec::new(),
            hits: Vec::new(),
            codes: vec![code],
            skipped: false,
            detail: why.into(),
            hash_ms: 0,
            engines_ms: 0,
        }
    }

    /// Whether this is about these bytes.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.size == bytes.len() as u64 && digests::sha256(bytes) == self.digests.sha256
    }

    /// Whether something did not come to its end.
    pub(super) fn has_failed(&self) -> bool {
        self.codes.contains(&Code::Failed) || self.rows.iter().any(|row| row.code == Code::Failed)
    }
}

/// The type of content `number` (`None` if the detector failed), and the milliseconds it took.
pub(super) fn typed(run: &Run<'_>, number: usize, bytes: &[u8]) -> (Option<FileType>, u64) {
    let start = Instant::now();
    let file_type = run.watch.part(Spot { number, part: Part::Type }, Some(run.resume.patience.silence()), || {
        hooks::trigger_type(bytes);
        filetype::detect(bytes)
    });
    (file_type.ok(), clock::since(start))
}

/// Engines that the rule asks for by name and that do not exist, or are switched off although it requires them: whoever
/// asked for them must not believe that they looked.
pub(super) fn missing(definitions: &Definitions, job: &Job) -> Vec<String> {
    let is_there = |name: &str| definitions.engines().any(|engine| engine.identity().name == name);
    let exists = |name: &str| is_there(name) || CATALOGUE.iter().any(|it| it.kind != "av" && it.name == name);
    let is_off = |name: &str| job.overrides.disabled.contains(name);
    let rule = &job.rule;
    let named = rule.engines.iter().filter(|name| !exists(name) || (is_off(name) && rule.requires(name)));
    let required = rule.required_engines.iter().filter(|name| !is_there(name) || is_off(name));
    let mut missing: Vec<String> = named.chain(required).cloned().collect();
    missing.sort();
    missing.dedup();
    missing
}

fn wanted<'e>(definitions: &'e Definitions, job: &Job) -> Vec<&'e dyn Engine> {
    let names = &job.rule.engines;
    let is_named = |name: &str| names.is_empty() || names.iter().any(|named| named == name);
    let runs = |name: &str| is_named(name) && !job.overrides.disabled.contains(name);
    definitions.engines().filter(|engine| runs(engine.identity().name)).collect()
}

/// The engines of the rule, with sessions for this thread.
pub(super) fn runners<'e>(definitions: &'e Definitions, job: &Job) -> Vec<Runner<'e>> {
    wanted(definitions, job).into_iter().map(Runner::new).collect()
}

type Found = (EngineReport, EngineOutcome);

/// Scans a content with this thread's sessions.
pub(super) fn child(run: &Run<'_>, runners: &mut [Runner<'_>], task: &Task) -> Scanned {
    let bytes = task.content.as_ref().as_ref();
    let start = Instant::now();
    let hash = || {
        let start = Instant::now();
        (digests::of(bytes), clock::since(start))
    };
    let none = Digests::default();
    let subject = |digests| Subject { name: &task.name, content: bytes, digests, file_type: &task.file_type };
    let first = subject(&none);
    let is_due = |engine: &dyn Engine, with_digests: bool| engine.needs_digests() == with_digests && task.is_for(engine);

    let mut found: Vec<Option<Found>> = runners.iter().map(|_| None).collect();
    let (digests, hash_ms) = if bytes.len() < PARALLEL_BYTES || run.resume.careful {
        for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| is_due(runner.engine(), false)) {
            *found = Some(look(run, runner, &first, task));
        }
        hash()
    } else {
        std::thread::scope(|scope| {
            let hashing = scope.spawn(hash);
            let mut own: Option<(&mut Runner<'_>, &mut Option<Found>)> = None;
            let mut others = Vec::new();
            for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| is_due(runner.engine(), false)) {
                if own.is_none() {
                    own = Some((runner, found));
                } else {
                    let engine = runner.engine();
                    others.push((found, scope.spawn(move || look(run, &mut Runner::new(engine), &first, task))));
                }
            }
            if let Some((runner, found)) = own {
                *found = Some(look(run, runner, &first, task));
            }
            for (found, thread) in others {
                *found = thread.join().ok();
            }
            hashing.join().unwrap_or_default()
        })
    };
    let second = subject(&digests);
    for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| is_due(runner.engine(), true)) {
        *found = Some(look(run, runner, &second, task));
    }
    let engines_ms = clock::since(start);
    let found = runners.iter().zip(found).filter(|(runner, _)| task.is_for(runner.engine())).map(|(_, found)| found).collect();
    let mut scanned = collect(task, found, run.job, &digests);
    scanned.size = bytes.len() as u64;
    (scanned.digests, scanned.hash_ms, scanned.engines_ms) = (digests, hash_ms, engines_ms);
    scanned
}

/// What the skip lists of the administration say.
fn listed(scanned: &mut Scanned, skips: &mut Vec<String>, lists: &SkipLists, digests: &Digests) {
    if lists.is_empty() {
        return;
    }
    if digests.sha256.is_empty() {
        scanned.codes.push(Code::Failed);
        scanned.detail = "the content could not be looked up in the block list".into();
        return;
    }
    let ruled = lists.of(digests);
    if let Some(comment) = ruled.blocked {
        scanned.codes.push(Code::Blocklisted);
        comment.clone_into(&mut scanned.detail);
    }
    scanned.codes.extend(ruled.allowed.then_some(Code::Allowlisted));
    skips.extend(ruled.skips.into_iter().map(str::to_owned));
}

/// One engine on one content, with its own budget. It may end, panic or take too long: that is its own row.
fn look(run: &Run<'_>, runner: &mut Runner<'_>, subject: &Subject<'_>, task: &Task) -> Found {
    let patience = run.resume.patience;
    let own = Instant::now() + patience.engine(subject.content.len());
    let ends = task.deadline.min(run.stop_at);
    // What ends with the run is not hanging: whoever waits for the run ends it.
    let limit = (own < ends).then(|| clock::left(own) + patience.grace());
    let spot = Spot { number: task.index, part: Part::Engine(runner.engine().identity().name.into()) };
    run.watch.part(spot, limit, || runner.run(subject, own.min(ends))).unwrap_or_else(|fault| runner.gave_up(fault.text()))
}

fn collect(task: &Task, found: Vec<Option<Found>>, job: &Job, digests: &Digests) -> Scanned {
    let rule = &job.rule;
    let mut scanned = Scanned::not_scanned(task.index, Code::Failed, "");
    scanned.codes.clear();
    let mut skips: Vec<String> = found.iter().flatten().flat_map(|(_, outcome)| outcome.skips.clone()).collect();
    listed(&mut scanned, &mut skips, &job.overrides.lists, digests);
    for found in found {
        let Some((mut row, mut outcome)) = found else {
            scanned.codes.push(Code::Failed);
            scanned.detail = "an engine did not answer".into();
            continue;
        };
        if outcome.also.contains(&Code::YaraRuleMatched) {
            if rule.yara_blocks && row.code.row().severity < Code::Infected.row().severity {
                (row.code, outcome.code) = (Code::Infected, Code::Infected);
            } else if row.code == Code::NoThreatDetected {
                row.threat.clear();
            }
        }
        if skips.contains(&row.name) {
            row.code = Code::NotScanned;
            row.threat.clear();
        } else {
            // The failure of an engine that the rule can do without is told by its row alone.
            let counts = row.code != Code::Failed || rule.requires(&row.name);
            if counts && row.code == Code::Failed && scanned.detail.is_empty() {
                scanned.detail = format!("{}: {}", row.name, row.threat);
            }
            scanned.codes.extend(counts.then_some(outcome.code));
            scanned.codes.extend(outcome.also);
            scanned.hits.extend(outcome.hits);
        }
        scanned.rows.push(row);
    }
    // Not when nobody looked it up: then it is not scanned, and not let in.
    scanned.skipped = task.skipped && scanned.codes.contains(&Code::NoThreatDetected);
    if scanned.skipped {
        scanned.codes.push(Code::Allowlisted);
    }
    if let Some(why) = mismatch::find(&task.name, &task.file_type) {
        scanned.codes.push(Code::FileTypeMismatch);
        if scanned.detail.is_empty() {
            scanned.detail = why;
        }
    }
    if filetype::is_encrypted_document(&task.file_type) {
        scanned.codes.push(Code::PasswordProtectedDocument);
    }
    scanned
}
