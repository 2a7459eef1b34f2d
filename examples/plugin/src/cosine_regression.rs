//! Sums of cosines.

use std::f64::consts::TAU;

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task, register, schemars, typetag};
use looped_tasks::{Function, FunctionClass, sample};
use serde::{Deserialize, Serialize};

/// y = sqrt(2d/h) sum_j cos(w_j.x + b_j) over h waves: w ~ N(0, frequency^2), b uniform in [0, 2 pi), x ~ N(0, I).
///
/// The phases give y mean 0 and the factor gives it variance d, as in linear regression. With many waves f is a draw
/// of the Gaussian process with covariance d exp(-frequency^2 |x - x'|^2 / 2) (Rahimi and Recht, 2007): smooth over
/// distances of 1 / frequency.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineRegression {
    /// How many waves are summed, h.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 100_000))]
    pub waves: usize,
    /// Standard deviation of each coordinate of a wave's w (above 0).
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub frequency: f64,
}

const fn eight() -> usize {
    8
}

const fn half() -> f64 {
    0.5
}

#[typetag::serde(name = "cosine_regression")]
impl Task for CosineRegression {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((1..=100_000).contains(&self.waves), "waves", || {
            format!("is {}; allowed: 1 to 100000", self.waves)
        });
        problems.require(self.frequency > 0.0 && self.frequency <= 1000.0, "frequency", || {
            format!("is {}; allowed: above 0, at most 1000", self.frequency)
        });
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }
}

/// How an f is drawn, apart from where it is evaluated: so the task `shifted` can ask it elsewhere.
#[typetag::serde(name = "cosine_regression")]
impl FunctionClass for CosineRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let mut wave = || {
            let w: Vec<f64> = (0..dims).map(|_| self.frequency * rng.normal()).collect();
            (w, TAU * rng.uniform())
        };
        let waves: Vec<_> = (0..self.waves).map(|_| wave()).collect();
        let scale = (2.0 * dims as f64 / self.waves as f64).sqrt();
        Box::new(move |x| {
            let along = |w: &[f64]| w.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum::<f64>();
            scale * waves.iter().map(|(w, b)| (along(w) + b).cos()).sum::<f64>()
        })
    }
}

register!(Task, "cosine_regression", CosineRegression);

#[cfg(test)]
mod tests {
    use super::*;

    fn function(seed: u64) -> Function {
        CosineRegression { waves: 3, frequency: 0.5 }.draw(2, &mut Rng::stream(seed, "cosine", 0))
    }

    #[test]
    fn the_waves_are_those_that_the_stream_gives() {
        let mut rng = Rng::stream(7, "cosine", 0);
        let x = [0.5f32, -2.0];
        let mut sum = 0.0;
        for _ in 0..3 {
            let w = [0.5 * rng.normal(), 0.5 * rng.normal()];
            sum += (w[0] * 0.5 - w[1] * 2.0 + TAU * rng.uniform()).cos();
        }
        assert!((function(7)(&x) - (4.0f64 / 3.0).sqrt() * sum).abs() < 1e-12);
    }

    /// Over draws of f: mean 0, variance d = 2, covariance 2 exp(-0.25 |x - x'|^2 / 2).
    #[test]
    fn moments_are_those_documented() {
        let (a, b) = ([0.3f32, -1.0], [1.3f32, 1.0]);
        let draws = 20_000;
        let (mut mean, mut variance, mut covariance) = (0.0, 0.0, 0.0);
        for seed in 0..draws {
            let f = function(seed);
            let (at_a, at_b) = (f(&a), f(&b));
            mean += at_a / draws as f64;
            variance += at_a * at_a / draws as f64;
            covariance += at_a * at_b / draws as f64;
        }
        // Bounds of about 5 standard errors.
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((variance - 2.0).abs() < 0.1, "{variance}");
        assert!((covariance - 2.0 * (-0.25f64 * 5.0 / 2.0).exp()).abs() < 0.1, "{covariance}");
    }
}
