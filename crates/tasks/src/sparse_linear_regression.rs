//! Linear functions of a few coordinates.

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::function_class::{Function, FunctionClass, sample};
use crate::vectors::normals;

/// y = w.x with all but a few random coordinates of w ~ N(0, I) set to 0, x ~ N(0, I).
///
/// The class of arXiv 2208.01066, section 5, and arXiv 2311.12424, section 4. The `sparsity` coordinates are drawn
/// among the ones in use; while the curriculum uses fewer, all of them count. Errors are reported divided by
/// `sparsity`, the variance of y.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseLinearRegression {
    /// How many coordinates count; at most n_dims.
    #[serde(default = "default_sparsity")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sparsity: usize,
}

const fn default_sparsity() -> usize {
    3
}

impl Default for SparseLinearRegression {
    fn default() -> Self {
        Self { sparsity: default_sparsity() }
    }
}

#[typetag::serde(name = "sparse_linear_regression")]
impl Task for SparseLinearRegression {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.require((1..=dims.n_dims).contains(&self.sparsity), "sparsity", || {
            format!("is {}; allowed: 1 to model.n_dims, {}", self.sparsity, dims.n_dims)
        });
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }

    fn normaliser(&self, dims: usize) -> f64 {
        self.sparsity.min(dims) as f64
    }
}

#[typetag::serde(name = "sparse_linear_regression")]
impl FunctionClass for SparseLinearRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let mut coordinates = rng.permutation(dims);
        coordinates.truncate(self.sparsity);
        let w = normals(coordinates.len(), rng);
        Box::new(move |x| coordinates.iter().zip(&w).map(|(&i, w)| w * f64::from(x[i])).sum())
    }
}

looped_core::register!(Task, "sparse_linear_regression", SparseLinearRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{first_ys, moments_are, reports, weights};

    #[test]
    fn exactly_the_asked_number_of_coordinates_counts_and_all_are_chosen_alike() {
        let mut counts = [0.0; 6];
        for seed in 0..3000 {
            let f = SparseLinearRegression { sparsity: 3 }.draw(6, &mut Rng::stream(seed, "sparse", 0));
            let w = weights(&f, 9);
            assert_eq!(w.iter().filter(|&&w| w != 0.0).count(), 3);
            assert!(w[6..].iter().all(|&w| w == 0.0), "a coordinate beyond dims counts: {w:?}");
            counts.iter_mut().zip(&w).for_each(|(count, &w)| *count += f64::from(u8::from(w != 0.0)));
        }
        // Each count is binomial: 3000 draws of probability 1/2.
        assert!(counts.iter().all(|count| (count - 1500.0_f64).abs() < 4.5 * 750f64.sqrt()), "{counts:?}");
    }

    #[test]
    fn y_has_mean_0_and_the_variance_that_errors_are_divided_by() {
        moments_are(first_ys(&SparseLinearRegression { sparsity: 3 }, 20_000, 7), 0.0, 3.0);
        // Fewer coordinates in use than asked for: all count.
        let task = SparseLinearRegression { sparsity: 3 };
        moments_are(first_ys(&task, 20_000, 2), 0.0, task.normaliser(2));
        assert_eq!((task.normaliser(20), task.normaliser(2)), (3.0, 2.0));
    }

    #[test]
    fn sparsity_must_fit_the_model() {
        assert_eq!(
            reports(&SparseLinearRegression { sparsity: 9 }),
            "sparsity: is 9; allowed: 1 to model.n_dims, 8"
        );
        assert_eq!(
            reports(&SparseLinearRegression { sparsity: 0 }),
            "sparsity: is 0; allowed: 1 to model.n_dims, 8"
        );
        assert_eq!(reports(&SparseLinearRegression::default()), "");
    }
}
