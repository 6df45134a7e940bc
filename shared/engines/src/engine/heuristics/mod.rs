//! Static heuristics: what neither a hash nor a pattern finds.
//!
//! [`macros`] reads VBA projects, [`scripts`] weighs obfuscation, [`deceptive`] looks at names.
//! Conservative on purpose: a heuristic that blocks ordinary files is switched off by its operators.
//! What always holds: a VBA project that can not be read is suspicious, not clean.

mod deceptive;
mod macros;
mod scripts;

use std::time::Duration;

use portcullis_core::domain::engine::{EngineIdentity, HEURISTICS};
use portcullis_core::domain::verdict::Code;

use super::{Engine, EngineOutcome, Session, Subject};
use crate::definitions::BUILT_AT;
use crate::hooks;

/// The engine. Its definitions are its code.
pub struct Heuristics;

impl Engine for Heuristics {
    fn identity(&self) -> EngineIdentity {
        HEURISTICS
    }
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }
    fn def_time(&self) -> &str {
        BUILT_AT
    }
    fn issues(&self) -> &[String] {
        &[]
    }
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(Heuristics)
    }
}

impl Session for Heuristics {
    fn scan(&mut self, subject: &Subject<'_>, _budget: Duration) -> EngineOutcome {
        hooks::trigger(subject.content);
        let threat = macros::judge(subject.content)
            .or_else(|| scripts::judge(subject.name, subject.content, subject.file_type).map(Into::into))
            .or_else(|| deceptive::judge(subject.name).map(Into::into));
        match threat {
            Some(threat) => EngineOutcome::found(Code::Suspicious, threat),
            None => EngineOutcome::clean(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    /// The EICAR test file, put together at run time.
    pub(crate) fn eicar() -> Vec<u8> {
        [&br"X5O!P%@AP[4\PZX54(P^)7CC)7}$"[..], b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"].concat()
    }
}
