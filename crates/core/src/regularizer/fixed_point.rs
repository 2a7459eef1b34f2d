//! The distance of the last state from a fixed point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Regularizer;
use crate::unroll::squares;
use crate::{Body, Problems, Rng, StepWork};

/// `weight` times ||f(z) - z||^2 / ||z||^2 at the state z after the last loop: the mean over prompts, f being one loop more.
///
/// Its gradient goes through f and through z. Each logged step has the mean as `fixed_point`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedPoint {
    /// How much it counts beside the loss.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: f64,
}

#[typetag::serde(name = "fixed_point")]
impl Regularizer for FixedPoint {
    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.weight, 0.0..=1000.0, "weight");
    }

    fn work(&self) -> StepWork {
        StepWork { passes: 0.0, loops: 1.0, backward: 1.0 }
    }

    fn add(&self, body: &mut dyn Body, slot: usize, _: &mut Rng) -> f64 {
        let (prompts, before, state) = (body.prompts().len(), body.gradient(), body.state());
        body.record();
        let steps: Vec<f32> = body.state().iter().zip(&state).map(|(next, z)| next - z).collect();
        let sizes = squares(&state, prompts).into_iter().map(|size| size.max(f64::MIN_POSITIVE));
        let sizes: Vec<f64> = sizes.collect();
        let ratios: Vec<f64> =
            squares(&steps, prompts).iter().zip(&sizes).map(|(step, size)| step / size).collect();
        body.note("fixed_point", &ratios);
        let factor = self.weight / body.prompts_of_step() as f64;
        let each = (state.len() / prompts.max(1)).max(1);
        // With respect to f(z).
        let slope = |i: usize| (2.0 * factor / sizes[i / each] * f64::from(steps[i])) as f32;
        body.set_gradient(&Vec::from_iter((0..state.len()).map(slope)));
        body.backward(slot);
        body.with_gradient(&mut |gradient| {
            for (i, (d, before)) in gradient.iter_mut().zip(&before).enumerate() {
                let of_size = 2.0 * factor * ratios[i / each] / sizes[i / each] * f64::from(state[i]);
                *d += before - slope(i) - of_size as f32;
            }
        });
        body.rewind(slot);
        factor * ratios.iter().sum::<f64>()
    }
}

crate::register!(Regularizer, "fixed_point", FixedPoint);
