//! What is minimised in training, and what is reported.

use candle_core::{D, DType, Tensor};
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
    /// Cross-entropy of a softmax over classes, y being the class's number from 0 on; reports show the accuracy of the likeliest class.
    Classes,
}

impl Objective {
    /// The mean loss over all that is to be predicted.
    ///
    /// # Shapes
    /// `predictions` (loops, batch, points), of classes (loops, batch, points, classes); `ys` (batch, points), NaN where nothing is to be
    /// predicted. A scalar comes back.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn loss(self, predictions: &Tensor, ys: &Tensor) -> Result<Tensor> {
        let wanted = ys.eq(ys)?;
        let count: f64 = wanted.to_dtype(DType::F64)?.sum_all()?.to_scalar()?;
        let all = count as usize == ys.elem_count();
        // NaN would stay NaN, whatever it is multiplied by.
        let ys = if all { ys.clone() } else { wanted.where_cond(ys, &ys.zeros_like()?)? };
        let loss = match self {
            Self::SquaredError => predictions.broadcast_sub(&ys)?.sqr()?,
            Self::CrossEntropy => {
                // log(1 + exp(-z)) = max(-z, 0) + log(1 + exp(-|z|)), which never overflows.
                let z = predictions.broadcast_mul(&ys)?;
                (z.neg()?.relu()? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?
            }
            Self::Classes => {
                let most = predictions.max_keepdim(D::Minus1)?.detach();
                let shifted = predictions.broadcast_sub(&most)?;
                let whole = shifted.exp()?.sum(D::Minus1)?.log()?;
                let class = ys.to_dtype(DType::U32)?.unsqueeze(D::Minus1)?.unsqueeze(0)?;
                let class =
                    class.broadcast_as((predictions.dim(0)?, ys.dim(0)?, ys.dim(1)?, 1))?.contiguous()?;
                (whole - shifted.contiguous()?.gather(&class, D::Minus1)?.squeeze(D::Minus1)?)?
            }
        };
        let loss = if all { loss } else { loss.broadcast_mul(&wanted.to_dtype(loss.dtype())?)? };
        let number = count * predictions.dim(0)? as f64;
        Ok((loss.sum_all()? / number)?)
    }

    /// The loss of one prediction; `slopes` gets its gradient with respect to each number of the prediction. Nothing where y is NaN.
    pub fn value_and_slopes(self, prediction: &[f32], y: f32, slopes: &mut [f32]) -> f32 {
        if y.is_nan() {
            slopes.fill(0.0);
            return 0.0;
        }
        if self != Self::Classes {
            let (value, slope) = self.value_and_slope(prediction[0], y);
            slopes[0] = slope;
            return value;
        }
        let most = prediction.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // By libm, whose results don't depend on the system's C library.
        slopes.iter_mut().zip(prediction).for_each(|(slope, p)| *slope = libm::expf(p - most));
        let whole: f32 = slopes.iter().sum();
        slopes.iter_mut().for_each(|slope| *slope /= whole);
        let class = y as usize;
        slopes[class] -= 1.0;
        libm::logf(whole) - (prediction[class] - most)
    }

    fn value_and_slope(self, prediction: f32, y: f32) -> (f32, f32) {
        match self {
            Self::CrossEntropy => {
                let z = prediction * y;
                // By libm, whose results don't depend on the system's C library.
                let tail = libm::expf(-z.abs());
                // The logistic function of -z.
                let weight = if z >= 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
                ((-z).max(0.0) + libm::log1pf(tail), -y * weight)
            }
            Self::SquaredError | Self::Classes => {
                let error = prediction - y;
                (error * error, 2.0 * error)
            }
        }
    }

    /// The reported score of one prediction, before division by the normaliser: squared error, or 1 where the sign is right, or the likeliest
    /// class is the right one. NaN where nothing is to be predicted.
    #[must_use]
    pub fn score(self, prediction: &[f32], y: f32) -> f64 {
        if y.is_nan() {
            return f64::NAN;
        }
        match self {
            Self::SquaredError => {
                let error = f64::from(prediction[0]) - f64::from(y);
                error * error
            }
            Self::CrossEntropy => f64::from(u8::from((prediction[0] >= 0.0) == (y >= 0.0))),
            Self::Classes => {
                let best = (1..prediction.len())
                    .fold(0, |best, i| if prediction[i] > prediction[best] { i } else { best });
                f64::from(u8::from(best == y as usize && !prediction[best].is_nan()))
            }
        }
    }

    /// The score's name in reports.
    #[must_use]
    pub const fn score_name(self) -> &'static str {
        match self {
            Self::SquaredError => "squared error",
            Self::CrossEntropy | Self::Classes => "accuracy",
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
                    let mut expected = [0.0];
                    let value = objective.value_and_slopes(&[p], y, &mut expected);
                    assert!((loss.to_scalar::<f32>()? - value).abs() <= 1e-6 * value.abs().max(1.0));
                    assert!(
                        (slope - expected[0]).abs() <= 1e-6 * expected[0].abs().max(1.0),
                        "{objective:?} {p} {y}: {slope} {expected:?}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Two loops over one prompt of three points, the middle one without a target.
    #[test]
    fn classes_are_scored_and_learnt_where_there_is_a_target_alone() -> Result<()> {
        let logits = [
            [[1f32, 2.0, -1.0], [9.0, 9.0, 9.0], [-300.0, 300.0, 0.0]],
            [[0.0, 0.5, 0.5], [1.0, 2.0, 3.0], [4.0, 4.0, -4.0]],
        ];
        let ys = [2f32, f32::NAN, 1.0];
        let var = Var::new(&logits, &Device::Cpu)?.reshape((2, 1, 3, 3))?;
        let var = Var::from_tensor(&var)?;
        let loss = Objective::Classes.loss(&var, &Tensor::new(&[ys], &Device::Cpu)?)?;
        let slopes = loss.backward()?.get(&var).unwrap().flatten_all()?.to_vec1::<f32>()?;
        let (mut sum, mut own) = (0.0, [0.0; 3]);
        for (i, row) in logits.as_flattened().iter().enumerate() {
            sum += Objective::Classes.value_and_slopes(row, ys[i % 3], &mut own);
            for (slope, own) in slopes[3 * i..3 * i + 3].iter().zip(own) {
                assert!((slope - own / 4.0).abs() < 1e-6, "row {i}: {slope}, {own}");
            }
        }
        assert!((loss.to_scalar::<f32>()? - sum / 4.0).abs() < 1e-4 * sum, "{loss:?}, {sum}");
        let score = |row: &[f32], y| Objective::Classes.score(row, y);
        assert_eq!([score(&[1.0, 3.0, 2.0], 1.0), score(&[1.0, 3.0, 2.0], 2.0)], [1.0, 0.0]);
        assert!(score(&[1.0, 3.0, 2.0], f32::NAN).is_nan());
        assert_eq!(score(&[f32::NAN, f32::NAN], 0.0), 0.0);
        Ok(())
    }
}
