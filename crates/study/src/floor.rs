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
        let task = experiment.task.scored_on().unwrap_or(experiment.task.as_ref());
        let noise = match task.typetag_name() {
            "linear_regression" => 0.0,
            "noisy_linear_regression" => serde_json::to_value(task).ok()?.get("std")?.as_f64()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(task: &str) -> Option<Floor> {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/run/config.toml");
        let text = std::fs::read_to_string(golden).unwrap().replace("type = \"linear_regression\"", task);
        Floor::of(&Experiment::from_toml(&text).unwrap())
    }

    #[test]
    fn least_squares_has_the_part_of_w_that_the_examples_do_not_show() {
        let Floor { name, loss } = floor("type = \"linear_regression\"").unwrap();
        // 11 points of 5 coordinates, after i of which 5 - i are open: (5 + 4 + 3 + 2 + 1) / 11 / 5.
        assert_eq!(name, "least squares");
        assert!((loss / (15.0 / 55.0) - 1.0).abs() < 0.2, "{loss}");
    }

    #[test]
    fn with_noise_it_is_ridge_regression_s_and_above_the_noise() {
        let noisy = |std: f64| floor(&format!("type = \"noisy_linear_regression\"\nstd = {std}")).unwrap();
        assert_eq!(noisy(0.5).name, "the best ridge regression");
        assert!(noisy(0.5).loss < noisy(1.0).loss && noisy(1.0).loss > 1.0 / 6.0, "{:?}", noisy(1.0));
        assert_eq!(noisy(0.0).name, "least squares");
    }

    #[test]
    fn it_is_that_of_the_task_that_is_scored() {
        let few = |base: &str| floor(&format!("type = \"few_prompts\"\ncount = 8\nbase = {base}"));
        assert_eq!(few("{ type = \"linear_regression\" }"), floor("type = \"linear_regression\""));
        assert_eq!(
            few("{ type = \"noisy_linear_regression\", std = 0.5 }"),
            floor("type = \"noisy_linear_regression\"\nstd = 0.5")
        );
    }

    #[test]
    fn where_the_best_predictor_is_not_known_there_is_none() {
        assert_eq!(floor("type = \"relu_2nn_regression\""), None);
    }
}
