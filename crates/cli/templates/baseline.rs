//! The baseline `part_name`: a starting point that works. Change its settings, its rule and this text to yours.

use looped_core::{Baseline, Problems, Prompt, Result};
use looped_core::{register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// One pass of normalised gradient steps over the points: w += rate (y - w.x) x / |x|^2, from w = 0.
///
/// With rate 1 each step solves its own point exactly (Kaczmarz, 1937); a smaller rate forgets noise.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// How far each step goes (above 0, below 2).
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 2))]
    pub rate: f64,
}

const fn one() -> f64 {
    1.0
}

#[typetag::serde(name = "part_name")]
impl Baseline for PartName {
    /// In tables, plots and files; settings included, so that two of them can stand side by side.
    fn name(&self) -> String {
        format!("part_name_{}", self.rate)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require(self.rate > 0.0 && self.rate < 2.0, "rate", || {
            format!("is {}; allowed: above 0, below 2", self.rate)
        });
    }

    /// One prediction per point, each from the points before it.
    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let mut w = vec![0.0f64; prompt.dims];
        let mut predictions = Vec::with_capacity(prompt.ys.len());
        for (x, &y) in prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys) {
            let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            let prediction: f64 = w.iter().zip(&x).map(|(w, x)| w * x).sum();
            predictions.push(prediction as f32);
            let square: f64 = x.iter().map(|v| v * v).sum();
            if square > 0.0 {
                let step = self.rate * (f64::from(y) - prediction) / square;
                w.iter_mut().zip(&x).for_each(|(w, x)| *w += step * x);
            }
        }
        Ok(predictions)
    }
}

register!(Baseline, "part_name", PartName);
