//! What a probe is to read: functions of a prompt alone, whatever task it comes from.

use candle_core::{D, Device, Tensor};
use looped_core::{Error, Prompt, Prompts, Result};
use looped_eval::baselines::least_squares_weights;
use rayon::prelude::*;

/// A vector of as many coordinates as x has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// X^T y, the first step of gradient descent from w = 0.
    Xty,
    /// The weights of least squares, where gradient descent ends.
    LeastSquares,
}

impl Target {
    /// As it stands in tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Xty => "X^T y",
            Self::LeastSquares => "least-squares weights",
        }
    }

    /// The target of each prompt, seeing the first `dims` coordinates of x: (prompts, dims).
    pub(crate) fn of(self, prompts: &Prompts, dims: usize, device: &Device) -> Result<Tensor> {
        let of_prompt = |i: usize| -> Result<Vec<f32>> {
            let (xs, ys) = prompts.get(i);
            let xs: Vec<f32> = xs.chunks(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect();
            let target = self.of_one(Prompt { xs: &xs, ys, dims })?;
            Ok(target.into_iter().map(|v| v as f32).collect())
        };
        let rows: Vec<Vec<f32>> =
            (0..prompts.prompts).into_par_iter().map(of_prompt).collect::<Result<_>>()?;
        Ok(Tensor::from_vec(rows.concat(), (prompts.prompts, dims), device)?)
    }

    fn of_one(self, prompt: Prompt<'_>) -> Result<Vec<f64>> {
        match self {
            Self::LeastSquares => least_squares_weights(prompt),
            Self::Xty => {
                let mut sums = vec![0.0; prompt.dims];
                for (x, &y) in prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys) {
                    sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(y));
                }
                Ok(sums)
            }
        }
    }

    /// The target with mean 0 and, over all coordinates together, variance 1: what the nets learn best.
    pub(crate) fn standardised(self, values: &Tensor) -> Result<Tensor> {
        let centred = values.broadcast_sub(&values.mean_keepdim(0)?)?;
        let variance = f64::from(centred.sqr()?.mean_all()?.to_scalar::<f32>()?);
        if variance == 0.0 {
            return Err(Error::Data(format!("{} is the same for every prompt", self.label())));
        }
        Ok((centred / variance.sqrt())?)
    }
}

/// The squared distance between two rows, for each row.
pub(crate) fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let distances: Vec<f32> = (a - b)?.sqr()?.sum(D::Minus1)?.to_vec1()?;
    Ok(distances.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_prompt() -> Result<()> {
        // y = 2 x_0 - x_1, exactly; a third coordinate is not in use.
        let xs = vec![1.0, 0.0, 9.0, 1.0, 1.0, 9.0, 0.0, 2.0, 9.0];
        let prompts = Prompts { xs, ys: vec![2.0, 1.0, -2.0], prompts: 1, points: 3, n_dims: 3 };
        assert_eq!(Target::Xty.of(&prompts, 2, &Device::Cpu)?.to_vec2::<f32>()?, [[3.0, -3.0]]);
        let weights = Target::LeastSquares.of(&prompts, 2, &Device::Cpu)?.to_vec2::<f32>()?;
        assert!((weights[0][0] - 2.0).abs() < 1e-6 && (weights[0][1] + 1.0).abs() < 1e-6, "{weights:?}");
        Ok(())
    }

    #[test]
    fn a_target_that_never_varies_is_refused() -> Result<()> {
        let message = Target::Xty.standardised(&Tensor::ones((4, 2), candle_core::DType::F32, &Device::Cpu)?);
        assert!(message.unwrap_err().to_string().contains("X^T y is the same for every prompt"));
        Ok(())
    }
}
