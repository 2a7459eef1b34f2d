//! What a training step does with its loops.

use std::sync::Arc;

use looped_core::{LastLoops, LoopLoss, Pass, Policy, Rng, StepLoops, StepWork, UniformLoss, Unroll};

use crate::Training;

impl Training {
    /// The way through a step's loops: `last`, unless it is given.
    #[must_use]
    pub fn unroll(&self) -> Arc<dyn Unroll> {
        self.unroll.clone().unwrap_or_else(|| Arc::new(LastLoops {}))
    }

    /// What counts of the loops' predictions: `uniform`, unless it is given.
    #[must_use]
    pub fn loss(&self) -> Arc<dyn LoopLoss> {
        self.loss.clone().unwrap_or_else(|| Arc::new(UniformLoss {}))
    }

    /// What a step of so many loops does; `rng` is the step's own.
    #[must_use]
    pub fn step_loops(&self, loops: usize, rng: Rng) -> StepLoops {
        StepLoops {
            loops,
            window: self.n_loop_window,
            counted: self.n_loss_loops,
            unroll: self.unroll(),
            loss: self.loss(),
            regularizers: self.regularizers.clone(),
            rng,
        }
    }

    /// The passes of a step of so many loops, of which each is loops without gradient and a window with it; none if it goes another way.
    #[must_use]
    pub fn passes(&self, loops: usize) -> Vec<Pass> {
        self.step_loops(loops, Rng::stream(0, "passes", 0)).passes().unwrap_or_default()
    }

    /// The most loops that a step keeps at once.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.step_loops(self.most_loops(), Rng::stream(0, "slots", 0)).slots().0
    }

    /// How much a step of so many loops computes, in the mean over what it may draw.
    #[must_use]
    pub fn work(&self, loops: usize) -> StepWork {
        self.step_loops(loops, Rng::stream(0, "work", 0)).work()
    }
}
