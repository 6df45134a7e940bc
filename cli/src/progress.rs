//! The progress bar: on standard error, and only when that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts bytes and files, visibly or not. Clones share the bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// None is shown.
    pub(crate) fn none() -> Self {
        Self(ProgressBar::hidden())
    }

    /// For so many bytes in so many files.
    pub(crate) fn new(bytes: u64, files: usize, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self::none();
        }
        let template = "{spinner} {msg} [{bar:24}] {bytes}/{total_bytes} sent ({bytes_per_sec}) {elapsed}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(bytes).with_style(style.progress_chars("=> ")).with_message(format!("0/{files} files"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// So many bytes went out. (Those of repeated attempts count again: the bar stops at its end.)
    pub(crate) fn sent(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So many files have a verdict.
    pub(crate) fn ended(&self, done: usize, files: usize) {
        self.0.set_message(format!("{done}/{files} files"));
    }

    /// Makes room for what is printed next.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
