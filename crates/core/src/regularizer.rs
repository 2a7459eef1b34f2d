//! What is added to a training step's loss beside its predictions.

mod fixed_point;
mod jacobian;

use std::fmt::Debug;

pub use fixed_point::FixedPoint;
pub use jacobian::Jacobian;

use crate::{Body, Problems, Rng, StepWork};

/// A term of the loss that depends on the state after a step's last loop. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait Regularizer: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the regulariser's table.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Slots that it needs.
    fn slots(&self) -> usize {
        1
    }

    /// What it computes beside the step's loops.
    fn work(&self) -> StepWork;

    /// The term's value at the present state, as the mean over the step's prompts times its weight, of these prompts' part. Parameters get
    /// its gradient, and the body's gradient gets that with respect to the state added; the state is left as it is. Slots from `slot` on are free.
    fn add(&self, body: &mut dyn Body, slot: usize, rng: &mut Rng) -> f64;
}
