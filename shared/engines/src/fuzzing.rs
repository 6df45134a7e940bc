//! Doors for the fuzz targets (`tests/fuzz`); compiled only for them (`--cfg fuzzing`).
//!
//! A target calls one family of parsers on one content, without workers. What shows: aborts, overflowing stacks, memory,
//! endless loops, and panics of our own code. Panics of other people's parsers are contained by the guard, here as in a worker.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_core::domain::report::Digests;
use portcullis_core::domain::rule::ExtractionLimits;
use portcullis_core::domain::verdict::Code;

use crate::archive::{Entry, Ledger, ReadFault, Sink, Stop, formats};
use crate::content::{Content, Spool};
use crate::engine::{Subject, guarded};
use crate::{Definitions, filetype};

/// To be called once before anything else: replaces libFuzzer's hook, which takes every panic for a crash.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        if info.location().is_some_and(|at| at.file().contains("shared/engines/src")) {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
}

/// Opens `content` by every format whose name contains one of `names`, each with limits of a few MiB and seconds.
/// Gives the number of contents that came out.
pub fn unpack(names: &[&str], content: &[u8]) -> usize {
    let limits = ExtractionLimits { max_entries: 500, max_total_bytes: 16 << 20, max_ratio: 100_000, ..ExtractionLimits::default() };
    let scratch = std::env::temp_dir();
    let mut found = 0;
    for name in names {
        assert!(formats().any(|format| format.name.contains(name)), "there is no format `{name}`");
    }
    for format in formats().filter(|format| names.iter().any(|name| format.name.contains(name))) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut sink = Counting { ledger: Ledger::new(&limits, content.len() as u64, deadline), scratch: &scratch, found: 0 };
        let _ = guarded(|| format.extractor.extract(content, &["password".to_owned()], &mut sink));
        found += sink.found;
    }
    found
}

/// Lets every engine judge `content`, under a name of the type that it has by its content.
pub fn judge(definitions: &Definitions, content: &[u8]) {
    let file_type = filetype::detect(content);
    let name = format!("a.{}", file_type.extensions.first().map_or("bin", String::as_str));
    let digests = Digests::default();
    let subject = Subject { name: &name, content, digests: &digests, file_type: &file_type };
    for engine in definitions.engines().filter(|engine| !engine.needs_digests()) {
        let _ = guarded(|| engine.session().scan(&subject, Duration::from_secs(5)));
    }
}

/// Counts what comes out, against the limits.
struct Counting<'a> {
    ledger: Ledger<'a>,
    scratch: &'a Path,
    found: usize,
}

impl Counting<'_> {
    fn drain(&mut self, from: &mut dyn Read) -> Result<Content, ReadFault> {
        let mut spool = Spool::new(self.scratch);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return spool.finish().map_err(|e| ReadFault::Broken(e.to_string())),
                Ok(read) => {
                    self.ledger.charge(read as u64).map_err(ReadFault::Stop)?;
                    spool.write_all(buffer.get(..read).unwrap_or_default()).map_err(|e| ReadFault::Broken(e.to_string()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadFault::Broken(error.to_string())),
            }
        }
    }
}

/// Charges what is written.
struct Charged<'s, 'l> {
    spool: Spool<'s>,
    ledger: &'s mut Ledger<'l>,
    stop: Option<Stop>,
}

impl Write for Charged<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(stop) = self.ledger.charge(bytes.len() as u64) {
            self.stop = Some(stop);
            return Err(io::Error::other("limit"));
        }
        self.spool.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Counting<'_> {
    fn name(&self) -> String {
        "fuzzed".into()
    }

    fn announce(&mut self, entries: u64) -> Result<(), Stop> {
        self.ledger.announce(entries)
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.ledger.count()
    }

    fn read(&mut self, declared: u64, from: &mut dyn Read) -> Result<Content, ReadFault> {
        self.ledger.foresee(declared).map_err(ReadFault::Stop)?;
        self.drain(from)
    }

    fn collect(&mut self, declared: u64, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(Content, Option<String>), Stop> {
        self.ledger.foresee(declared)?;
        let mut to = Charged { spool: Spool::new(self.scratch), ledger: &mut self.ledger, stop: None };
        let result = fill(&mut to);
        if let Some(stop) = to.stop {
            return Err(stop);
        }
        let content = to.spool.finish().map_err(|e| Stop::Limit(Code::Failed, e.to_string()))?;
        Ok((content, result.err().map(|e| e.to_string())))
    }

    fn spill(&mut self, bytes: &[u8]) -> Result<File, Stop> {
        let file = tempfile::tempfile_in(self.scratch).and_then(|mut file| file.write_all(bytes).map(|()| file));
        file.map_err(|error| Stop::Limit(Code::Failed, error.to_string()))
    }

    fn child(&mut self, _: Entry, _: Content) -> Result<(), Stop> {
        self.found += 1;
        Ok(())
    }

    fn blocked(&mut self, _: Entry, _: Code, _: String) {
        self.found += 1;
    }
}
