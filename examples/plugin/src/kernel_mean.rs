//! Nadaraya-Watson regression.

use looped_core::{Baseline, Problems, Prompt, Result, register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// The mean of the seen y, each weighted by exp(-|x - x_i|^2 / (2 bandwidth^2)) (Nadaraya; Watson, 1964).
///
/// A small bandwidth gives the nearest neighbour's y, a large one the mean of all.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelMean {
    /// The distance over which a point counts (above 0).
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e6))]
    pub bandwidth: f64,
}

const fn one() -> f64 {
    1.0
}

#[typetag::serde(name = "kernel_mean")]
impl Baseline for KernelMean {
    fn name(&self) -> String {
        format!("kernel_mean_{}", self.bandwidth)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require(self.bandwidth > 0.0 && self.bandwidth <= 1e6, "bandwidth", || {
            format!("is {}; allowed: above 0, at most 1e6", self.bandwidth)
        });
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let xs: Vec<&[f32]> = prompt.xs.chunks_exact(prompt.dims).collect();
        Ok((0..xs.len()).map(|i| self.at(xs[i], &xs[..i], &prompt.ys[..i]) as f32).collect())
    }
}

register!(Baseline, "kernel_mean", KernelMean);

impl KernelMean {
    /// The weighted mean of `ys` at `x`; 0 if there are none.
    fn at(&self, x: &[f32], xs: &[&[f32]], ys: &[f32]) -> f64 {
        let distances: Vec<f64> = xs.iter().map(|seen| squared_distance(x, seen)).collect();
        // Measured from the nearest point on: its weight is 1, and the sum of weights is never 0.
        let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let weight = |distance: &f64| ((nearest - distance) / (2.0 * self.bandwidth.powi(2))).exp();
        let weights: Vec<f64> = distances.iter().map(weight).collect();
        let weighted: f64 = weights.iter().zip(ys).map(|(w, &y)| w * f64::from(y)).sum();
        if ys.is_empty() { 0.0 } else { weighted / weights.iter().sum::<f64>() }
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(bandwidth: f64) -> Vec<f32> {
        let prompt = Prompt { xs: &[0.0, 1.0, 0.5, 9.0], ys: &[2.0, 4.0, 1.0, 0.0], dims: 1 };
        KernelMean { bandwidth }.predict(prompt).expect("predictions")
    }

    #[test]
    fn the_bandwidth_leads_from_the_nearest_neighbour_to_the_mean() {
        assert_eq!(predictions(0.01), [0.0, 2.0, 3.0, 4.0]);
        let wide = predictions(1e5);
        assert!(
            wide.iter().zip([0.0, 2.0, 3.0, 7.0 / 3.0]).all(|(p, mean)| (p - mean).abs() < 1e-5),
            "{wide:?}"
        );
    }
}
