//! What is minimised in training, and what is reported.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A loss per prediction, with the score that reports show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// (p - y)^2; reports show it divided by the task's normaliser.
    SquaredError,
    /// Binary logistic loss: log(1 + exp(-y p)) with y = -1 or 1, the cross-entropy of a logit; reports show the accuracy of p's sign.
    CrossEntropy,
}

impl Objective {
    /// The mean loss.
    ///
    /// # Shapes
    /// `predictions` (loops, batch, points), `ys` (batch, points); a scalar comes back.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn loss(self, predictions: &Tensor, ys: &Tensor) -> Result<Tensor> {
        let loss = match self {
            Self::SquaredError => predictions.broadcast_sub(ys)?.sqr()?,
            Self::CrossEntropy => {
                // log(1 + exp(-z)) = max(-z, 0) + log(1 + exp(-|z|)), which never overflows.
                let z = predictions.broadcast_mul(ys)?;
                (z.neg()?.relu()? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?
            }
        };
        Ok(loss.mean_all()?)
    }

    /// The loss of one prediction and its gradient with respect to the prediction.
    #[must_use]
    pub fn value_and_slope(self, prediction: f32, y: f32) -> (f32, f32) {
        match self {
            Self::SquaredError => {
                let error = prediction - y;
                (error * error, 2.0 * error)
            }
            Self::CrossEntropy => {
                let z = prediction * y;
                // By libm, whose results don't depend on the system's C library.
                let tail = libm::expf(-z.abs());
                // The logistic function of -z.
                let weight = if z >= 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
                ((-z).max(0.0) + libm::log1pf(tail), -y * weight)
            }
        }
    }

    /// The reported score of one prediction, before division by the normaliser: squared error, or 1 where the sign
    /// is right.
    #[must_use]
    pub fn score(self, prediction: f32, y: f32) -> f64 {
        match self {
            Self::SquaredError => {
                let error = f64::from(prediction) - f64::from(y);
                error * error
            }
            Self::CrossEntropy => f64::from(u8::from((prediction >= 0.0) == (y >= 0.0))),
        }
    }

    /// The score's name in reports.
    #[must_use]
    pub const fn score_name(self) -> &'static str {
        match self {
            Self::SquaredError => "squared error",
            Self::CrossEntropy => "accuracy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn tensors_and_scalars_agree_far_from_zero_too() -> Result<()> {
        for objective in [Objective::SquaredError, Objective::CrossEntropy] {
            for y in [-1f32, 1.0] {
                for p in [-200f32, -3.0, -0.1, 0.2, 5.0, 200.0] {
                    let var = Var::new(&[[[p]]], &Device::Cpu)?;
                    let loss = objective.loss(&var, &Tensor::new(&[[y]], &Device::Cpu)?)?;
                    let slope = loss.backward()?.get(&var).unwrap().flatten_all()?.to_vec1::<f32>()?[0];
                    let (value, expected) = objective.value_and_slope(p, y);
                    assert!((loss.to_scalar::<f32>()? - value).abs() <= 1e-6 * value.abs().max(1.0));
                    assert!(
                        (slope - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                        "{objective:?} {p} {y}: {slope} {expected}"
                    );
                }
            }
        }
        Ok(())
    }
}
