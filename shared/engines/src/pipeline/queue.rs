//! Between the thread that unpacks and the threads that scan.
//!
//! What always holds: contents that wait or are being scanned take a bounded amount of memory and of
//! scratch space; whoever reads ahead waits. One content that alone is larger passes when nothing else does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::scan::Task;
use crate::clock;
use crate::content::IN_MEMORY_BYTES;

/// Bytes of contents in memory, waiting or being scanned.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of contents in scratch files, waiting or being scanned.
const SCRATCH_BYTES: usize = 512 * 1024 * 1024;
/// Contents of whatever size: empty ones are not for free.
const TASKS: usize = 4_096;

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    held: usize,
    memory: usize,
    scratch: usize,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    deadline: Instant,
}

impl Queue {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), deadline }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a content over. Waits for room, at most until the deadline: then it goes in all the same, and is reported as late.
    pub(super) fn put(&self, task: Task) {
        let bytes = task.content.as_ref().as_ref().len();
        let mut state = self.lock();
        loop {
            let (used, limit) = if bytes > IN_MEMORY_BYTES { (state.scratch, SCRATCH_BYTES) } else { (state.memory, MEMORY_BYTES) };
            let fits = state.held < TASKS && (used == 0 || used + bytes <= limit);
            let left = clock::left(self.deadline);
            if fits || left.is_zero() || state.closed {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.held += 1;
        *(if bytes > IN_MEMORY_BYTES { &mut state.scratch } else { &mut state.memory }) += bytes;
        state.tasks.push_back(task);
        drop(state);
        self.changed.notify_all();
    }

    /// The next content; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A content of this many bytes is done with.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(1);
        let used = if bytes > IN_MEMORY_BYTES { &mut state.scratch } else { &mut state.memory };
        *used = used.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}
