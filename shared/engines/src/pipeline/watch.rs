//! What the pipeline tells of itself while it works, so that whoever watches can say what ended a worker, and keep
//! what was done before.
//!
//! What always holds: everything that looks into bytes from outside runs as a part ([`Watch::part`]); a part that
//! panics, and one that ended a worker before, is the failure of its own content.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::scan::Scanned;

/// Results are passed on at most this often.
const FLUSH: Duration = Duration::from_secs(1);

/// A part of the work on one content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Detecting its type.
    Type,
    /// Finding out whether, and how, it is opened.
    Plan,
    /// Opening it.
    Unpack,
    /// One engine, by name.
    Engine(String),
}

/// Where the work is: which content (0 = the submitted file), and which part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) number: usize,
    pub(crate) part: Part,
}

/// Why a part gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Panicked,
    /// It ended a worker when it was tried before.
    EndedWorker,
}

impl Fault {
    /// The predicate of a sentence.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::EndedWorker => "ended its worker",
        }
    }
}

/// What is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// A part begins (or goes on, after one within it), in careful runs only.
    Began(Spot),
    /// Contents that are done with.
    Finished(Vec<Scanned>),
}

/// Where it is told to.
pub(crate) type Tell<'a> = &'a (dyn Fn(Told) + Sync);

struct Running {
    id: u64,
    spot: Spot,
    /// When it counts as hanging; `None` while it waits for others, or if it is bounded otherwise.
    until: Option<Instant>,
}

struct State {
    next: u64,
    running: Vec<Running>,
    finished: Vec<Scanned>,
    flushed: Instant,
}

/// Watches one run.
pub(crate) struct Watch<'a> {
    careful: bool,
    avoid: &'a [Spot],
    tell: Option<Tell<'a>>,
    state: Mutex<State>,
}

impl<'a> Watch<'a> {
    /// `careful`: every part is told before it begins. `avoid`: parts that are not begun. Without `tell` nothing is told.
    pub(crate) fn new(careful: bool, avoid: &'a [Spot], tell: Option<Tell<'a>>) -> Self {
        let state = State { next: 0, running: Vec::new(), finished: Vec::new(), flushed: Instant::now() };
        Self { careful, avoid, tell, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, spot: Option<Spot>) {
        if let (true, Some(tell), Some(spot)) = (self.careful, self.tell, spot) {
            tell(Told::Began(spot));
        }
    }

    /// Begins a part, which counts as hanging after `limit`.
    pub(crate) fn enter(&self, spot: Spot, limit: Option<Duration>) -> Result<Entered<'_>, Fault> {
        if self.avoid.contains(&spot) {
            return Err(Fault::EndedWorker);
        }
        let until = limit.map(|limit| Instant::now() + limit);
        let told = self.careful.then(|| spot.clone());
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.running.push(Running { id, spot, until });
        drop(state);
        self.announce(told);
        Ok(Entered { watch: self, id })
    }

    /// Does a part. A panic costs this part only.
    pub(crate) fn part<T>(&self, spot: Spot, limit: Option<Duration>, work: impl FnOnce() -> T) -> Result<T, Fault> {
        let _entered = self.enter(spot, limit)?;
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| Fault::Panicked)
    }

    /// A content is done with.
    pub(crate) fn finished(&self, scanned: &Scanned) {
        let Some(tell) = self.tell else { return };
        let mut state = self.lock();
        state.finished.push(scanned.clone());
        if state.flushed.elapsed() < FLUSH {
            return;
        }
        state.flushed = Instant::now();
        let finished = std::mem::take(&mut state.finished);
        drop(state);
        tell(Told::Finished(finished));
    }

    /// Results that were not passed on yet.
    pub(crate) fn rest(&self) -> Vec<Scanned> {
        std::mem::take(&mut self.lock().finished)
    }

    /// A part that hangs.
    pub(crate) fn hanging(&self) -> Option<Spot> {
        let now = Instant::now();
        self.lock().running.iter().find(|running| running.until.is_some_and(|until| now >= until)).map(|running| running.spot.clone())
    }
}

/// A part that is running, until dropped.
pub(crate) struct Entered<'w> {
    watch: &'w Watch<'w>,
    id: u64,
}

impl Entered<'_> {
    fn set(&self, until: Option<Instant>) {
        if let Some(running) = self.watch.lock().running.iter_mut().find(|running| running.id == self.id) {
            running.until = until;
        }
    }

    /// It waits for others now.
    pub(crate) fn waits(&self) {
        self.set(None);
    }

    /// It lives, and counts as hanging after `limit` again.
    pub(crate) fn lives(&self, limit: Duration) {
        self.set(Some(Instant::now() + limit));
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        state.running.retain(|running| running.id != self.id);
        // Careful runs have one thread: what is still running is what goes on now.
        let around = if self.watch.careful { state.running.last().map(|running| running.spot.clone()) } else { None };
        drop(state);
        self.watch.announce(around);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(number: usize, part: Part) -> Spot {
        Spot { number, part }
    }

    #[test]
    fn a_careful_run_tells_what_it_is_in_also_after_a_part_within() {
        let told = Mutex::new(Vec::new());
        let tell = |what: Told| {
            if let Told::Began(spot) = what {
                told.lock().unwrap().push(spot);
            }
        };
        let watch = Watch::new(true, &[], Some(&tell));
        let outer = watch.part(spot(0, Part::Unpack), None, || watch.part(spot(1, Part::Type), None, || 7)).unwrap();
        assert_eq!(outer, Ok(7));
        assert_eq!(*told.lock().unwrap(), [spot(0, Part::Unpack), spot(1, Part::Type), spot(0, Part::Unpack)]);
    }

    #[test]
    fn a_part_that_is_avoided_is_not_begun_and_a_panic_is_a_fault() {
        let avoid = [spot(1, Part::Plan)];
        let watch = Watch::new(false, &avoid, None);
        assert_eq!(watch.part(spot(1, Part::Plan), None, || ()), Err(Fault::EndedWorker));
        assert_eq!(watch.part(spot(2, Part::Plan), None, || ()), Ok(()));
        assert_eq!(watch.part(spot(2, Part::Plan), None, || assert!(avoid.is_empty(), "on purpose")), Err(Fault::Panicked));
        assert!(watch.lock().running.is_empty());
    }

    #[test]
    fn a_part_hangs_after_its_limit_unless_it_waits_or_lives() {
        let watch = Watch::new(false, &[], None);
        let part = watch.enter(spot(3, Part::Unpack), Some(Duration::ZERO)).unwrap();
        assert_eq!(watch.hanging(), Some(spot(3, Part::Unpack)));
        part.waits();
        assert_eq!(watch.hanging(), None);
        part.lives(Duration::ZERO);
        assert!(watch.hanging().is_some());
        part.lives(Duration::from_secs(60));
        assert_eq!(watch.hanging(), None);
        drop(part);
        assert!(watch.enter(spot(3, Part::Unpack), None).is_ok());
    }
}
