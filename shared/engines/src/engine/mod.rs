//! What an engine is, and how one is run so that nothing it does can look like "clean".
//!
//! What always holds: [`run`] answers with a row whatever happens; a panic is `Failed` and costs the
//! engine its session, never the file's verdict.

pub(crate) mod clamav;
mod deceptive;
pub mod documents;
pub mod executables;
pub mod hashes;
pub mod pdf;
mod score;
pub mod scripts;
pub mod yara;
mod yara_pack;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use portcullis_core::domain::engine::{EngineIdentity, EngineStatus};
use portcullis_core::domain::report::{Digests, EngineReport, FileType, YaraHit};
use portcullis_core::domain::verdict::Code;

use crate::clock;
use crate::definitions::BUILT_AT;

/// What an engine looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Name as sent or as stored in the archive, unclean: engines judge it, nobody shows it.
    pub name: &'a str,
    /// The whole content.
    pub content: &'a [u8],
    /// Digests; all empty for engines that do not ask for them ([`Engine::needs_digests`]).
    pub digests: &'a Digests,
    /// Type by content.
    pub file_type: &'a FileType,
}

/// What an engine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOutcome {
    /// Engine level code (contract §3.2).
    pub code: Code,
    /// Threat name, or what failed; empty when nothing was found.
    pub threat: String,
    /// Further inputs of the verdict that have no place in an engine row (7, 8, 15, 21).
    pub also: Vec<Code>,
    /// YARA rules that matched.
    pub hits: Vec<YaraHit>,
    /// Names of engines whose findings do not count for this content (skip list).
    pub skips: Vec<String>,
}

impl EngineOutcome {
    /// Looked at everything and found nothing.
    pub fn clean() -> Self {
        Self { code: Code::NoThreatDetected, threat: String::new(), also: Vec::new(), hits: Vec::new(), skips: Vec::new() }
    }
    /// Found something.
    pub fn found(code: Code, threat: impl Into<String>) -> Self {
        Self { code, threat: threat.into(), ..Self::clean() }
    }
    /// Did not look at everything.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::found(Code::Failed, why)
    }
}

/// An engine: immutable, shared by all threads.
pub trait Engine: Send + Sync {
    /// Name, id and kind.
    fn identity(&self) -> EngineIdentity;
    /// `eng_ver`.
    fn version(&self) -> String;
    /// Date of the definitions, ISO 8601 with milliseconds and `Z`.
    fn def_time(&self) -> Cow<'_, str>;
    /// What is wrong with the definitions, one sentence each.
    fn issues(&self) -> &[String];
    /// Whether [`Subject::digests`] must be filled.
    fn needs_digests(&self) -> bool {
        false
    }
    /// State for one thread; expensive to make, cheap to use again.
    fn session(&self) -> Box<dyn Session + '_>;

    /// What the engine says of itself.
    fn status(&self) -> EngineStatus {
        EngineStatus {
            name: self.identity().name.into(),
            version: self.version(),
            def_time: self.def_time().into_owned(),
            active: true,
            issues: self.issues().to_vec(),
        }
    }
}

/// An engine's state on one thread.
pub trait Session {
    /// Looks at a content, for at most about `budget`. Not having seen all of it is [`EngineOutcome::failed`].
    fn scan(&mut self, subject: &Subject<'_>, budget: Duration) -> EngineOutcome;
}

/// An engine whose definitions are its code: what it finds is suspicious.
///
/// Conservative on purpose: heuristics that block ordinary files are switched off by their operators.
pub(crate) struct Heuristic {
    /// Name, id and kind.
    pub(crate) identity: EngineIdentity,
    /// The threat name of a content; `None` for one without findings, or of another kind than this engine's. An error says
    /// why not all of it was seen.
    pub(crate) judge: fn(&Subject<'_>) -> Result<Option<String>, &'static str>,
}

impl Engine for Heuristic {
    fn identity(&self) -> EngineIdentity {
        self.identity
    }
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }
    fn def_time(&self) -> Cow<'_, str> {
        BUILT_AT.into()
    }
    fn issues(&self) -> &[String] {
        &[]
    }
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

impl Session for &Heuristic {
    fn scan(&mut self, subject: &Subject<'_>, _budget: Duration) -> EngineOutcome {
        match (self.judge)(subject) {
            Ok(Some(threat)) => EngineOutcome::found(Code::Suspicious, threat),
            Ok(None) => EngineOutcome::clean(),
            Err(why) => EngineOutcome::failed(why),
        }
    }
}

/// Calls a parser; a panic becomes `None`.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// An engine with its session on this thread.
pub(crate) struct Runner<'e> {
    engine: &'e dyn Engine,
    session: Option<Box<dyn Session + 'e>>,
}

impl<'e> Runner<'e> {
    pub(crate) fn new(engine: &'e dyn Engine) -> Self {
        Self { engine, session: None }
    }

    pub(crate) fn engine(&self) -> &'e dyn Engine {
        self.engine
    }

    /// Scans and answers with the row for `scan_details` and everything else that was found.
    pub(crate) fn run(&mut self, subject: &Subject<'_>, deadline: Instant) -> (EngineReport, EngineOutcome) {
        let handed_over = Instant::now();
        let budget = clock::left(deadline);
        let engine = self.engine;
        let session = &mut self.session;
        let outcome = if budget.is_zero() {
            EngineOutcome::failed("no time left for this engine")
        } else {
            guarded(|| session.get_or_insert_with(|| engine.session()).scan(subject, budget)).unwrap_or_else(|| {
                // Its state is not trusted any more. A session that panics when dropped is leaked by `guarded`.
                let broken = session.take();
                let _ = guarded(move || drop(broken));
                EngineOutcome::failed("the engine panicked")
            })
        };
        self.row(outcome, clock::since(handed_over))
    }

    /// The answer of an engine that is not asked any more, because it `did` something.
    pub(crate) fn gave_up(&mut self, did: &str) -> (EngineReport, EngineOutcome) {
        self.row(EngineOutcome::failed(format!("the engine {did}")), 0)
    }

    fn row(&self, outcome: EngineOutcome, took: u64) -> (EngineReport, EngineOutcome) {
        let identity = self.engine.identity();
        let report = EngineReport {
            name: identity.name.into(),
            id: identity.id.into(),
            code: outcome.code,
            threat: outcome.threat.clone(),
            def_time: self.engine.def_time().into_owned(),
            scan_ms: took,
            wait_ms: took,
        };
        (report, outcome)
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::{Digests, Subject};

    /// The EICAR test file, put together at run time.
    pub(crate) fn eicar() -> Vec<u8> {
        [&br"X5O!P%@AP[4\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"].concat()
    }

    /// What a judge says about a content with a name.
    pub(crate) fn judged<T>(judge: fn(&Subject<'_>) -> T, name: &str, content: &[u8]) -> T {
        judge(&Subject { name, content, digests: &Digests::default(), file_type: &crate::filetype::detect(content) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panicky;
    impl Engine for Panicky {
        fn identity(&self) -> EngineIdentity {
            EngineIdentity { name: "Panicky", id: "p", kind: "av" }
        }
        fn version(&self) -> String {
            "1".into()
        }
        fn def_time(&self) -> Cow<'_, str> {
            "".into()
        }
        fn issues(&self) -> &[String] {
            &[]
        }
        fn session(&self) -> Box<dyn Session + '_> {
            Box::new(Panicky)
        }
    }
    impl Session for Panicky {
        fn scan(&mut self, subject: &Subject<'_>, _: Duration) -> EngineOutcome {
            assert!(subject.content.is_empty(), "on purpose");
            EngineOutcome::clean()
        }
    }

    #[test]
    fn a_panic_is_a_failed_row_and_the_engine_works_again_afterwards() {
        let mut runner = Runner::new(&Panicky);
        let (digests, file_type) = (Digests::default(), FileType::default());
        let mut subject = Subject { name: "x", content: b"x", digests: &digests, file_type: &file_type };
        let deadline = Instant::now() + Duration::from_secs(5);
        assert_eq!(runner.run(&subject, deadline).0.code, Code::Failed);
        subject.content = b"";
        assert_eq!(runner.run(&subject, deadline).0.code, Code::NoThreatDetected);
        assert_eq!(runner.run(&subject, Instant::now()).0.code, Code::Failed, "no time left is not clean");
    }
}
