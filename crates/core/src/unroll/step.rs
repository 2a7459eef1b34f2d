//! The loops of one training step, and what the experiment says of them.

use std::sync::Arc;

use super::{Body, LastLoops, Policy, Unroll};
use crate::loop_loss::Counting;
use crate::{LoopLoss, LoopPlan, Regularizer, Rng, UniformLoss};

/// The loops of a training step, and what the experiment says of them.
#[derive(Clone, Debug)]
pub struct StepLoops {
    /// How many.
    pub loops: usize,
    /// `training.n_loop_window`.
    pub window: usize,
    /// `training.n_loss_loops`, if it is given.
    pub counted: Option<usize>,
    /// The way through them.
    pub unroll: Arc<dyn Unroll>,
    /// What counts.
    pub loss: Arc<dyn LoopLoss>,
    /// What is added to the loss.
    pub regularizers: Vec<Arc<dyn Regularizer>>,
    /// The step's own generator. Every part of the prompts sees the same draws.
    pub rng: Rng,
}

/// A plain pass over a step's prompts: loops without gradient, then a window with it, whose last loops enter the loss alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// How much its loss counts.
    pub share: f64,
    /// Its loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last enter its loss.
    pub counted: usize,
}

/// How much is computed in a step, in the mean over what it may draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepWork {
    /// Passes over the prompts.
    pub passes: f64,
    /// Loops forward.
    pub loops: f64,
    /// Loops backward.
    pub backward: f64,
}

impl StepWork {
    /// A pass of so many loops, of which some are run backward.
    #[must_use]
    pub fn pass(loops: f64, backward: f64) -> Self {
        Self { passes: 1.0, loops, backward }
    }
}

impl std::ops::Add for StepWork {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passes: self.passes + other.passes,
            loops: self.loops + other.loops,
            backward: self.backward + other.backward,
        }
    }
}

impl StepLoops {
    /// The usual step: the last loops carry gradient, and the last of those enter the loss alike.
    #[must_use]
    pub fn last(plan: LoopPlan, counted: usize) -> Self {
        Self {
            loops: plan.loops,
            window: plan.window,
            counted: Some(counted),
            unroll: Arc::new(LastLoops {}),
            loss: Arc::new(UniformLoss {}),
            regularizers: Vec::new(),
            rng: Rng::stream(0, "nothing is drawn", 0),
        }
    }

    /// The same as plain passes, for an engine without a [`Body`]; `None` if it can't be said so.
    #[must_use]
    pub fn passes(&self) -> Option<Vec<Pass>> {
        if self.regularizers.is_empty() { self.loss.passes(self) } else { None }
    }

    /// Loops without gradient, then a window with it: the usual way. What the loss counts is read on the way.
    pub fn window(&self, plan: LoopPlan, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        let window = plan.window.min(plan.loops);
        let free = plan.loops - window;
        body.start(free == 0);
        (0..free).for_each(|_| body.advance());
        let whole = self.asks_for_last_state();
        let mut sum = 0.0;
        for index in 0..window {
            // A last loop is read at once.
            let last = index + 1 == window && !whole && (counting.share)(index, window).is_some();
            let slot = if last { body.record_last() } else { body.record() };
            sum += counting.read(index, window, slot, body);
        }
        sum += counting.read_joint(window, body);
        sum += self.regularize(body, window);
        (0..window).rev().for_each(|slot| body.backward(slot));
        body.finish();
        sum
    }

    /// Adds the regularisers at the present state, and to its gradient; they use slots from `slot` on.
    pub fn regularize(&self, body: &mut dyn Body, slot: usize) -> f64 {
        let of = |(i, regularizer): (usize, &Arc<dyn Regularizer>)| {
            regularizer.add(body, slot, &mut self.rng.fork(i as u64))
        };
        self.regularizers.iter().enumerate().map(of).sum()
    }

    /// Whether something looks at the state after the last loop.
    #[must_use]
    pub fn asks_for_last_state(&self) -> bool {
        !self.regularizers.is_empty() || self.loss.joint().is_some()
    }

    /// How much is computed.
    #[must_use]
    pub fn work(&self) -> StepWork {
        let of_loss = self.loss.work(&*self.unroll, self.loops, self.window);
        self.regularizers.iter().fold(of_loss, |sum, regularizer| sum + regularizer.work())
    }
}

impl Policy for StepLoops {
    /// The step's, and one more where a regulariser looks at it.
    fn loops(&self) -> usize {
        self.loops + usize::from(!self.regularizers.is_empty())
    }

    fn slots(&self) -> (usize, bool) {
        let own = self.unroll.slots(self.loops, self.window);
        let more = self.regularizers.iter().map(|regularizer| regularizer.slots()).max().unwrap_or(0);
        (own + more, self.asks_for_last_state() || self.passes().is_none())
    }

    fn run(&self, body: &mut dyn Body) -> f64 {
        self.loss.run(self, body)
    }
}
