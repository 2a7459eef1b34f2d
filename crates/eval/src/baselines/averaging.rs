//! w = mean of y x.

use looped_core::{Baseline, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use super::{dot, one_by_one};

/// The mean of y x as weights: one step of gradient descent from 0.
///
/// For normal x it estimates w without a matrix; its error falls as 1 / i, never to 0 (Garg et al., arXiv 2208.01066).
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Averaging {}

#[typetag::serde(name = "averaging")]
impl Baseline for Averaging {
    fn name(&self) -> String {
        "averaging".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        one_by_one(
            prompt,
            (vec![0.0; prompt.dims], 0.0),
            |(sum, count), x| Ok(dot(sum, x) / *count),
            |(sum, count), x, y| {
                *count += 1.0;
                sum.iter_mut().zip(x).for_each(|(s, &x)| *s += f64::from(y) * f64::from(x));
            },
        )
    }
}

looped_core::register!(Baseline, "averaging", Averaging);
