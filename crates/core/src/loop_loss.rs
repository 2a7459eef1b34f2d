//! What counts of the predictions after the loops of a training step.

mod exit_weighted;
mod last;
mod progressive;
mod uniform;

use std::fmt::Debug;

pub use exit_weighted::{ExitWeighted, Prior};
pub use last::LastLoss;
pub use progressive::Progressive;
pub use uniform::UniformLoss;

use crate::{Body, Objective, Pass, Problems, StepLoops, StepWork, Unroll};

/// How much a loop's loss counts: `of` divided by `among`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What all such loops count together.
    pub of: f64,
    /// How many they are.
    pub among: usize,
}

impl Share {
    /// All.
    pub const WHOLE: Self = Self { of: 1.0, among: 1 };
}

/// A loss of one target's predictions after several loops together.
pub trait Joint: Sync {
    /// The loss of the predictions (loops, numbers); `slopes`, of the same shape, gets its gradient.
    fn value_and_slopes(
        &self,
        objective: Objective,
        predictions: &[f32],
        numbers: usize,
        y: f32,
        slopes: &mut [f32],
    ) -> f64;
}

/// The sum of a joint loss over targets, for an engine.
///
/// # Shapes
/// `predictions` (loops) of (targets, numbers); `ys` the targets, in their order. The slopes that come back have the shape of the predictions,
/// and are those of `weight` times the loss.
pub fn sum_of_joint(
    joint: &dyn Joint,
    objective: Objective,
    predictions: &[Vec<f32>],
    ys: impl ExactSizeIterator<Item = f32>,
    weight: f64,
) -> (f64, Vec<Vec<f32>>) {
    let len = predictions.first().map_or(0, Vec::len);
    let numbers = (len / ys.len().max(1)).max(1);
    let mut slopes = vec![Vec::with_capacity(len); predictions.len()];
    let mut sum = 0.0;
    for (i, y) in ys.enumerate() {
        let own = i * numbers..(i + 1) * numbers;
        let seen: Vec<f32> = predictions.iter().flat_map(|of| of[own.clone()].iter().copied()).collect();
        let mut of_target = vec![0.0; seen.len()];
        sum += joint.value_and_slopes(objective, &seen, numbers, y, &mut of_target);
        for (slopes, of_loop) in slopes.iter_mut().zip(of_target.chunks_exact(numbers)) {
            slopes.extend(of_loop.iter().map(|slope| (f64::from(*slope) * weight) as f32));
        }
    }
    (sum * weight, slopes)
}

/// What is to be read on the way through a step's loops.
pub struct Counting<'a> {
    /// How much the loss after the loop `index` of a window counts; `None` if it isn't read.
    pub share: &'a dyn Fn(usize, usize) -> Option<Share>,
    /// The loss of all predictions together, if it isn't a sum over the loops.
    pub joint: Option<&'a dyn Joint>,
}

impl Counting<'_> {
    /// Reads what counts after the loop `index` of `window`, which lies in a slot.
    pub fn read(&self, index: usize, window: usize, slot: usize, body: &mut dyn Body) -> f64 {
        (self.share)(index, window).map_or(0.0, |share| body.read(slot, share))
    }

    /// Reads the predictions after all loops of a window together, in slots from 0 on, if the loss is of that kind.
    pub fn read_joint(&self, window: usize, body: &mut dyn Body) -> f64 {
        let slots = Vec::from_iter(0..window);
        self.joint.map_or(0.0, |joint| body.read_together(&slots, joint))
    }
}

/// Which loops' predictions enter the loss, and how much. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait LoopLoss: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the loss's table.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Whether it goes through the loops in a way of its own, and so beside the unroll `last` alone.
    fn has_own_way(&self) -> bool {
        false
    }

    /// Whether it goes by `training.n_loss_loops`.
    fn takes_count(&self) -> bool {
        false
    }

    /// Whether it needs a model with an exit gate.
    fn needs_gate(&self) -> bool {
        false
    }

    /// How much the loss after the loop `index` of those with gradient, `window`, counts; `None` if it isn't read. `counted` is `training.n_loss_loops`.
    fn share(&self, index: usize, window: usize, counted: Option<usize>) -> Option<Share>;

    /// The loss of all predictions together, if it isn't a sum over the loops.
    fn joint(&self) -> Option<&dyn Joint> {
        None
    }

    /// A step as plain passes, if it can be said so.
    fn passes(&self, step: &StepLoops) -> Option<Vec<Pass>> {
        let plan = step.unroll.plan(step)?;
        let window = plan.window.min(plan.loops);
        let shares: Vec<Option<Share>> =
            (0..window).map(|index| self.share(index, window, step.counted)).collect();
        let counted = shares.iter().flatten().count();
        let alike = Share { of: 1.0, among: counted };
        let last = shares[window - counted..].iter().all(|share| *share == Some(alike));
        (counted > 0 && last && self.joint().is_none()).then(|| vec![Pass { share: 1.0, plan, counted }])
    }

    /// How much a step of so many loops computes.
    fn work(&self, unroll: &dyn Unroll, loops: usize, window: usize) -> StepWork {
        unroll.work(loops, window)
    }

    /// Forward through the step's loops and backward: the loss.
    fn run(&self, step: &StepLoops, body: &mut dyn Body) -> f64 {
        let share = |index, window| self.share(index, window, step.counted);
        step.unroll.run(step, &Counting { share: &share, joint: self.joint() }, body)
    }
}
