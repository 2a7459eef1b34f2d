//! Newton's iteration for the inverse.

use super::{Problem, Solver};

/// Newton and Schulz's iteration for the inverse of S: M <- M (2 I - S M) from M = S / |S S|, w = M b. Each step squares the error, where a step of
/// descent multiplies it (Fu et al., arXiv 2310.17086, section 2). The weights "after no step" aren't 0 here but S b / |S S|, of the first M.
#[derive(Clone, Copy, Debug)]
pub struct NewtonSchulz {}

impl Solver for NewtonSchulz {
    fn name(&self) -> String {
        "newton_schulz".into()
    }

    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        let values = &problem.eigen.values;
        // Frobenius: at least the largest eigenvalue of S S, so that no error begins above 1.
        let size = values.iter().map(|l| l.powi(4)).sum::<f64>().sqrt();
        if size == 0.0 {
            return problem.nothing(steps);
        }
        // M and S have the same eigenvectors.
        let mut inverse: Vec<f64> = values.iter().map(|l| l / size).collect();
        let step = |_| {
            inverse.iter_mut().zip(values).for_each(|(m, l)| *m *= 2.0 - l * *m);
            let coordinates: Vec<f64> = inverse.iter().zip(&problem.along).map(|(m, b)| m * b).collect();
            problem.eigen.back(&coordinates)
        };
        (0..steps).map(step).collect()
    }
}
