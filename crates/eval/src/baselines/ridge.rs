//! Ridge regression.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use super::{dot, one_by_one};
use crate::qr_update::QrUpdate;

/// Least squares with a penalty on large weights: the w that minimises |y - Xw|^2 + alpha |w|^2.
///
/// The Bayes-optimal estimator of w ~ N(0, I) under noise of variance alpha. Agrees with scikit-learn's
/// `Ridge(alpha, fit_intercept=False)`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ridge {
    /// The penalty's strength (above 0).
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e30))]
    pub alpha: f64,
}

const fn tenth() -> f64 {
    0.1
}

#[typetag::serde(name = "ridge")]
impl Baseline for Ridge {
    fn name(&self) -> String {
        format!("ridge_{}", self.alpha)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_positive(self.alpha, "alpha");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let seen = QrUpdate::with_penalty(prompt.dims, self.alpha.sqrt());
        one_by_one(prompt, seen, |seen, x| Ok(dot(&seen.solve(), x)), |seen, x, y| seen.add(x, y))
    }
}

looped_core::register!(Baseline, "ridge", Ridge);
