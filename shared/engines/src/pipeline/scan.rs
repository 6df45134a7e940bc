//! One content: digests, lists and engines, side by side where that pays.

use std::sync::Arc;
use std::time::Instant;

use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::domain::report::{Digests, EngineReport, FileType, YaraHit};
use portcullis_core::domain::verdict::Code;

use crate::clock;
use crate::content::Content;
use crate::definitions::Definitions;
use crate::digests::{self, PARALLEL_BYTES};
use crate::engine::{Engine, EngineOutcome, Runner, Subject, guarded};
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
}

/// What a scan found.
pub(super) struct Scanned {
    pub(super) index: usize,
    pub(super) digests: Digests,
    pub(super) rows: Vec<EngineReport>,
    pub(super) hits: Vec<YaraHit>,
    /// Inputs of the verdict.
    pub(super) codes: Vec<Code>,
    pub(super) detail: String,
    pub(super) hash_ms: u64,
    pub(super) engines_ms: u64,
}

impl Scanned {
    /// Nothing was scanned, and `code` says why.
    pub(super) fn not_scanned(index: usize, code: Code, why: &str) -> Self {
        Self {
            index,
            digests: Digests::default(),
            rows: Vec::new(),
            hits: Vec::new(),
            codes: vec![code],
            detail: why.into(),
            hash_ms: 0,
            engines_ms: 0,
        }
    }
}

/// The type of a content (`None` if the detector panicked), and the milliseconds it took.
pub(super) fn typed(bytes: &[u8]) -> (Option<FileType>, u64) {
    let start = Instant::now();
    let file_type = guarded(|| {
        hooks::trigger_type(bytes);
        filetype::detect(bytes)
    });
    (file_type, clock::since(start))
}

/// Engines of the rule that do not exist: whoever asked for them must not believe that they looked.
pub(super) fn missing(definitions: &Definitions, job: &Job) -> Vec<String> {
    let exists = |name: &str| {
        definitions.engines().any(|engine| engine.identity().name == name) || CATALOGUE.iter().any(|it| it.kind != "av" && it.name == name)
    };
    job.rule.engines.iter().filter(|name| !exists(name)).cloned().collect()
}

fn wanted<'e>(definitions: &'e Definitions, job: &Job) -> Vec<&'e dyn Engine> {
    let names = &job.rule.engines;
    definitions.engines().filter(|engine| names.is_empty() || names.iter().any(|name| name == engine.identity().name)).collect()
}

/// The engines of the rule, with sessions for this thread.
pub(super) fn runners<'e>(definitions: &'e Definitions, job: &Job) -> Vec<Runner<'e>> {
    wanted(definitions, job).into_iter().map(Runner::new).collect()
}

/// Scans a content with sessions of its own.
pub(super) fn file(definitions: &Definitions, job: &Job, task: &Task) -> Scanned {
    let mut runners = runners(definitions, job);
    guarded(|| child(&mut runners, task)).unwrap_or_else(|| Scanned::not_scanned(task.index, Code::Failed, "the scan panicked"))
}

type Found = (EngineReport, EngineOutcome);

/// Scans a content with this thread's sessions.
pub(super) fn child(runners: &mut [Runner<'_>], task: &Task) -> Scanned {
    let bytes = task.content.as_ref().as_ref();
    let start = Instant::now();
    let hash = || {
        let start = Instant::now();
        (digests::of(bytes), clock::since(start))
    };
    let none = Digests::default();
    let subject = |digests| Subject { name: &task.name, content: bytes, digests, file_type: &task.file_type };
    let first = subject(&none);

    let mut found: Vec<Option<Found>> = runners.iter().map(|_| None).collect();
    let (digests, hash_ms) = if bytes.len() < PARALLEL_BYTES {
        for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| !runner.engine().needs_digests()) {
            *found = Some(runner.run(&first, task.deadline));
        }
        hash()
    } else {
        std::thread::scope(|scope| {
            let hashing = scope.spawn(hash);
            let mut own: Option<(&mut Runner<'_>, &mut Option<Found>)> = None;
            let mut others = Vec::new();
            for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| !runner.engine().needs_digests()) {
                if own.is_none() {
                    own = Some((runner, found));
                } else {
                    let engine = runner.engine();
                    others.push((found, scope.spawn(move || Runner::new(engine).run(&first, task.deadline))));
                }
            }
            if let Some((runner, found)) = own {
                *found = Some(runner.run(&first, task.deadline));
            }
            for (found, thread) in others {
                *found = thread.join().ok();
            }
            hashing.join().unwrap_or_default()
        })
    };
    let second = subject(&digests);
    for (runner, found) in runners.iter_mut().zip(&mut found).filter(|(runner, _)| runner.engine().needs_digests()) {
        *found = Some(runner.run(&second, task.deadline));
    }
    let engines_ms = clock::since(start);
    let mut scanned = collect(task, found);
    (scanned.digests, scanned.hash_ms, scanned.engines_ms) = (digests, hash_ms, engines_ms);
    scanned
}

fn collect(task: &Task, found: Vec<Option<Found>>) -> Scanned {
    let mut scanned = Scanned::not_scanned(task.index, Code::Failed, "");
    scanned.codes.clear();
    let skips: Vec<String> = found.iter().flatten().flat_map(|(_, outcome)| outcome.skips.clone()).collect();
    for found in found {
        let Some((mut row, outcome)) = found else {
            scanned.codes.push(Code::Failed);
            scanned.detail = "an engine did not answer".into();
            continue;
        };
        if skips.contains(&row.name) {
            row.code = Code::NotScanned;
            row.threat.clear();
        } else {
            if row.code == Code::Failed && scanned.detail.is_empty() {
                scanned.detail = format!("{}: {}", row.name, row.threat);
            }
            scanned.codes.push(outcome.code);
            scanned.codes.extend(outcome.also);
            scanned.hits.extend(outcome.hits);
        }
        scanned.rows.push(row);
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
