//! Conjugate gradients.

use super::{Problem, Solver, add, times};
use crate::eigen::dot;

/// A residual below this part of b is rounding: it is solved.
const SOLVED: f64 = 1e-13;

/// Conjugate gradients (Hestenes and Stiefel, 1952): after k steps the best weights in the span of b, S b, ..., S^(k-1) b. So it is least squares after as
/// many steps as there are coordinates.
#[derive(Clone, Copy, Debug)]
pub struct ConjugateGradients {}

impl Solver for ConjugateGradients {
    fn name(&self) -> String {
        "cg".into()
    }

    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        if problem.bounds().is_none() {
            return problem.nothing(steps);
        }
        let mut w = vec![0.0; problem.dims()];
        // Without what rounding leaves of b outside of the span of the examples.
        let mut residual = problem.eigen.back(&problem.along);
        let mut direction = residual.clone();
        let (whole, mut square) = (dot(&residual, &residual), dot(&residual, &residual));
        // The residuals so far, of length 1.
        let mut earlier: Vec<Vec<f64>> = Vec::new();
        let mut iterates = Vec::with_capacity(steps);
        for _ in 0..steps {
            let turned = times(problem.gram(), &direction);
            let curvature = dot(&direction, &turned);
            if square > whole * SOLVED * SOLVED && curvature > 0.0 {
                let size = square / curvature;
                add(&mut w, size, &direction);
                earlier.push(residual.iter().map(|r| r / square.sqrt()).collect());
                add(&mut residual, -size, &turned);
                // Exact residuals are orthogonal; where S is ill-conditioned, rounding would make least squares take more steps. Twice is enough (Kahan).
                for one in earlier.iter().chain(&earlier) {
                    let along = dot(one, &residual);
                    add(&mut residual, -along, one);
                }
                let next = dot(&residual, &residual);
                direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / square * *d);
                square = next;
            }
            iterates.push(w.clone());
        }
        iterates
    }
}
