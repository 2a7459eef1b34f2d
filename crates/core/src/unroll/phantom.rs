//! Phantom gradients: some damped loops from where the others led (Geng et al., arXiv 2111.05177).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Body, StepLoops, StepWork, Unroll};
use crate::{Counting, Problems};

/// Loops without gradient, then `loops` damped ones with it: z <- (1 - damping) z + damping f(z).
///
/// From a fixed point, the gradient is a sum of the first terms of that of the fixed point itself, each weighted down by the damping (Geng
/// et al., arXiv 2111.05177). Predictions are read of f(z), so the last loop counts whole. `n_loop_window` is the number of damped
/// loops.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phantom {
    /// Damped loops with gradient; the last of the step's.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub loops: usize,
    /// How far each goes from z to f(z).
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub damping: f64,
}

#[typetag::serde(name = "phantom")]
impl Unroll for Phantom {
    fn validate(&self, loops: usize, window: usize, problems: &mut Problems) {
        let Self { loops: own, damping } = *self;
        problems.within("unroll", |problems| {
            problems.require((1..=loops).contains(&own), "loops", || {
                format!("is {own}; allowed: 1 to the loops of the deepest step, {loops}")
            });
            problems.require(damping > 0.0 && damping <= 1.0, "damping", || {
                format!("is {damping}; allowed: above 0, at most 1")
            });
        });
        problems.require(window == own, "n_loop_window", || {
            format!("is {window}, and the unroll `phantom` keeps {own}; allowed: {own}")
        });
    }

    fn slots(&self, loops: usize, _: usize) -> usize {
        self.loops.min(loops)
    }

    fn work(&self, loops: usize, _: usize) -> StepWork {
        StepWork::pass(loops as f64, self.loops.min(loops) as f64)
    }

    fn reaches_first_state(&self, loops: usize, _: usize) -> bool {
        loops <= self.loops
    }

    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        let damped = self.loops.min(step.loops);
        let (free, damping) = (step.loops - damped, self.damping as f32);
        body.start(free == 0);
        (0..free).for_each(|_| body.advance());
        let mut sum = 0.0;
        for index in 0..damped {
            let before = body.state();
            let slot = body.record();
            sum += counting.read(index, damped, slot, body);
            if index + 1 < damped {
                body.with_state(&mut |state| mix(state, &before, damping));
            }
        }
        sum += counting.read_joint(damped, body);
        sum += step.regularize(body, damped);
        for slot in (0..damped).rev() {
            if slot + 1 < damped {
                let of_mixed = body.gradient();
                body.with_gradient(&mut |gradient| gradient.iter_mut().for_each(|d| *d *= damping));
                body.backward(slot);
                body.with_gradient(&mut |gradient| {
                    gradient
                        .iter_mut()
                        .zip(&of_mixed)
                        .for_each(|(d, of_mixed)| *d += (1.0 - damping) * of_mixed);
                });
            } else {
                body.backward(slot);
            }
        }
        body.finish();
        sum
    }
}

/// state <- (1 - damping) before + damping state.
fn mix(state: &mut [f32], before: &[f32], damping: f32) {
    state.iter_mut().zip(before).for_each(|(z, before)| *z = before + damping * (*z - before));
}

crate::register!(Unroll, "phantom", Phantom);
