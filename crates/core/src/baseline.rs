//! Classical estimators that a model's errors are set beside.

use std::fmt::Debug;

use crate::{Problems, Result};

/// One prompt: `ys[i]` belongs to the row `xs[i * dims..(i + 1) * dims]`.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// (points, dims), row-major; only the coordinates in use.
    pub xs: &'a [f32],
    /// (points).
    pub ys: &'a [f32],
    /// Width of a row of `xs`.
    pub dims: usize,
}

/// An estimator fitted afresh on the first i points of a prompt, for every i.
#[typetag::serde(tag = "type")]
pub trait Baseline: Debug + Send + Sync {
    /// The name in tables and files, settings included, as in `knn_3`.
    fn name(&self) -> String;

    /// Reports settings that can't work; keys are relative to the baseline's table.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Reports why it can't be fitted, before anything is trained; keys are relative to the baseline's table. May open what the baseline reads.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// The prediction of every y, each from the points before it; 0 for the first.
    ///
    /// # Errors
    /// If a fit fails.
    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>>;

    /// Itself where it takes a step for each loop of the model beside it: it is asked for those, and not by [`predict`](Self::predict).
    fn by_loop(&self) -> Option<&dyn ByLoop> {
        None
    }
}

/// A baseline that takes a step for each loop of the model beside it.
pub trait ByLoop: Send + Sync {
    /// The prediction of every y after each of so many loops, each from the points before it; 0 for the first: (loops, points).
    ///
    /// # Errors
    /// If a fit fails.
    fn predict_each(&self, prompt: Prompt<'_>, loops: usize) -> Result<Vec<Vec<f32>>>;
}
