//! Weights that a model's predictions amount to: asked at fresh queries after the same examples.

use looped_core::{Predictor, Prompts, Result, Watch};

use crate::eigen::dot;
use crate::solvers::{Problem, predict};

/// Prompts that the model predicts at a time.
const AT_ONCE: usize = 256;

/// Fresh queries after the examples of each prompt.
pub(crate) struct Queries {
    /// (prompts, queries, dims).
    xs: Vec<f32>,
    count: usize,
    dims: usize,
}

/// What the predictions at the queries of a prompt amount to, after one loop.
pub(crate) struct Induced {
    /// Least squares of the predictions on the queries, without intercept: (dims).
    pub(crate) weights: Vec<f64>,
    /// The part of the predictions' sum of squares that the weights explain: 1 where the model is linear in the query.
    pub(crate) linear: f64,
}

impl Queries {
    /// The points from `examples` on of each prompt.
    pub(crate) fn of(drawn: &Prompts, examples: usize, dims: usize) -> Self {
        let mut xs = Vec::new();
        for i in 0..drawn.prompts {
            let (points, _) = drawn.get(i);
            let queries = points.chunks_exact(drawn.n_dims).skip(examples);
            queries.for_each(|x| xs.extend_from_slice(&x[..dims]));
        }
        Self { xs, count: drawn.points - examples, dims }
    }

    /// How many queries each prompt has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn of_prompt(&self, i: usize) -> &[f32] {
        &self.xs[i * self.count * self.dims..][..self.count * self.dims]
    }

    /// The weights of each prompt after each loop: `[loop][prompt]`.
    pub(crate) fn ask(
        &self,
        model: &dyn Predictor,
        drawn: &Prompts,
        examples: usize,
        loops: usize,
        watch: &dyn Watch,
    ) -> Result<Vec<Vec<Induced>>> {
        let mut found: Vec<Vec<Induced>> = (0..loops).map(|_| Vec::with_capacity(drawn.prompts)).collect();
        let at_once = (AT_ONCE / self.count).max(1);
        for first in (0..drawn.prompts).step_by(at_once) {
            watch.check()?;
            let range = first..(first + at_once).min(drawn.prompts);
            let predictions = model.predict(&self.asked(drawn, examples, range.clone()), loops)?;
            for (index, found) in found.iter_mut().enumerate() {
                let last = predictions.after(index).chunks_exact(examples + 1).map(|points| points[examples]);
                let last: Vec<f32> = last.collect();
                for (i, answers) in range.clone().zip(last.chunks_exact(self.count)) {
                    found.push(induced(self.of_prompt(i), answers, self.dims));
                }
            }
        }
        Ok(found)
    }

    /// Each prompt's examples with each of its queries.
    fn asked(&self, drawn: &Prompts, examples: usize, range: std::ops::Range<usize>) -> Prompts {
        let (width, points) = (drawn.n_dims, examples + 1);
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for i in range.clone() {
            let (all_xs, all_ys) = drawn.get(i);
            for query in examples..drawn.points {
                xs.extend_from_slice(&all_xs[..examples * width]);
                xs.extend_from_slice(&all_xs[query * width..][..width]);
                ys.extend_from_slice(&all_ys[..examples]);
                // No causal block sees it.
                ys.push(all_ys[query]);
            }
        }
        let noise = drawn.noise.after(range.start * self.count);
        Prompts::pairs(xs, ys, [range.len() * self.count, points, width]).with_noise(noise)
    }
}

fn induced(xs: &[f32], answers: &[f32], dims: usize) -> Induced {
    let weights = Problem::new(xs, answers, dims).solution();
    let answers: Vec<f64> = answers.iter().map(|&y| f64::from(y)).collect();
    let left: Vec<f64> = xs.chunks_exact(dims).zip(&answers).map(|(x, y)| y - predict(&weights, x)).collect();
    let whole = dot(&answers, &answers);
    let linear = if whole > 0.0 { 1.0 - dot(&left, &left) / whole } else { f64::NAN };
    Induced { weights, linear }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_answer_gives_its_weights_and_another_one_says_so() {
        let xs = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, -1.0];
        let found = induced(&xs, &[3.0, -1.0, 2.0, 7.0], 2);
        assert!((found.weights[0] - 3.0).abs() < 1e-9 && (found.weights[1] + 1.0).abs() < 1e-9);
        assert!((found.linear - 1.0).abs() < 1e-12);
        assert!(induced(&xs, &[9.0, 1.0, 4.0, 9.0], 2).linear < 0.99);
    }
}
