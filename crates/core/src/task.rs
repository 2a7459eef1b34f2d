//! Function classes: where prompts come from.

use std::fmt::Debug;

use candle_core::{Device, Tensor};

use crate::{ModelDims, Objective, Problems, Result, Rng};

/// Which prompts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How many prompts.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Coordinates of x in use: y depends on no other, and the others are 0 unless the task says otherwise.
    pub dims: usize,
    /// Width of x.
    pub n_dims: usize,
    /// How many prompts of this split were given before: a fixed set continues from there.
    pub first: u64,
    /// What the prompts are for.
    pub split: Split,
}

/// What prompts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To be trained on.
    Train,
    /// To score a model: other prompts, unless [`Task::scores_on_training_prompts`].
    Evaluation,
}

/// Prompts on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompts {
    /// (prompts, points, n_dims), row-major.
    pub xs: Vec<f32>,
    /// (prompts, points), row-major.
    pub ys: Vec<f32>,
    /// How many prompts.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Width of x.
    pub n_dims: usize,
}

impl Prompts {
    /// The points of prompt `i`: xs (points, n_dims) and ys (points).
    #[must_use]
    pub fn get(&self, i: usize) -> (&[f32], &[f32]) {
        let (xs, ys) = (self.points * self.n_dims, self.points);
        (&self.xs[i * xs..(i + 1) * xs], &self.ys[i * ys..(i + 1) * ys])
    }

    /// The prompts `range`, copied.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let (xs, ys) = (self.points * self.n_dims, self.points);
        Self {
            xs: self.xs[range.start * xs..range.end * xs].to_vec(),
            ys: self.ys[range.start * ys..range.end * ys].to_vec(),
            prompts: range.len(),
            ..*self
        }
    }

    /// The tokens x_1, y_1, x_2, ... of every prompt, a y being followed by zeros: (prompts, 2 points, n_dims).
    ///
    /// # Errors
    /// If the device refuses the copy.
    pub fn tokens(&self, device: &Device) -> Result<Tensor> {
        let mut tokens = vec![0.0; 2 * self.xs.len()];
        let points = tokens.chunks_exact_mut(2 * self.n_dims.max(1));
        for ((token, x), y) in points.zip(self.xs.chunks_exact(self.n_dims.max(1))).zip(&self.ys) {
            token[..self.n_dims].copy_from_slice(x);
            token[self.n_dims] = *y;
        }
        Ok(Tensor::from_vec(tokens, (self.prompts, 2 * self.points, self.n_dims), device)?)
    }
}

/// A source of prompts: a function class with its inputs, or a fixed set.
#[typetag::serde(tag = "type")]
pub trait Task: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the task's table. Opens no file: a finished run is still read
    /// when its data has moved.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// Reports why a request can't be served; keys are relative to the task's table. Opens what the task reads.
    fn check(&self, dims: &ModelDims, request: Request, problems: &mut Problems) {
        let _ = (dims, request, problems);
    }

    /// How many different prompts of a split there are; `None` where each is drawn afresh.
    ///
    /// # Errors
    /// If the task reads data that can't be read.
    fn count(&self, split: Split) -> Result<Option<usize>> {
        let _ = split;
        Ok(None)
    }

    /// Whether the prompts that a model is scored on are those that it is trained on.
    fn scores_on_training_prompts(&self) -> bool {
        false
    }

    /// What tells the data that a model is trained on from other data, where the task reads any. Checkpoints keep it, so
    /// that a training is never continued on exchanged data unawares.
    ///
    /// # Errors
    /// If the data can't be read.
    fn fingerprint(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Draws prompts; all randomness comes from `rng`.
    ///
    /// # Errors
    /// If the task reads data that can't serve the request.
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts>;

    /// Whether what is to be predicted at a token stands in the prompt after it, where only a causal block doesn't see it.
    fn targets_in_prompt(&self) -> bool {
        true
    }

    /// What is learnt: squared error, unless the task says otherwise.
    fn objective(&self) -> Objective {
        Objective::SquaredError
    }

    /// What squared errors are divided by in reports: `dims`, unless the task says otherwise.
    fn normaliser(&self, dims: usize) -> f64 {
        dims as f64
    }
}
