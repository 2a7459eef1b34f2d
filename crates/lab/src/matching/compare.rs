//! A model after each loop held against solvers after each step, prompt by prompt.

use looped_core::{Prompts, Result, Watch};
use looped_eval::{Curve, EvalPlan, Scores};
use rayon::prelude::*;

use super::chosen::in_use;
use super::{Agreement, Measure};
use crate::best::best;
use crate::eigen::cosine;
use crate::queries::Induced;
use crate::solvers::{Problem, Solver, predict};

/// What the solvers find for a prompt.
pub(super) struct OfPrompt {
    /// Predictions of each point that has an example before it: (solvers, steps, points - 1).
    predictions: Vec<f64>,
    /// Weights of all examples but the last: (solvers, steps, dims).
    weights: Vec<f64>,
    pub(super) condition: f64,
}

impl OfPrompt {
    pub(super) fn new(
        prompts: &Prompts,
        i: usize,
        dims: usize,
        solvers: &[Box<dyn Solver>],
        steps: &[usize],
    ) -> Self {
        let (xs, ys) = in_use(prompts, i, dims);
        let (queries, most) = (prompts.points - 1, steps.last().copied().unwrap_or(1));
        let mut predictions = vec![0.0; solvers.len() * steps.len() * queries];
        let mut weights = Vec::new();
        let mut condition = f64::NAN;
        for query in 1..prompts.points {
            let problem = Problem::new(&xs[..query * dims], &ys[..query], dims);
            let x = &xs[query * dims..][..dims];
            for (s, solver) in solvers.iter().enumerate() {
                let iterates = solver.iterates(&problem, most);
                for (k, &step) in steps.iter().enumerate() {
                    let w = &iterates[step - 1];
                    predictions[(s * steps.len() + k) * queries + query - 1] = predict(w, x);
                    if query == queries {
                        weights.extend_from_slice(w);
                    }
                }
            }
            condition = problem.bounds().map_or(f64::NAN, |(least, most)| most / least);
        }
        Self { predictions, weights, condition }
    }
}

/// All that is held against each other.
pub(super) struct Comparison<'a> {
    pub(super) eval: &'a EvalPlan,
    pub(super) steps: &'a [usize],
    pub(super) prompts: &'a Prompts,
    /// `[loop]`: (prompts, points).
    pub(super) predictions: &'a [Vec<f32>],
    pub(super) solved: &'a [OfPrompt],
    /// `[loop][prompt]`.
    pub(super) induced: &'a [Vec<Induced>],
    pub(super) scale: f64,
}

impl Comparison<'_> {
    /// The agreement by one measure; tells of every loop that is done.
    pub(super) fn by(&self, measure: Measure, watch: &dyn Watch, done: &dyn Fn(usize)) -> Result<Agreement> {
        let mut agreement = Agreement { measure, mean: Vec::new(), best: Vec::new(), closest: Vec::new() };
        for index in 0..self.eval.loops {
            watch.check()?;
            let rows: Vec<Vec<f64>> =
                (0..self.eval.prompts).into_par_iter().map(|i| self.row(measure, index, i)).collect();
            let mut scores = Scores::new(rows[0].len());
            rows.into_iter().for_each(|row| scores.push(row));
            let (found, closest) =
                best(&scores, self.steps, measure.sign(), (self.eval.resamples, self.eval.seed));
            agreement.mean.push(scores.mean().chunks_exact(self.steps.len()).map(or_nothing).collect());
            agreement.best.push(found);
            agreement.closest.push(closest);
            done(index + 1);
        }
        Ok(agreement)
    }

    /// How well each solver agrees after each step, for one prompt: (solvers, steps).
    fn row(&self, measure: Measure, index: usize, i: usize) -> Vec<f64> {
        let (points, solved) = (self.prompts.points, &self.solved[i]);
        if measure == Measure::Weights {
            let own = &self.induced[index][i].weights;
            return solved.weights.chunks_exact(own.len()).map(|w| similar(own, w)).collect();
        }
        let (_, ys) = self.prompts.get(i);
        let own: Vec<f64> =
            self.predictions[index][i * points + 1..(i + 1) * points].iter().map(|&p| f64::from(p)).collect();
        let ys: Vec<f64> = ys[1..].iter().map(|&y| f64::from(y)).collect();
        let residual =
            |predictions: &[f64]| predictions.iter().zip(&ys).map(|(p, y)| p - y).collect::<Vec<f64>>();
        let of_model = residual(&own);
        let one = |theirs: &[f64]| match measure {
            Measure::Difference => {
                let squares = own.iter().zip(theirs).map(|(a, b)| (a - b).powi(2));
                squares.sum::<f64>() / own.len() as f64 / self.scale
            }
            _ => similar(&of_model, &residual(theirs)),
        };
        solved.predictions.chunks_exact(own.len()).map(one).collect()
    }

    /// Errors at the last query: of the model after each loop, and of each solver after each step.
    pub(super) fn errors(&self) -> (Curve, Vec<Vec<Option<f64>>>) {
        let (points, last) = (self.prompts.points, self.prompts.points - 1);
        let error = |prediction: f64, i: usize| {
            (prediction - f64::from(self.prompts.ys[i * points + last])).powi(2) / self.scale
        };
        let mut of_model = Scores::new(self.eval.loops);
        let mut of_solvers = Scores::new(self.solved[0].predictions.len() / last);
        for (i, solved) in self.solved.iter().enumerate() {
            of_model.push(self.predictions.iter().map(|after| error(f64::from(after[i * points + last]), i)));
            of_solvers.push(
                solved.predictions.chunks_exact(last).map(|predictions| error(predictions[last - 1], i)),
            );
        }
        let means = of_solvers.mean();
        let of_model = of_model.curve(self.eval.resamples, self.eval.seed);
        (of_model, means.chunks_exact(self.steps.len()).map(or_nothing).collect())
    }
}

/// What isn't a finite number left out: JSON has none.
fn or_nothing(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().map(|v| v.is_finite().then_some(*v)).collect()
}

/// The cosine; 0 where a solver has diverged.
fn similar(a: &[f64], b: &[f64]) -> f64 {
    let cosine = cosine(a, b);
    if cosine.is_finite() { cosine } else { 0.0 }
}
