//! The least validation loss that a model can have.

use looped_config::Experiment;
use looped_core::Baseline;
use looped_eval::baseline_predictions;
use looped_eval::baselines::{LeastSquares, Ridge};
use looped_train::Validation;

/// A validation loss that no model is below, apart from the luck of the prompts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Floor {
    /// What has it, in words.
    pub(crate) name: String,
    /// The loss, on the prompts of the validation.
    pub(crate) loss: f64,
}

impl Floor {
    /// The floor of an experiment; `None` where the best predictor isn't known.
    ///
    /// For linear functions with normal weights it is the posterior mean: least squares without noise, and ridge
    /// regression with the noise's variance as its penalty with noise.
    pub(crate) fn of(experiment: &Experiment) -> Option<Self> {
        let task = experiment.task.as_ref();
        let noise = match task.typetag_name() {
            "linear_regression" => 0.0,
            "noisy_linear_regression" => serde_json::to_value(&experiment.task).ok()?.get("std")?.as_f64()?,
            _ => return None,
        };
        let (name, best): (_, Box<dyn Baseline>) = if noise > 0.0 {
            ("the best ridge regression", Box::new(Ridge { alpha: noise * noise }))
        } else {
            ("least squares", Box::new(LeastSquares {}))
        };
        let validation = Validation::of(experiment).ok()?;
        let predictions = baseline_predictions(&validation.prompts, &[best]).ok()?.pop()?.1;
        Some(Self { name: name.to_owned(), loss: validation.loss_of(&predictions) })
    }
}
