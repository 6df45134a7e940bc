//! Ctrl-C and SIGTERM: the scans that run are cancelled on the server before the command ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal as listen};

use crate::api::Core;

/// Scans that were submitted and have no verdict yet. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<(Option<Core>, BTreeSet<String>)>>);

/// One of them, until its [`Entry::end`].
#[derive(Debug)]
pub(crate) struct Entry {
    running: Running,
    id: String,
}

impl Running {
    /// Where they run.
    pub(crate) fn on(&self, core: &Core) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(core.clone());
    }

    /// This one was submitted.
    pub(crate) fn enter(&self, id: &str) -> Entry {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.insert(id.to_owned());
        Entry { running: self.clone(), id: id.to_owned() }
    }

    /// Cancels them all, side by side, and waits some seconds at most.
    pub(crate) async fn cancel(&self) {
        let (core, ids) = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(core) = core {
            futures::future::join_all(ids.iter().map(|id| core.cancel(id))).await;
        }
    }
}

impl Entry {
    /// It has a verdict, or is given up. (Not by dropping: an interrupt drops what waits before it reads the list.)
    pub(crate) fn end(self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.id);
    }
}

/// Waits for a signal; the exit code that it asks for.
pub(crate) async fn signal() -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate())) else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}
