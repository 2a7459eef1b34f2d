//! Iterative solvers as baselines: stopped after some steps, or with a step for each loop of the model.

use looped_core::{Baseline, ByLoop, Error, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::solvers::{
    Chebyshev, ConjugateGradients, GradientDescent, HeavyBall, NewtonSchulz, Problem, Solver, Step, predict,
};

/// Most steps of a solver.
const MOST: usize = 100_000;

/// An iterative solver of least squares, stopped after some steps from w = 0.
///
/// It is fitted afresh on the points before each query, as `looped match` does.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iterations {
    /// The solver.
    pub method: Method,
    /// How many steps it takes: a number, or "loops" for a step in each loop of the model.
    pub steps: Steps,
}

/// How many steps a solver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "steps must be a number from 1 to 100000, or \"loops\"")]
pub enum Steps {
    /// As many, whatever the model does.
    Fixed(#[schemars(range(min = 1, max = 100_000))] usize),
    /// One in each loop of the model, so that it has a curve over loops too.
    Each(Loops),
}

/// The word for a step in each loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loops {
    /// A step in each loop of the model.
    Loops,
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
        let solver = self.method.solver().name();
        match self.steps {
            Steps::Fixed(steps) => format!("{solver}_{steps}"),
            Steps::Each(_) => format!("{solver}_loops"),
        }
    }

    fn validate(&self, problems: &mut Problems) {
        if let Steps::Fixed(steps) = self.steps {
            let fits = (1..=MOST).contains(&steps);
            problems.require(fits, "steps", || format!("is {steps}; allowed: 1 to {MOST}, or \"loops\""));
        }
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let Steps::Fixed(steps) = self.steps else {
            let why = "a step for each loop takes a model beside it, and there is none; allowed for steps: a number";
            return Err(Error::Data(why.into()));
        };
        let last = |query| self.iterates(prompt, query, steps).pop().unwrap_or_default();
        Ok((0..prompt.ys.len()).map(|query| at_query(&last(query), prompt, query)).collect())
    }

    fn by_loop(&self) -> Option<&dyn ByLoop> {
        matches!(self.steps, Steps::Each(_)).then_some(self)
    }
}

impl ByLoop for Iterations {
    fn predict_each(&self, prompt: Prompt<'_>, loops: usize) -> Result<Vec<Vec<f32>>> {
        if loops > MOST {
            let why = format!("{loops} loops ask for as many steps; a solver takes at most {MOST}");
            return Err(Error::Data(why));
        }
        let mut after = vec![Vec::with_capacity(prompt.ys.len()); loops];
        for query in 0..prompt.ys.len() {
            for (after, w) in after.iter_mut().zip(self.iterates(prompt, query, loops)) {
                after.push(at_query(&w, prompt, query));
            }
        }
        Ok(after)
    }
}

impl Iterations {
    /// The weights after each step, fitted on the points before a query.
    fn iterates(&self, prompt: Prompt<'_>, query: usize, steps: usize) -> Vec<Vec<f64>> {
        let problem = Problem::new(&prompt.xs[..query * prompt.dims], &prompt.ys[..query], prompt.dims);
        self.method.solver().iterates(&problem, steps)
    }
}

/// The prediction of weights at a query.
fn at_query(w: &[f64], prompt: Prompt<'_>, query: usize) -> f32 {
    predict(w, &prompt.xs[query * prompt.dims..][..prompt.dims]) as f32
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
        let of =
            |steps| Iterations { method: Method::Cg, steps: Steps::Fixed(steps) }.predict(prompt).unwrap();
        let apart = |a: &[f32]| a.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart(&of(5)) < 1e-4 && apart(&of(3)) > 1e-3, "{} {}", apart(&of(5)), apart(&of(3)));
    }

    #[test]
    fn a_method_is_called_in_a_table_as_its_solver_and_settings_out_of_range_are_reported() {
        for method in ALL {
            let told = serde_json::to_value(method).unwrap();
            for (steps, word) in [(Steps::Fixed(3), "3"), (Steps::Each(Loops::Loops), "loops")] {
                let solver = Iterations { method, steps };
                assert_eq!(solver.name(), format!("{}_{word}", told.as_str().unwrap()));
                looped_testing::baseline_is_causal(&solver);
            }
        }
        let mut problems = Problems::new();
        Iterations { method: Method::Cg, steps: Steps::Fixed(0) }.validate(&mut problems);
        assert_eq!(problems.to_string(), "steps: is 0; allowed: 1 to 100000, or \"loops\"");
    }

    #[test]
    fn a_step_in_each_loop_is_as_many_steps_as_there_were_loops() {
        let mut rng = Rng::stream(2, "iterations", 0);
        let (xs, ys) = (rng.normals(60), rng.normals(12));
        let prompt = Prompt { xs: &xs, ys: &ys, dims: 5 };
        for method in ALL {
            let each = Iterations { method, steps: Steps::Each(Loops::Loops) };
            let after = each.by_loop().unwrap().predict_each(prompt, 6).unwrap();
            for (index, found) in after.iter().enumerate() {
                let fixed = Iterations { method, steps: Steps::Fixed(index + 1) };
                assert!(fixed.by_loop().is_none());
                assert_eq!(found, &fixed.predict(prompt).unwrap(), "{method:?} after loop {}", index + 1);
            }
            assert!(each.predict(prompt).unwrap_err().to_string().contains("takes a model beside it"));
            assert!(each.by_loop().unwrap().predict_each(prompt, MOST + 1).is_err());
        }
    }

    #[test]
    fn steps_are_read_and_written_as_a_number_or_the_word() {
        let read = |steps: &str| {
            let text = format!(r#"{{"type":"solver","method":"cg","steps":{steps}}}"#);
            serde_json::from_str::<Box<dyn Baseline>>(&text).map(|baseline| {
                assert_eq!(serde_json::to_string(&baseline).unwrap(), text);
                baseline.name()
            })
        };
        assert_eq!((read("7").unwrap(), read("\"loops\"").unwrap()), ("cg_7".into(), "cg_loops".into()));
        for steps in ["\"loop\"", "-1", "1.5"] {
            let why = read(steps).unwrap_err().to_string();
            assert!(why.contains("steps must be a number from 1 to 100000, or \"loops\""), "{why}");
        }
    }
}
