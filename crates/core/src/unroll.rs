//! How a training step goes through its loops: which of them it keeps, and how the gradient comes back through them.
//!
//! Three things are apart (as in torchdeq, arXiv 2310.18605): the loop itself, which an engine runs one at a time ([`Body`]); the way through
//! the loops ([`Unroll`]); and what counts of the predictions on the way ([`LoopLoss`](crate::LoopLoss)).

mod body;
mod implicit;
mod last;
mod phantom;
mod random_prefix;
mod solver;
mod step;

use std::collections::BTreeMap;
use std::fmt::Debug;

pub use body::{Body, Found, Policy};
pub use implicit::Implicit;
pub use last::LastLoops;
pub use phantom::Phantom;
pub use random_prefix::RandomPrefix;
pub use solver::Solver;
pub use step::{Pass, StepLoops, StepWork};

use crate::loop_loss::Counting;
use crate::{LoopPlan, Problems};

/// A way through a step's loops. `type` in TOML is the typetag name.
///
/// ```
/// use looped_core::{Body, Counting, StepLoops, StepWork, Unroll, schemars, typetag};
/// use serde::{Deserialize, Serialize};
///
/// /// Every loop is kept, and each gets the gradient of its own prediction alone.
/// #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Greedy {}
///
/// #[typetag::serde(name = "greedy")]
/// impl Unroll for Greedy {
///     fn slots(&self, _: usize, _: usize) -> usize {
///         1
///     }
///     fn work(&self, loops: usize, _: usize) -> StepWork {
///         StepWork::pass(loops as f64, loops as f64)
///     }
///     fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
///         let mut sum = 0.0;
///         body.start(false);
///         for index in 0..step.loops {
///             let slot = body.record();
///             let state = body.state();
///             sum += counting.read(index, step.loops, slot, body);
///             body.backward(slot);
///             body.rewind(slot);
///             body.set_state(&state);
///             body.with_gradient(&mut |d| d.fill(0.0));
///         }
///         body.finish();
///         sum
///     }
/// }
/// looped_core::register!(Unroll, "greedy", Greedy);
/// # fn main() {}
/// ```
#[typetag::serde(tag = "type")]
pub trait Unroll: Debug + Send + Sync {
    /// Reports settings that can't work with steps of up to `loops` loops and this `n_loop_window`; keys are relative to `training`.
    fn validate(&self, loops: usize, window: usize, problems: &mut Problems) {
        let _ = (loops, window, problems);
    }

    /// The most loops that it keeps at once, of a step of so many.
    fn slots(&self, loops: usize, window: usize) -> usize;

    /// How much a step of so many loops computes.
    fn work(&self, loops: usize, window: usize) -> StepWork;

    /// What a step does, if that is loops without gradient and then some with it through all of them: engines without a [`Body`] can do that.
    fn plan(&self, step: &StepLoops) -> Option<LoopPlan> {
        let _ = step;
        None
    }

    /// Whether the gradient of a step of so many loops goes on into the first state; of one that is drawn, whether it may.
    fn reaches_first_state(&self, loops: usize, window: usize) -> bool {
        let _ = (loops, window);
        true
    }

    /// What a step's notes say against its gradient, in a sentence; nothing if they don't.
    fn doubt(&self, notes: &BTreeMap<&'static str, f64>) -> Option<String> {
        let _ = notes;
        None
    }

    /// Forward through the step's loops and backward: the loss.
    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64;
}

/// Of numbers (prompts, ...), the sum of squares of each prompt's.
pub(crate) fn squares(numbers: &[f32], prompts: usize) -> Vec<f64> {
    let each = (numbers.len() / prompts.max(1)).max(1);
    let of = |own: &[f32]| own.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    numbers.chunks_exact(each).map(of).collect()
}
