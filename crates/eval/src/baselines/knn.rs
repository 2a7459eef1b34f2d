//! k nearest neighbours.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

/// The mean y of the k nearest points (all, while there are fewer), in Euclidean distance.
///
/// Of points equally far the earlier ones count as nearer. Agrees with scikit-learn's `KNeighborsRegressor`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    /// How many neighbours (at least 1).
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub k: usize,
}

const fn three() -> usize {
    3
}

#[typetag::serde(name = "knn")]
impl Baseline for Knn {
    fn name(&self) -> String {
        format!("knn_{}", self.k)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.k, 1..=1_000_000, "k");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let xs: Vec<&[f32]> = prompt.xs.chunks_exact(prompt.dims).collect();
        let mut predictions = vec![0.0; prompt.ys.len()];
        for i in 1..xs.len() {
            let mut nearest: Vec<(f64, usize)> =
                (0..i).map(|j| (squared_distance(xs[i], xs[j]), j)).collect();
            // Pairs compare by distance, then by index.
            nearest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            nearest.truncate(self.k);
            let sum: f64 = nearest.iter().map(|&(_, j)| f64::from(prompt.ys[j])).sum();
            predictions[i] = (sum / nearest.len() as f64) as f32;
        }
        Ok(predictions)
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

looped_core::register!(Baseline, "knn", Knn);
