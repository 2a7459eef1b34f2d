//! A decision tree.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};
use smartcore::tree::decision_tree_regressor::{DecisionTreeRegressor, DecisionTreeRegressorParameters};

use super::forest::{each_prefix, failed, suffix};

/// A regression tree whose splits lower the squared error most (CART, by smartcore).
///
/// Agrees with scikit-learn's `DecisionTreeRegressor(max_depth)` except for the choice between equally good splits.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Most splits from the root to a leaf (at least 1).
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_depth: u16,
    /// Whether the tree sees only the signs of x, which is all that the nodes of a `decision_tree` task test.
    #[serde(default)]
    pub signs: bool,
}

const fn four() -> u16 {
    4
}

impl Default for Tree {
    fn default() -> Self {
        Self { max_depth: four(), signs: false }
    }
}

#[typetag::serde(name = "tree")]
impl Baseline for Tree {
    fn name(&self) -> String {
        format!("tree_{}{}", self.max_depth, suffix(self.signs))
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.max_depth, 1..=1000, "max_depth");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        each_prefix(prompt, self.signs, |xs, ys, x| {
            // The seed decides between equally good splits only.
            let parameters = DecisionTreeRegressorParameters {
                seed: Some(0),
                ..DecisionTreeRegressorParameters::default().with_max_depth(self.max_depth)
            };
            let tree = DecisionTreeRegressor::fit(xs, ys, parameters).map_err(failed)?;
            Ok(tree.predict(x).map_err(failed)?[0])
        })
    }
}

looped_core::register!(Baseline, "tree", Tree);
