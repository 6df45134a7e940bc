//! The child's side. It limits itself before it reads anything from outside.

use std::io::{self, Stdout};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rlimit::Resource;

use super::{Request, Response, Setup, frames};
use crate::definitions::Definitions;
use crate::job::Job;
use crate::pipeline::{self, Ended, Told, Watch};
use crate::resume::Resume;
use crate::vetting;

/// Time between looks for a part that hangs.
const LOOK: Duration = Duration::from_millis(100);

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
    let (mut from, to) = (io::stdin().lock(), Answers(Mutex::new(io::stdout())));
    let Some(setup) = frames::read::<Setup>(&mut from)? else { return Ok(()) };
    // A core file would hold the content.
    Resource::CORE.set(0, 0)?;
    // Not RLIMIT_AS: the rule engine reserves address space by gigabytes without using it.
    let bytes = setup.memory_limit_bytes.min(Resource::DATA.get_hard()?);
    Resource::DATA.set(bytes, bytes)?;
    let definitions = Definitions::load_with(setup.definitions_dir.as_deref(), Some(&setup.cache_dir), setup.clamd.as_deref());
    to.send(&Response::Ready(definitions.status(), definitions.version().to_owned()))?;
    while let Some(request) = frames::read::<Request>(&mut from)? {
        let response = match request {
            Request::Analyse(job, resume) => analyse(&definitions, &job, &resume, &to),
            Request::CheckRules(path) => Response::Checked(vetting::check(&path)),
            Request::UnpackRules { archive, into } => Response::Unpacked(vetting::unpack(&archive, &into)),
        };
        to.send(&response)?;
    }
    Ok(())
}

/// Standard output, for all threads.
struct Answers(Mutex<Stdout>);

impl Answers {
    fn send(&self, response: &Response) -> io::Result<()> {
        frames::write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), response)
    }
}

/// One run. Meanwhile the parent is told what was done, and if a part hangs; it then ends this process.
fn analyse(definitions: &Definitions, job: &Job, resume: &Resume, to: &Answers) -> Response {
    let tell = |told: Told| {
        let response = match told {
            Told::Began(spot) => Response::Began(spot),
            Told::Finished(finished) => Response::Finished(finished),
        };
        // A parent that is gone is noticed at the next answer.
        let _ = to.send(&response);
    };
    let watch = Watch::new(resume.careful, &resume.avoid, Some(&tell));
    let (over, is_over) = mpsc::channel::<()>();
    let ended = std::thread::scope(|scope| {
        let watch = &watch;
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(LOOK) {
                if let Some(spot) = watch.hanging() {
                    let _ = to.send(&Response::Hangs(spot));
                    return;
                }
            }
        });
        let ended = pipeline::analyse_part(definitions, job, resume, watch);
        drop(over);
        ended
    });
    match ended {
        Ended::Report(report) => Response::Report(report),
        Ended::Paused => Response::Paused(watch.rest()),
    }
}
