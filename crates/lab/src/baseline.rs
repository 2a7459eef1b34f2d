//! Iterative solvers as baselines: stopped after some steps.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::solvers::{
    Chebyshev, ConjugateGradients, GradientDescent, HeavyBall, NewtonSchulz, Problem, Solver, Step, predict,
};

/// An iterative solver of least squares, stopped after some steps from w = 0.
///
/// It is fitted afresh on the points before each query, as `looped match` does.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iterations {
    /// The solver.
    pub method: Method,
    /// How many steps it takes.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
}

/// The solvers that need no prompts but their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Gradient descent with the step 2 / (smallest + largest eigenvalue).
    Gd,
    /// Gradient descent with the step 1 / largest eigenvalue.
    GdSafe,
    /// Polyak's heavy ball.
    HeavyBall,
    /// Chebyshev's semi-iteration.
    Chebyshev,
    /// Conjugate gradients.
    Cg,
    /// Newton and Schulz's iteration.
    NewtonSchulz,
}

impl Method {
    fn solver(self) -> Box<dyn Solver> {
        match self {
            Self::Gd => Box::new(GradientDescent { step: Step::Optimal }),
            Self::GdSafe => Box::new(GradientDescent { step: Step::InverseLargest }),
            Self::HeavyBall => Box::new(HeavyBall {}),
            Self::Chebyshev => Box::new(Chebyshev {}),
            Self::Cg => Box::new(ConjugateGradients {}),
            Self::NewtonSchulz => Box::new(NewtonSchulz {}),
        }
    }
}

#[typetag::serde(name = "solver")]
impl Baseline for Iterations {
    fn name(&self) -> String {
        format!("{}_{}", self.method.solver().name(), self.steps)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.steps, 1..=100_000, "steps");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let (solver, dims) = (self.method.solver(), prompt.dims);
        let at = |query: usize| {
            let problem = Problem::new(&prompt.xs[..query * dims], &prompt.ys[..query], dims);
            let w = solver.iterates(&problem, self.steps).pop().unwrap_or_default();
            predict(&w, &prompt.xs[query * dims..][..dims]) as f32
        };
        Ok((0..prompt.ys.len()).map(at).collect())
    }
}

looped_core::register!(Baseline, "solver", Iterations);

#[cfg(test)]
mod tests {
    use looped_core::Rng;
    use looped_eval::baselines::LeastSquares;

    use super::*;

    const ALL: [Method; 6] =
        [Method::Gd, Method::GdSafe, Method::HeavyBall, Method::Chebyshev, Method::Cg, Method::NewtonSchulz];

    #[test]
    fn conjugate_gradients_are_least_squares_after_as_many_steps_as_coordinates_at_every_query() {
        let mut rng = Rng::stream(1, "iterations", 0);
        let (xs, ys) = (rng.normals(60), rng.normals(12));
        let prompt = Prompt { xs: &xs, ys: &ys, dims: 5 };
        let exact = LeastSquares {}.predict(prompt).unwrap();
        let of = |steps| Iterations { method: Method::Cg, steps }.predict(prompt).unwrap();
        let apart = |a: &[f32]| a.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart(&of(5)) < 1e-4 && apart(&of(3)) > 1e-3, "{} {}", apart(&of(5)), apart(&of(3)));
    }

    #[test]
    fn a_method_is_called_in_a_table_as_its_solver_and_settings_out_of_range_are_reported() {
        for method in ALL {
            let told = serde_json::to_value(method).unwrap();
            assert_eq!(format!("{}_3", told.as_str().unwrap()), Iterations { method, steps: 3 }.name());
            looped_testing::baseline_is_causal(&Iterations { method, steps: 3 });
        }
        let mut problems = Problems::new();
        Iterations { method: Method::Cg, steps: 0 }.validate(&mut problems);
        assert_eq!(problems.to_string(), "steps: is 0; allowed: 1 to 100000");
    }
}
