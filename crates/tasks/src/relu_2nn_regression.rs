//! Two-layer networks.

use looped_core::{ModelDims, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::function_class::{Function, FunctionClass, sample};
use crate::vectors::normals;

/// y = sqrt(2/h) sum_j v_j relu(W_j.x), a random ReLU network with h hidden units; v, W, x ~ N(0, 1).
///
/// The class of arXiv 2208.01066, section 5, and arXiv 2311.12424, section 4. The factor gives y the variance d of
/// linear regression.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relu2nnRegression {
    /// Hidden units, h.
    #[serde(default = "default_hidden")]
    #[schemars(range(min = 1, max = 100_000))]
    pub hidden: usize,
}

const fn default_hidden() -> usize {
    100
}

impl Default for Relu2nnRegression {
    fn default() -> Self {
        Self { hidden: default_hidden() }
    }
}

#[typetag::serde(name = "relu_2nn_regression")]
impl Task for Relu2nnRegression {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.hidden, 1..=100_000, "hidden");
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }
}

#[typetag::serde(name = "relu_2nn_regression")]
impl FunctionClass for Relu2nnRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let v = normals(self.hidden, rng);
        // Row i holds the weights of coordinate i: sums over i run through all units side by side, as processors like.
        let w = normals(dims * self.hidden, rng);
        let scale = (2.0 / self.hidden as f64).sqrt();
        Box::new(move |x| {
            let mut units = vec![0.0; v.len()];
            for (row, &x) in w.chunks_exact(v.len()).zip(x) {
                units.iter_mut().zip(row).for_each(|(unit, w)| *unit += w * f64::from(x));
            }
            scale * v.iter().zip(units).map(|(v, unit)| v * unit.max(0.0)).sum::<f64>()
        })
    }
}

looped_core::register!(Task, "relu_2nn_regression", Relu2nnRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{first_ys, moments_are, reports};

    #[test]
    fn the_network_is_the_one_that_the_stream_gives() {
        let f = Relu2nnRegression { hidden: 2 }.draw(2, &mut Rng::stream(3, "relu", 0));
        let mut rng = Rng::stream(3, "relu", 0);
        let mut next = || rng.normal();
        let (v, w) = ([next(), next()], [[next(), next()], [next(), next()]]);
        // sqrt(2/h) is 1 here.
        let unit = |j: usize| (w[0][j] * 0.5 - w[1][j] * 2.0).max(0.0);
        let expected = v[0] * unit(0) + v[1] * unit(1);
        assert!((f(&[0.5, -2.0, 7.0]) - expected).abs() < 1e-12);
    }

    /// relu(a z) = a relu(z) for a > 0, and relu(z) - relu(-z) = z.
    #[test]
    fn f_is_positively_homogeneous_and_its_odd_part_linear() {
        let f = Relu2nnRegression::default().draw(3, &mut Rng::stream(5, "relu", 0));
        let odd = |x: [f32; 3]| f(&x) - f(&x.map(|v| -v));
        let (a, b) = ([0.3, -1.2, 0.7], [1.1, 0.4, -0.2]);
        assert!((f(&a.map(|v| 4.0 * v)) - 4.0 * f(&a)).abs() < 1e-9);
        let sum = [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        assert!((odd(sum) - odd(a) - odd(b)).abs() < 1e-5);
        // The even part isn't linear: it is what makes f no linear function.
        assert!((f(&a) + f(&a.map(|v| -v))).abs() > 1e-3);
    }

    #[test]
    fn y_has_mean_0_and_variance_d() {
        moments_are(first_ys(&Relu2nnRegression { hidden: 20 }, 10_000, 5), 0.0, 5.0);
    }

    #[test]
    fn a_network_without_units_is_reported() {
        assert_eq!(reports(&Relu2nnRegression { hidden: 0 }), "hidden: is 0; allowed: 1 to 100000");
    }
}
