//! Linear functions seen through noise.

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::LinearRegression;
use crate::function_class::{Function, FunctionClass, sample};

/// y = w.x + e with w ~ N(0, I), x ~ N(0, I) and noise e ~ N(0, std^2) on every y, the last one too.
///
/// From arXiv 2311.12424 (its code, std 0.1) and arXiv 2208.01066, section 4. With `renormalise` y is multiplied by
/// sqrt(d / (d + std^2)), which gives it the variance d of noiseless prompts; the published code divides by the
/// batch's own standard deviation instead, which agrees in expectation but ties a prompt to its neighbours.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoisyLinearRegression {
    /// Standard deviation of the noise.
    #[serde(default = "default_std")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub std: f64,
    /// Whether y is scaled back to the variance of noiseless prompts.
    #[serde(default)]
    pub renormalise: bool,
}

const fn default_std() -> f64 {
    0.1
}

impl Default for NoisyLinearRegression {
    fn default() -> Self {
        Self { std: default_std(), renormalise: false }
    }
}

#[typetag::serde(name = "noisy_linear_regression")]
impl Task for NoisyLinearRegression {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.std, 0.0..=1000.0, "std");
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }
}

#[typetag::serde(name = "noisy_linear_regression")]
impl FunctionClass for NoisyLinearRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        LinearRegression {}.draw(dims, rng)
    }

    fn observe(&self, value: f64, dims: usize, rng: &mut Rng) -> f64 {
        let noisy = value + self.std * rng.normal();
        let dims = dims as f64;
        if self.renormalise { noisy * (dims / (dims + self.std * self.std)).sqrt() } else { noisy }
    }
}

looped_core::register!(Task, "noisy_linear_regression", NoisyLinearRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{draw, first_ys, moments_are, reports};

    /// Noise leaves the other streams alone, so a noiseless twin shows it.
    #[test]
    fn noise_has_the_given_std_and_is_fresh_at_every_point() {
        let noisy = draw(&NoisyLinearRegression { std: 0.5, renormalise: false }, 2000, 10, 4, 4);
        let clean = draw(&LinearRegression {}, 2000, 10, 4, 4);
        assert_eq!(noisy.xs, clean.xs);
        let noise: Vec<f64> =
            noisy.ys.iter().zip(&clean.ys).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        moments_are(noise.iter().copied(), 0.0, 0.25);
        // The product of two points' noise averages to 0 only if they are independent.
        moments_are(noise.chunks(10).map(|e| e[0] * e[9]), 0.0, 0.25 * 0.25);
    }

    #[test]
    fn y_has_variance_d_plus_that_of_the_noise_or_d() {
        let task = |renormalise| NoisyLinearRegression { std: 2.0, renormalise };
        moments_are(first_ys(&task(false), 20_000, 5), 0.0, 9.0);
        moments_are(first_ys(&task(true), 20_000, 5), 0.0, 5.0);
    }

    #[test]
    fn a_std_that_is_negative_or_no_number_is_reported() {
        for std in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(reports(&NoisyLinearRegression { std, renormalise: false }).starts_with("std: is "));
        }
        assert_eq!(reports(&NoisyLinearRegression::default()), "");
    }
}
