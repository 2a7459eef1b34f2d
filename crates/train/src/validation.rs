//! The loss on prompts that no step trains on.

use looped_config::Experiment;
use looped_core::{Noise, Objective, Predictor, Prompts, Request, Rng, Split, score_scale};

use crate::Result;

/// How many prompts the loss is taken on, where the task has so many.
const PROMPTS: usize = 512;

/// What the prompts are drawn from: not the experiment's seed, so that all seeds are measured on the same ones.
const SEED: u64 = 0;

/// One fixed set of prompts, at the curriculum's last stage: the same at every step, and for every run of a task.
///
/// Its losses can be compared between steps, seeds and variants, as those of the stage that is trained can't.
pub struct Validation {
    /// The prompts.
    pub prompts: Prompts,
    /// How many loops the model makes.
    loops: usize,
    objective: Objective,
    /// What the loss is divided by; 1 for a cross-entropy.
    normaliser: f64,
    /// How many prompts are predicted at a time.
    batch: usize,
}

impl Validation {
    /// The set of an experiment.
    ///
    /// # Errors
    /// If its task can't give the prompts.
    pub fn of(experiment: &Experiment) -> Result<Self> {
        let training = &experiment.training;
        let curriculum = &training.curriculum;
        let (dims, objective) = (curriculum.dims.end, experiment.task.objective());
        let most = experiment.task.count(Split::Evaluation)?.unwrap_or(PROMPTS);
        let request = Request {
            prompts: PROMPTS.min(most),
            points: curriculum.points.end,
            dims,
            n_dims: experiment.model.n_dims,
            first: 0,
            split: Split::Evaluation,
        };
        let drawn = experiment.task.sample(request, &mut Rng::stream(SEED, "validation prompts", 0))?;
        Ok(Self {
            prompts: drawn.with_noise(Noise::new(SEED, "validation first state", 0)),
            loops: training.usual_loops(),
            objective,
            normaliser: score_scale(experiment.task.as_ref(), dims),
            batch: training.batch_size,
        })
    }

    /// The model's mean loss over all points after the last loop, divided by the task's normaliser.
    ///
    /// # Errors
    /// If the model can't predict the prompts.
    pub fn loss(&self, model: &dyn Predictor) -> Result<f64> {
        let mut sum = 0.0;
        for first in (0..self.prompts.prompts).step_by(self.batch) {
            let part = self.prompts.slice(first..self.prompts.prompts.min(first + self.batch));
            let predictions = model.predict(&part, self.loops)?;
            sum += self.sum(predictions.after(self.loops - 1), &part.ys);
        }
        Ok(self.mean(sum))
    }

    /// The same of predictions of every y of the prompts, as a baseline makes them.
    #[must_use]
    pub fn loss_of(&self, predictions: &[f32]) -> f64 {
        self.mean(self.sum(predictions, &self.prompts.ys))
    }

    fn sum(&self, predictions: &[f32], ys: &[f32]) -> f64 {
        let width = predictions.len() / ys.len().max(1);
        let mut slopes = vec![0.0; width];
        let pairs = predictions.chunks_exact(width.max(1)).zip(ys);
        pairs.map(|(p, &y)| f64::from(self.objective.value_and_slopes(p, y, &mut slopes))).sum()
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.prompts.targets() as f64 / self.normaliser
    }
}
