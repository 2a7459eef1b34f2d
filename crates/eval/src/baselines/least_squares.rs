//! Least squares, of minimum norm.

use looped_core::{Baseline, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use super::{dot, one_by_one};
use crate::minimum_norm::minimum_norm;
use crate::qr_update::QrUpdate;

/// Ordinary least squares; with fewer points than dimensions, the solution of minimum norm.
///
/// For w ~ N(0, I) and no noise the expected error with k < d examples is that of the part of w outside the span of
/// the seen x: E (w.x)^2 / d = (d - k) / d. Agrees with `numpy.linalg.lstsq`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeastSquares {}

#[typetag::serde(name = "least_squares")]
impl Baseline for LeastSquares {
    fn name(&self) -> String {
        "least_squares".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let seen = QrUpdate::new(prompt.dims);
        one_by_one(prompt, seen, |seen, x| Ok(dot(&minimum_norm(seen), x)), |seen, x, y| seen.add(x, y))
    }
}

/// The weights of least squares over all points of a prompt; of minimum norm where the points leave a choice.
#[must_use]
pub fn least_squares_weights(prompt: Prompt<'_>) -> Vec<f64> {
    let mut seen = QrUpdate::new(prompt.dims);
    prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys).for_each(|(x, &y)| seen.add(x, y));
    minimum_norm(&seen)
}

looped_core::register!(Baseline, "least_squares", LeastSquares);
