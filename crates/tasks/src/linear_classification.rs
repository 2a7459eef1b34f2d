//! Half-spaces.

use looped_core::{Objective, Prompts, Request, Result, Rng, Task, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::LinearRegression;
use crate::function_class::{Function, FunctionClass, sample};

/// y = sign(w.x), -1 or 1, with w ~ N(0, I), x ~ N(0, I); learnt by cross-entropy, scored by accuracy.
///
/// From the code of arXiv 2208.01066. A prediction is the logit of y = 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearClassification {}

#[typetag::serde(name = "linear_classification")]
impl Task for LinearClassification {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        sample(self, request, rng)
    }

    fn objective(&self) -> Objective {
        Objective::CrossEntropy
    }

    fn normaliser(&self, _: usize) -> f64 {
        1.0
    }
}

#[typetag::serde(name = "linear_classification")]
impl FunctionClass for LinearClassification {
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function {
        let score = LinearRegression {}.draw(dims, rng);
        Box::new(move |x| if score(x) >= 0.0 { 1.0 } else { -1.0 })
    }
}

looped_core::register!(Task, "linear_classification", LinearClassification);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{draw, first_ys, moments_are};

    #[test]
    fn y_is_the_sign_of_the_linear_function_of_the_same_stream() {
        let classes = draw(&LinearClassification {}, 50, 12, 4, 6);
        let scores = draw(&LinearRegression {}, 50, 12, 4, 6);
        assert_eq!(classes.xs, scores.xs);
        for (class, score) in classes.ys.iter().zip(&scores.ys) {
            assert_eq!(*class, score.signum());
        }
    }

    #[test]
    fn classes_are_equally_likely() {
        moments_are(first_ys(&LinearClassification {}, 20_000, 5), 0.0, 1.0);
    }
}
