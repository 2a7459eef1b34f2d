//! A random number of loops without gradient, then a random number with (Bansal et al., arXiv 2202.05826).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Body, StepLoops, StepWork, Unroll};
use crate::{Counting, LoopPlan, Rng};

/// n loops without gradient, n being 0 to m - 1 of m, then k with gradient, k being 1 to m - n and at most `n_loop_window`: both drawn anew at
/// each step (Bansal et al., arXiv 2202.05826, section 3.2).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomPrefix {}

impl RandomPrefix {
    /// What a step of so many loops draws.
    #[must_use]
    pub fn draw(loops: usize, window: usize, rng: &mut Rng) -> LoopPlan {
        let without = rng.below(loops);
        let with = 1 + rng.below((loops - without).min(window));
        LoopPlan { loops: without + with, window: with }
    }
}

#[typetag::serde(name = "random_prefix")]
impl Unroll for RandomPrefix {
    fn slots(&self, loops: usize, window: usize) -> usize {
        window.min(loops)
    }

    fn work(&self, loops: usize, window: usize) -> StepWork {
        let (m, window) = (loops as f64, window.min(loops) as f64);
        // The sum of min(window, m - n) over n.
        let room = window * (window + 1.0) / 2.0 + window * (m - window);
        let with = (1.0 + room / m) / 2.0;
        StepWork::pass((m - 1.0) / 2.0 + with, with)
    }

    fn plan(&self, step: &StepLoops) -> Option<LoopPlan> {
        Some(Self::draw(step.loops, step.window, &mut step.rng.clone()))
    }

    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        step.window(Self::draw(step.loops, step.window, &mut step.rng.clone()), counting, body)
    }
}

crate::register!(Unroll, "random_prefix", RandomPrefix);
