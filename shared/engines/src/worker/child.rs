//! The child's side. It limits itself before it reads anything from outside.

use std::io;
use std::process::ExitCode;

use rlimit::Resource;

use super::{Request, Response, Setup, frames};
use crate::definitions::Definitions;
use crate::{pipeline, vetting};

/// Until standard input ends: the parent is gone then, and nobody waits for an answer.
pub(super) fn run() -> ExitCode {
    // The default hook prints what was being parsed; the place is enough.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "unknown".into(), ToString::to_string);
        let _ = io::Write::write_all(&mut io::stderr(), format!("portcullis-worker: a panic was caught at {place}\n").as_bytes());
    }));
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = io::Write::write_all(&mut io::stderr(), format!("portcullis-worker: {error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let Some(setup) = frames::read::<Setup>(&mut from)? else { return Ok(()) };
    // A core file would hold the content.
    Resource::CORE.set(0, 0)?;
    // Not RLIMIT_AS: the rule engine reserves address space by gigabytes without using it.
    let bytes = setup.memory_limit_bytes.min(Resource::DATA.get_hard()?);
    Resource::DATA.set(bytes, bytes)?;
    let definitions = Definitions::load(setup.definitions_dir.as_deref(), Some(&setup.cache_dir));
    frames::write(&mut to, &Response::Ready(definitions.status(), definitions.version().to_owned()))?;
    while let Some(request) = frames::read::<Request>(&mut from)? {
        let response = match request {
            Request::Analyse(job) => Response::Report(Box::new(pipeline::analyse(&definitions, &job))),
            Request::CheckRules(path) => Response::Checked(vetting::check(&path)),
            Request::UnpackRules { archive, into } => Response::Unpacked(vetting::unpack(&archive, &into)),
        };
        frames::write(&mut to, &response)?;
    }
    Ok(())
}
