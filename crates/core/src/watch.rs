//! Watching long work: how far it is, and whether to stop.

use crate::{Error, Result};

/// What watches long work outside of training: an evaluation, a suite of shifts, a probe, a sweep.
///
/// `()` sees nothing and never stops. Such work leaves nothing half done: whoever stops it starts it again later.
pub trait Watch: Sync {
    /// Called now and then: `done` pieces of work of `total` are done.
    fn advanced(&self, done: usize, total: usize) {
        let _ = (done, total);
    }

    /// Asked often, from any thread: `true` ends the work by [`Error::Stopped`].
    fn stopped(&self) -> bool {
        false
    }

    /// [`Error::Stopped`] if the work is to stop: for a `?` between two pieces of it.
    ///
    /// # Errors
    /// As said.
    fn check(&self) -> Result<()> {
        if self.stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl Watch for () {}

/// A piece of longer work, for a function that counts only its own: what it tells is added to what was done `before`.
pub struct Stretch<'a> {
    /// What watches the whole.
    pub whole: &'a dyn Watch,
    /// Pieces done before.
    pub before: usize,
    /// Pieces of the whole.
    pub total: usize,
}

impl Watch for Stretch<'_> {
    fn advanced(&self, done: usize, _: usize) {
        self.whole.advanced(self.before + done, self.total);
    }

    fn stopped(&self) -> bool {
        self.whole.stopped()
    }
}
