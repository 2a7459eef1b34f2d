//! Gradient descent in other coordinates.

use super::{GradientDescent, Problem, Solver, Step};
use crate::eigen::{Eigen, dot};

/// Gradient descent preconditioned by the inverse of x's second moment, w <- w - step P (S w - b), with the step that converges fastest: what a looped
/// linear transformer learns (Gatmiry et al., arXiv 2410.08292). P is the same for all prompts; where the inputs are N(0, I) it is gradient descent.
#[derive(Clone, Debug)]
pub struct Preconditioned {
    dims: usize,
    /// The root of P, (dims, dims), symmetric.
    root: Vec<f64>,
}

impl Preconditioned {
    /// P is the inverse of the second moment of the inputs `xs` (any number, `dims`; row-major). Directions in which they don't extend are left alone.
    #[must_use]
    pub fn by(xs: &[f32], dims: usize) -> Self {
        let problem = Problem::new(xs, &vec![0.0; xs.len() / dims], dims);
        let count = (xs.len() / dims).max(1) as f64;
        let Eigen { values, vectors } = &problem.eigen;
        let mut root = vec![0.0; dims * dims];
        for (&value, v) in values.iter().zip(vectors.chunks_exact(dims)) {
            let scale = if value > 0.0 { (count / value).sqrt() } else { 0.0 };
            for i in 0..dims {
                (0..dims).for_each(|j| root[i * dims + j] += scale * v[i] * v[j]);
            }
        }
        Self { dims, root }
    }

    fn turned(&self, x: &[f64]) -> Vec<f64> {
        self.root.chunks_exact(self.dims).map(|row| dot(row, x)).collect()
    }
}

impl Solver for Preconditioned {
    fn name(&self) -> String {
        "gd_preconditioned".into()
    }

    /// With w = R u, R being the root of P, it is gradient descent for u on R S R and R b.
    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        // Both are symmetric, so rows are columns.
        let half: Vec<Vec<f64>> =
            problem.gram().chunks_exact(self.dims).map(|row| self.turned(row)).collect();
        let column = |j: usize| half.iter().map(|row| row[j]).collect::<Vec<f64>>();
        let gram = (0..self.dims).flat_map(|j| self.turned(&column(j))).collect();
        let turned = Problem::of(gram, self.turned(problem.moment()));
        let iterates = GradientDescent { step: Step::Optimal }.iterates(&turned, steps);
        iterates.iter().map(|u| self.turned(u)).collect()
    }
}
