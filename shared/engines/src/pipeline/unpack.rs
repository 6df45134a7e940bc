//! Unpacks a submission, depth first, and hands every content to the scanners.
//!
//! What always holds: one thread unpacks, so one [`Ledger`] sees every byte of every level; once a
//! limit is hit nothing is read any further, and every archive around it carries the code.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use portcullis_core::domain::verdict::Code;

use super::Run;
use super::node::Tree;
use super::scan::{self, Task};
use super::watch::{Entered, Part, Spot};
use crate::archive::{self, Entry, Ledger, Opening, Plan, ReadFault, Sink, Stop};
use crate::content::{Content, Spool};
use crate::engine::guarded;
use crate::{clock, hooks, names};

const CHUNK: usize = 64 * 1024;

/// The thread that unpacks.
pub(super) struct Unpacker<'a> {
    run: &'a Run<'a>,
    ledger: Ledger<'a>,
    tree: Tree,
    /// Takes every content.
    hand: &'a mut (dyn FnMut(Task) + 'a),
    stopped: bool,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(run: &'a Run<'a>, ledger: Ledger<'a>, tree: Tree, hand: &'a mut (dyn FnMut(Task) + 'a)) -> Self {
        Self { run, ledger, tree, hand, stopped: false }
    }

    pub(super) fn finish(self) -> Tree {
        self.tree
    }

    /// Opens the content of node `index`, and everything in it.
    pub(super) fn open(&mut self, opening: &Opening, index: usize, content: &[u8]) {
        let start = Instant::now();
        let run = self.run;
        let max = run.job.rule.extraction.max_depth;
        if self.tree.depth(index) >= max {
            self.tree.limit(index, Code::ExceededArchiveDepth, &format!("archives are nested deeper than {max} levels"));
            return;
        }
        let result = match run.watch.enter(Spot { number: index, part: Part::Unpack }, Some(run.resume.patience.silence())) {
            Err(fault) => Err(Stop::corrupt(format!("the extractor {}", fault.text()))),
            Ok(entered) => guarded(|| {
                hooks::trigger_unpack(content);
                opening.extract(content, &run.job.passwords, &mut Level { unpacker: self, index, pulse: Pulse { entered: &entered, run } })
            })
            .unwrap_or_else(|| Err(Stop::corrupt("the extractor panicked"))),
        };
        self.tree.opened(index, clock::since(start));
        match result {
            // Stopped further in: the codes are already where they belong.
            Err(Stop::Limit(..)) if self.stopped => {}
            Ok(()) => {}
            Err(Stop::Corrupt(why)) => self.tree.fail(index, &why),
            Err(Stop::Closed(code, why)) => self.tree.found(index, code, &why),
            Err(Stop::Limit(code, why)) => {
                self.stopped = true;
                self.tree.limit(index, code, &why);
            }
        }
    }
}

/// One archive that is being read.
struct Level<'u, 'a> {
    unpacker: &'u mut Unpacker<'a>,
    index: usize,
    pulse: Pulse<'u, 'a>,
}

impl Level<'_, '_> {
    fn go_on(&self) -> Result<(), Stop> {
        // The codes are already where they belong; this only ends the outer levels' loops.
        if self.unpacker.stopped { Err(Stop::Limit(Code::Failed, String::new())) } else { Ok(()) }
    }
}

/// Signs of life of an extractor, and whether it may go on.
#[derive(Clone, Copy)]
struct Pulse<'u, 'a> {
    entered: &'u Entered<'a>,
    run: &'a Run<'a>,
}

impl Pulse<'_, '_> {
    /// Something came out. Nothing more is read in a run whose time is over; its tree is thrown away, so the code is never seen.
    fn beat(&self) -> Result<(), Stop> {
        self.entered.lives(self.run.resume.patience.silence());
        if self.run.is_over() { Err(Stop::Limit(Code::Failed, "the analysis pauses".into())) } else { Ok(()) }
    }
}

impl Sink for Level<'_, '_> {
    fn name(&self) -> String {
        self.unpacker.tree.name(self.index).to_string()
    }

    fn announce(&mut self, entries: u64) -> Result<(), Stop> {
        self.pulse.beat()?;
        self.unpacker.ledger.announce(entries)
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.go_on()?;
        self.pulse.beat()?;
        self.unpacker.ledger.count()
    }

    fn read(&mut self, declared: u64, from: &mut dyn Read) -> Result<Content, ReadFault> {
        let ledger = &mut self.unpacker.ledger;
        ledger.foresee(declared).map_err(ReadFault::Stop)?;
        let mut spool = Spool::new(&self.unpacker.run.job.scratch_dir);
        let mut buffer = vec![0; CHUNK];
        let mut charged = 0;
        let no_room = |error: io::Error| ReadFault::Stop(no_room(&error));
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return spool.finish().map_err(no_room),
                Ok(read) => {
                    charged += read as u64;
                    self.pulse.beat().map_err(ReadFault::Stop)?;
                    ledger.charge(read as u64).map_err(ReadFault::Stop)?;
                    spool.write_all(buffer.get(..read).unwrap_or_default()).map_err(no_room)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    ledger.refund(charged);
                    return Err(ReadFault::Broken(error.to_string()));
                }
            }
        }
    }

    fn collect(&mut self, declared: u64, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(Content, Option<String>), Stop> {
        let ledger = &mut self.unpacker.ledger;
        ledger.foresee(declared)?;
        let spool = Spool::new(&self.unpacker.run.job.scratch_dir);
        let mut metered = Metered { ledger, pulse: self.pulse, spool, stop: None };
        let result = fill(&mut metered);
        if let Some(stop) = metered.stop {
            return Err(stop);
        }
        let content = metered.spool.finish().map_err(|error| no_room(&error))?;
        Ok((content, result.err().map(|error| error.to_string())))
    }

    fn spill(&mut self, bytes: &[u8]) -> Result<File, Stop> {
        self.pulse.beat()?;
        let file = tempfile::tempfile_in(&self.unpacker.run.job.scratch_dir).and_then(|mut file| file.write_all(bytes).map(|()| file));
        file.map_err(|error| no_room(&error))
    }

    fn child(&mut self, entry: Entry, content: Content) -> Result<(), Stop> {
        // Types, plans and engines have limits of their own.
        self.pulse.entered.waits();
        let unpacker = &mut *self.unpacker;
        let run = unpacker.run;
        let bytes = content.as_ref();
        let (found, filetype_ms) = scan::typed(run, unpacker.tree.len(), bytes);
        let is_typed = found.is_some();
        let file_type = found.unwrap_or_default();
        let display = names::of_child(unpacker.tree.name(self.index), &entry.name);
        let index = unpacker.tree.add(Some(self.index), display, bytes.len() as u64, file_type.clone(), filetype_ms);
        if entry.is_part || archive::is_part(unpacker.tree.file_type(self.index), &entry.name) {
            unpacker.tree.is_part(index);
        }
        if let Some(note) = entry.note {
            unpacker.tree.note(index, note);
        }
        if let Some(why) = &entry.fault {
            unpacker.tree.fail(index, why);
        }
        let plan = run.plan(index, bytes, &file_type, true);
        let is_plain = is_typed && matches!(plan, Plan::Nothing);
        let ruling = run.job.rule.types.rule_on(&file_type, &entry.name, unpacker.tree.is_document(self.index));
        let skipped = unpacker.tree.ruled(index, ruling, is_plain);
        let opening = unpacker.tree.planned(index, plan, is_typed);
        let content = Arc::new(content);
        let task = Task { index, name: entry.name, content: Arc::clone(&content), file_type, deadline: run.unpack_deadline, skipped };
        (unpacker.hand)(task);
        if let Some(opening) = opening {
            unpacker.open(&opening, index, content.as_ref().as_ref());
        }
        self.pulse.entered.lives(run.resume.patience.silence());
        self.go_on()
    }

    fn blocked(&mut self, entry: Entry, code: Code, why: String) {
        let tree = &mut self.unpacker.tree;
        let display = names::of_child(tree.name(self.index), &entry.name);
        tree.add_blocked(self.index, display, entry.declared, code, &why);
    }
}

/// Charges what is written before it is kept.
struct Metered<'l, 'a> {
    ledger: &'l mut Ledger<'a>,
    pulse: Pulse<'l, 'a>,
    spool: Spool<'a>,
    /// Why nothing more is taken. Decoders may hide it behind an error of their own.
    stop: Option<Stop>,
}

impl Write for Metered<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let charged = if self.stop.is_none() { self.pulse.beat().and_then(|()| self.ledger.charge(bytes.len() as u64)) } else { Ok(()) };
        let kept = charged.and_then(|()| self.spool.write_all(bytes).map_err(|error| no_room(&error)));
        if let Err(stop) = kept {
            self.stop = Some(stop);
        }
        if self.stop.is_some() { Err(io::Error::other("the limit is reached")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Scratch space is short: nothing more can be had from this submission.
fn no_room(error: &io::Error) -> Stop {
    Stop::Limit(Code::Failed, format!("a content could not be stored: {error}"))
}
