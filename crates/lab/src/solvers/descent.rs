//! Gradient descent.

use super::{Problem, Solver};

/// w <- w - step (S w - b).
#[derive(Clone, Copy, Debug)]
pub struct GradientDescent {
    /// The step.
    pub step: Step,
}

/// How large a step of gradient descent is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// 2 / (smallest + largest eigenvalue of S): the constant step that converges fastest, chosen for each problem.
    Optimal,
    /// 1 / largest eigenvalue of S, for each problem.
    InverseLargest,
    /// One step for all problems.
    Single(f64),
}

impl GradientDescent {
    /// The size of a step on a problem; `None` where there is nothing to solve.
    fn size(self, problem: &Problem) -> Option<f64> {
        let (least, most) = problem.bounds()?;
        Some(match self.step {
            Step::Optimal => 2.0 / (least + most),
            Step::InverseLargest => 1.0 / most,
            Step::Single(size) => size,
        })
    }
}

impl Solver for GradientDescent {
    fn name(&self) -> String {
        let name = match self.step {
            Step::Optimal => "gd",
            Step::InverseLargest => "gd_safe",
            Step::Single(_) => "gd_single",
        };
        name.into()
    }

    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        match self.size(problem) {
            Some(size) => problem.spectral(steps, |_, l, b, [w, _]| w - size * (l * w - b)),
            None => problem.nothing(steps),
        }
    }
}
