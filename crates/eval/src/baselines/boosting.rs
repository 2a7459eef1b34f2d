//! Gradient boosting.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use super::forest::{each_prefix, failed, suffix};

/// Gradient-boosted regression trees, as XGBoost grows them with its default settings (by smartcore).
///
/// Trees of depth 6 at most, leaves shrunk by an L2 penalty of 1, starting at the mean of y (Chen and Guestrin,
/// arXiv 1603.02754). Agrees with scikit-learn's `HistGradientBoostingRegressor` at the same settings.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boosting {
    /// How many trees (at least 1).
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub trees: usize,
    /// What part of each tree's prediction is added (above 0).
    #[serde(default = "three_tenths")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub learning_rate: f64,
    /// Whether the trees see only the signs of x, which is all that the nodes of a `decision_tree` task test.
    #[serde(default)]
    pub signs: bool,
}

const fn hundred() -> usize {
    100
}

const fn three_tenths() -> f64 {
    0.3
}

impl Default for Boosting {
    fn default() -> Self {
        Self { trees: hundred(), learning_rate: three_tenths(), signs: false }
    }
}

#[typetag::serde(name = "boosting")]
impl Baseline for Boosting {
    fn name(&self) -> String {
        let rate = super::unless_default("rate", self.learning_rate, three_tenths());
        format!("boosting_{}{rate}{}", self.trees, suffix(self.signs))
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.trees, 1..=1_000_000, "trees");
        problems.require_positive(self.learning_rate, "learning_rate");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        each_prefix(prompt, self.signs, |xs, ys, x| {
            let parameters = XGRegressorParameters::default()
                .with_n_estimators(self.trees)
                .with_learning_rate(self.learning_rate)
                .with_base_score(ys.iter().sum::<f64>() / ys.len() as f64);
            let trees = XGRegressor::fit(xs, ys, parameters).map_err(failed)?;
            Ok(trees.predict(x).map_err(failed)?[0])
        })
    }
}

looped_core::register!(Baseline, "boosting", Boosting);
