//! One model trained by several processes, its *ranks*: each takes its part of every step's batch, and the gradients are added up.
//!
//! Every rank draws the same batch and makes the same update, so that all hold the same parameters, equal to the bit. Rank 0 alone writes files, validates and
//! evaluates. How numbers go from process to process is a [`Communicator`]'s: MPI's, in a program that is built with it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use looped_core::Found;

use crate::{Result, TrainError};

/// How long rank 0 waits for the others once it has been asked to stop: `mpirun` asks all when one has died, and ends all a second later.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether a rank keeps waiting for the others, given how long it has waited. Asked again and again meanwhile.
pub type Waits<'a> = &'a dyn Fn(Duration) -> bool;

/// The other ranks don't answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// What carries numbers between ranks. Each method is called by all ranks, in the same order.
pub trait Communicator: Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Replaces numbers by their sums over all ranks, which are equal on all of them to the bit.
    ///
    /// # Errors
    /// If the others don't answer, and `waits` doesn't want to wait on.
    fn sum(&mut self, numbers: &mut [f32], waits: Waits<'_>) -> Result<(), Lost>;

    /// The same in 64 bits.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    fn sum_wide(&mut self, numbers: &mut [f64], waits: Waits<'_>) -> Result<(), Lost>;

    /// Replaces a message by that of rank 0.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    fn tell(&mut self, message: &mut Vec<u8>, waits: Waits<'_>) -> Result<(), Lost>;

    /// All ranks are done with each other: no call follows on any of them. Without it, a rank that is dropped hasn't ended well.
    fn end(&mut self);
}

/// This process among the ranks that train a model.
pub struct Ranks {
    by: Box<dyn Communicator>,
    wants_stop: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether the others know what is trained.
    begun: bool,
    stops: bool,
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranks").field("rank", &self.rank()).field("count", &self.count()).finish()
    }
}

impl Ranks {
    /// `wants_stop` says whether this process has been asked to stop: when one has, all stop after the same step.
    #[must_use]
    pub fn new(by: Box<dyn Communicator>, wants_stop: Box<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self { by, wants_stop, begun: false, stops: false }
    }

    /// The number of this rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.by.rank()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by.count()
    }

    /// Whether the ranks have agreed to stop.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.stops
    }

    /// This rank's part of some prompts. Where a step has several groups of prompts, the larger parts of each go to other ranks in turn.
    pub(crate) fn part(&self, prompts: usize, group: usize) -> Range<usize> {
        let (count, rank) = (self.count(), (self.rank() + group) % self.count());
        prompts * rank / count..prompts * (rank + 1) / count
    }

    /// Adds up what all ranks have found in their parts of a step. What is noted stays each rank's own.
    ///
    /// # Errors
    /// If another rank is gone.
    pub(crate) fn sum(&mut self, found: &mut Found, step: usize) -> Result<()> {
        let lost = |Lost| TrainError::LostRank { step };
        let Self { by, wants_stop, stops, .. } = self;
        let (leads, asked) = (by.rank() == 0, wants_stop());
        // Only rank 0 has something to save. The others are ended from outside.
        let waits = |waited| !leads || waited < PATIENCE || !wants_stop();
        by.sum(&mut found.gradients, &waits).map_err(lost)?;
        let mut others = [found.loss, f64::from(u8::from(asked))];
        by.sum_wide(&mut others, &waits).map_err(lost)?;
        (found.loss, *stops) = (others[0], others[1] > 0.0);
        Ok(())
    }

    /// Replaces a message by that of rank 0. From the first on, the others know that something is trained.
    ///
    /// # Errors
    /// If another rank is gone.
    pub(crate) fn tell(&mut self, message: &mut Vec<u8>) -> Result<()> {
        let Self { by, wants_stop, .. } = self;
        self.begun = true;
        by.tell(message, &|waited| waited < PATIENCE || !wants_stop())
            .map_err(|Lost| TrainError::LostRank { step: 0 })
    }

    /// All ranks have come to the end of what they do together.
    pub(crate) fn end(&mut self) {
        self.by.end();
    }
}

impl Drop for Ranks {
    /// Others that wait to hear from rank 0 what is trained hear that nothing is.
    fn drop(&mut self) {
        if self.rank() == 0 && !self.begun && self.tell(&mut Vec::new()).is_ok() {
            self.end();
        }
    }
}
