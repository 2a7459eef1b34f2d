//! Linear functions of squares.

use looped_core::{Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::function_class::{Function, FunctionClass, sample};
use crate::vectors::normals;

/// y = w.(x^2) / sqrt(3) with w ~ N(0, I), x ~ N(0, I), the square taken coordinate by coordinate.
///
/// From the code of arXiv 2208.01066. A squared normal has mean square 3, so y has the variance d of linear
/// regression.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuadraticRegression {}

#[typetag::serde(name = "quadratic_regression")]
impl Task for QuadraticRegression {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }
}

#[typetag::serde(name = "quadratic_regression")]
impl FunctionClass for QuadraticRegression {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let w = normals(dims, rng);
        Box::new(move |x| {
            let sum: f64 = w.iter().zip(x).map(|(w, &x)| w * f64::from(x) * f64::from(x)).sum();
            sum / 3f64.sqrt()
        })
    }
}

looped_core::register!(Task, "quadratic_regression", QuadraticRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinearRegression;
    use crate::checks::{first_ys, moments_are};

    #[test]
    fn f_is_the_linear_function_of_the_same_stream_at_the_squares() {
        let rng = Rng::stream(8, "quadratic", 0);
        let (f, linear) =
            (QuadraticRegression {}.draw(3, &mut rng.clone()), LinearRegression {}.draw(3, &mut rng.clone()));
        let x = [0.5, -1.5, 2.0, 9.0];
        assert!((f(&x) - linear(&x.map(|v| v * v)) / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(f(&x), f(&x.map(|v| -v)));
    }

    #[test]
    fn y_has_mean_0_and_variance_d() {
        moments_are(first_ys(&QuadraticRegression {}, 40_000, 5), 0.0, 5.0);
    }
}
