//! Truncated backpropagation through the last loops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Body, StepLoops, StepWork, Unroll};
use crate::{Counting, LoopPlan};

/// The last `n_loop_window` loops carry gradient, those before them none (Yang et al., arXiv 2311.12424).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastLoops {}

#[typetag::serde(name = "last")]
impl Unroll for LastLoops {
    fn slots(&self, loops: usize, window: usize) -> usize {
        window.min(loops)
    }

    fn work(&self, loops: usize, window: usize) -> StepWork {
        StepWork::pass(loops as f64, window.min(loops) as f64)
    }

    fn reaches_first_state(&self, loops: usize, window: usize) -> bool {
        loops <= window
    }

    fn plan(&self, step: &StepLoops) -> Option<LoopPlan> {
        Some(LoopPlan { loops: step.loops, window: step.window })
    }

    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        step.window(LoopPlan { loops: step.loops, window: step.window }, counting, body)
    }
}

crate::register!(Unroll, "last", LastLoops);
