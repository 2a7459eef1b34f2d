//! The size of the loop's derivative at the last state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Regularizer;
use crate::unroll::squares;
use crate::{Body, Problems, Rng, StepWork};

/// `weight` times ||J||_F^2 / n at the state after the last loop, J being one loop's derivative with respect to a prompt's n state numbers: the
/// mean over prompts (Bai et al., arXiv 2106.14342).
///
/// ||J||_F^2 is estimated by ||J^T v||^2 with one normal v for each prompt and step. The state is taken as it is: no gradient goes through it
/// to earlier loops. Each logged step has the mean as `jacobian`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jacobian {
    /// How much it counts beside the loss.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: f64,
}

/// How far the state is moved along J^T v, of its own length: rounding and curvature give errors of the same size there, about 1e-4.
const MOVE: f64 = 3e-3;

#[typetag::serde(name = "jacobian")]
impl Regularizer for Jacobian {
    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.weight, 0.0..=1000.0, "weight");
    }

    fn work(&self) -> StepWork {
        StepWork { passes: 0.0, loops: 3.0, backward: 3.0 }
    }

    /// The gradient of ||u||^2, u = J^T v, is 2 d/dtheta (v . J u) with u held: a difference of v . f at the two states z +- e u.
    fn add(&self, body: &mut dyn Body, slot: usize, rng: &mut Rng) -> f64 {
        let (range, before, state) = (body.prompts(), body.gradient(), body.state());
        let prompts = range.len();
        if state.is_empty() {
            // No token is looped over.
            return 0.0;
        }
        let each = (state.len() / prompts.max(1)).max(1);
        let v: Vec<f32> = range.flat_map(|prompt| rng.fork(prompt as u64).normals(each)).collect();
        body.record();
        body.set_gradient(&v);
        body.backward_state(slot);
        let u = body.gradient();
        body.rewind(slot);
        let sizes = squares(&u, prompts);
        let estimates: Vec<f64> = sizes.iter().map(|size| size / each as f64).collect();
        body.note("jacobian", &estimates);
        let factor = self.weight / body.prompts_of_step() as f64;
        let lengths: Vec<f64> = squares(&state, prompts).into_iter().map(f64::sqrt).collect();
        // A prompt whose u is 0 stays where it is, and so gets no gradient.
        let moves: Vec<f64> = lengths
            .iter()
            .zip(&sizes)
            .map(|(length, size)| if *size > 0.0 { MOVE * length / size.sqrt() } else { 0.0 })
            .collect();
        for side in [1.0, -1.0] {
            let moved = |(i, (z, u)): (usize, (&f32, &f32))| {
                (f64::from(*z) + side * moves[i / each] * f64::from(*u)) as f32
            };
            body.set_state(&Vec::from_iter(state.iter().zip(&u).enumerate().map(moved)));
            body.record();
            let slope = |(i, v): (usize, &f32)| {
                let distance = moves[i / each];
                let scale = if distance > 0.0 { side * factor / (each as f64 * distance) } else { 0.0 };
                (scale * f64::from(*v)) as f32
            };
            body.set_gradient(&Vec::from_iter(v.iter().enumerate().map(slope)));
            body.backward(slot);
            body.rewind(slot);
        }
        body.set_state(&state);
        body.set_gradient(&before);
        factor * estimates.iter().sum::<f64>()
    }
}

crate::register!(Regularizer, "jacobian", Jacobian);
