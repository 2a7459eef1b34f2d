//! Linear functions.

use looped_core::{Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::function_class::{Function, FunctionClass, sample};
use crate::vectors::{dot, normals};

/// y = w.x with w ~ N(0, I) and x ~ N(0, I).
///
/// The class of arXiv 2208.01066, section 3, and arXiv 2311.12424, section 4. Least squares solves a prompt exactly
/// once it has as many points as coordinates; before that, its expected error with k points is (d - k) / d of y's
/// variance, d.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearRegression {}

#[typetag::serde(name = "linear_regression")]
impl Task for LinearRegression {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }
}

#[typetag::serde(name = "linear_regression")]
impl FunctionClass for LinearRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let w = normals(dims, rng);
        Box::new(move |x| dot(&w, x))
    }
}

looped_core::register!(Task, "linear_regression", LinearRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{draw, first_ys, moments_are, solve};

    #[test]
    fn d_points_determine_the_function() {
        let prompts = draw(&LinearRegression {}, 20, 9, 6, 8);
        for i in 0..prompts.prompts {
            let (xs, ys) = prompts.get(i);
            let rows: Vec<Vec<f64>> =
                xs.chunks(8).map(|x| x[..6].iter().map(|&v| f64::from(v)).collect()).collect();
            let w = solve(&rows[..6], &ys[..6]);
            for (row, &y) in rows.iter().zip(ys) {
                let fitted: f64 = w.iter().zip(row).map(|(w, x)| w * x).sum();
                // y is rounded to f32, and the solve amplifies that by the condition of 6 random rows.
                assert!((fitted - f64::from(y)).abs() < 1e-3, "prompt {i}: {fitted} {y}");
            }
        }
    }

    #[test]
    fn y_has_mean_0_and_variance_d() {
        moments_are(first_ys(&LinearRegression {}, 20_000, 5), 0.0, 5.0);
    }
}
