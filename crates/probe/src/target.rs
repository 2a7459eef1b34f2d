//! What a probe is to read: functions of a prompt alone, whatever task it comes from.

use looped_core::{Error, Prompt, Prompts, Result};
use looped_eval::baselines::least_squares_weights;
use rayon::prelude::*;

use crate::rows::{Rows, squared_distance};

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

    /// The target of each prompt, seeing the first `dims` coordinates of x.
    pub(crate) fn of(self, prompts: &Prompts, dims: usize) -> Rows {
        let of_prompt = |i: usize| -> Vec<f32> {
            let (xs, ys) = prompts.get(i);
            let xs: Vec<f32> = xs.chunks(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect();
            let target = self.of_one(Prompt { xs: &xs, ys, dims });
            target.into_iter().map(|v| v as f32).collect()
        };
        let rows: Vec<Vec<f32>> = (0..prompts.prompts).into_par_iter().map(of_prompt).collect();
        Rows { values: rows.concat(), width: dims }
    }

    fn of_one(self, prompt: Prompt<'_>) -> Vec<f64> {
        match self {
            Self::LeastSquares => least_squares_weights(prompt),
            Self::Xty => {
                let mut sums = vec![0.0; prompt.dims];
                for (x, &y) in prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys) {
                    sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(y));
                }
                sums
            }
        }
    }

    /// The target with mean 0 and, over all coordinates together, variance 1: what the nets learn best.
    pub(crate) fn standardised(self, rows: &Rows) -> Result<Rows> {
        let mean = rows.mean();
        let distance = |i| squared_distance(rows.of(i), mean.iter().copied());
        let variance = (0..rows.count()).map(distance).sum::<f64>() / rows.values.len() as f64;
        if variance == 0.0 {
            return Err(Error::Data(format!("{} is the same for every prompt", self.label())));
        }
        let (means, scale) = (mean.iter().cycle(), 1.0 / variance.sqrt());
        let values = rows.values.iter().zip(means).map(|(&v, mean)| ((f64::from(v) - mean) * scale) as f32);
        Ok(Rows { values: values.collect(), width: rows.width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_prompt() -> Result<()> {
        // y = 2 x_0 - x_1, exactly; a third coordinate is not in use.
        let xs = vec![1.0, 0.0, 9.0, 1.0, 1.0, 9.0, 0.0, 2.0, 9.0];
        let prompts = Prompts::pairs(xs, vec![2.0, 1.0, -2.0], [1, 3, 3]);
        assert_eq!(Target::Xty.of(&prompts, 2).values, [3.0, -3.0]);
        let weights = Target::LeastSquares.of(&prompts, 2).values;
        assert!((weights[0] - 2.0).abs() < 1e-6 && (weights[1] + 1.0).abs() < 1e-6, "{weights:?}");
        Ok(())
    }

    #[test]
    fn a_standardised_target_has_mean_0_and_variance_1_over_all_coordinates() -> Result<()> {
        let rows = Rows { values: vec![1.0, 5.0, 3.0, 5.0], width: 2 };
        let root = 2f32.sqrt();
        assert_eq!(Target::Xty.standardised(&rows)?.values, [-root, 0.0, root, 0.0]);
        Ok(())
    }

    #[test]
    fn a_target_that_never_varies_is_refused() {
        let message = Target::Xty.standardised(&Rows { values: vec![1.0; 8], width: 2 });
        assert!(message.unwrap_err().to_string().contains("X^T y is the same for every prompt"));
    }
}
