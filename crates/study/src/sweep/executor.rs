//! Where runs are done: the sweep decides what starts when, an executor how.

use std::io;

use crate::sweep::PlannedRun;

/// Does runs, each without the others.
pub trait Executor {
    /// Most runs at a time.
    fn slots(&self) -> usize;

    /// Starts a run, or resumes it where it has begun.
    ///
    /// # Errors
    /// If it can't be started.
    fn start(&self, run: &PlannedRun) -> io::Result<Box<dyn Job>>;
}

/// A run in work.
pub trait Job {
    /// How it ended, once it has.
    ///
    /// # Errors
    /// If it can't be asked any more.
    fn ended(&mut self) -> io::Result<Option<Ending>>;

    /// Asks it to save and to end; it may take a while to.
    fn ask_to_stop(&mut self);

    /// Ends it without a save, where that can be done; else asks it to stop.
    fn end_at_once(&mut self) {
        self.ask_to_stop();
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Trained and evaluated.
    Finished,
    /// Asked to stop, with all of its work saved.
    Stopped(String),
    /// Its loss or gradient was no number.
    Diverged(String),
    /// Another end, in words.
    Failed(String),
}
