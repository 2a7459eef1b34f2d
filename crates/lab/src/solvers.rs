//! Iterative solvers of least squares, each with its weights after every step.
//!
//! All begin at w = 0 and minimise |Xw - y|^2 / 2, whose gradient is S w - b with S = X^T X and b = X^T y. Where S is singular (fewer examples
//! than coordinates) they stay in the span of the examples, and end at the shortest solution. There "smallest eigenvalue" means the smallest that
//! isn't 0.
//!
//! A solver of one's own implements [`Solver`] and is given to [`match_solvers`](crate::match_solvers) beside these.

mod descent;
mod krylov;
mod momentum;
mod newton;
mod preconditioned;

use std::fmt::Debug;

use crate::eigen::{Eigen, dot};

pub use descent::{GradientDescent, Step};
pub use krylov::ConjugateGradients;
pub use momentum::{Chebyshev, HeavyBall};
pub use newton::NewtonSchulz;
pub use preconditioned::Preconditioned;

/// Eigenvalues below this part of the largest count as 0: the examples are f32, and what repeats leaves about 1e-16.
const RANK_TOLERANCE: f64 = 1e-12;

/// An iterative solver.
pub trait Solver: Debug + Send + Sync {
    /// The name in tables and files, as in `heavy_ball`.
    fn name(&self) -> String;

    /// The weights (dims) after each of `steps` steps from w = 0; the first is after one step. Numbers that aren't finite mean that it diverges.
    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>>;
}

/// Least squares on some examples.
#[derive(Clone, Debug)]
pub struct Problem {
    dims: usize,
    /// S = X^T X, (dims, dims).
    gram: Vec<f64>,
    /// b = X^T y, (dims).
    moment: Vec<f64>,
    eigen: Eigen,
    /// b along the eigenvectors; 0 where the eigenvalue is.
    along: Vec<f64>,
}

impl Problem {
    /// The problem of examples `xs` (examples, dims; row-major) and `ys` (examples).
    #[must_use]
    pub fn new(xs: &[f32], ys: &[f32], dims: usize) -> Self {
        let (mut gram, mut moment) = (vec![0.0; dims * dims], vec![0.0; dims]);
        for (x, &y) in xs.chunks_exact(dims).zip(ys) {
            for (i, &a) in x.iter().enumerate() {
                moment[i] += f64::from(a) * f64::from(y);
                x.iter().enumerate().for_each(|(j, &b)| gram[i * dims + j] += f64::from(a) * f64::from(b));
            }
        }
        Self::of(gram, moment)
    }

    /// The problem of S and b.
    #[must_use]
    pub fn of(gram: Vec<f64>, moment: Vec<f64>) -> Self {
        let dims = moment.len();
        let mut eigen = Eigen::of(gram.clone(), dims);
        let negligible = RANK_TOLERANCE * eigen.values.iter().copied().fold(0.0, f64::max);
        eigen.values.iter_mut().filter(|value| **value <= negligible).for_each(|value| *value = 0.0);
        let mut along = eigen.along(&moment);
        along.iter_mut().zip(&eigen.values).filter(|(_, value)| **value == 0.0).for_each(|(b, _)| *b = 0.0);
        Self { dims, gram, moment, eigen, along }
    }

    /// Coordinates of x.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// S = X^T X, (dims, dims).
    #[must_use]
    pub fn gram(&self) -> &[f64] {
        &self.gram
    }

    /// b = X^T y, (dims).
    #[must_use]
    pub fn moment(&self) -> &[f64] {
        &self.moment
    }

    /// The smallest eigenvalue of S that isn't 0, and the largest; `None` where all are 0.
    #[must_use]
    pub fn bounds(&self) -> Option<(f64, f64)> {
        let values = || self.eigen.values.iter().copied().filter(|value| *value > 0.0);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        (most > 0.0).then_some((least, most))
    }

    /// The shortest weights of least squares, (dims).
    #[must_use]
    pub fn solution(&self) -> Vec<f64> {
        let coordinates: Vec<f64> = self
            .eigen
            .values
            .iter()
            .zip(&self.along)
            .map(|(&l, b)| if l > 0.0 { b / l } else { 0.0 })
            .collect();
        self.eigen.back(&coordinates)
    }

    /// As many times the weights 0: what a solver does where there is nothing to solve.
    fn nothing(&self, steps: usize) -> Vec<Vec<f64>> {
        vec![vec![0.0; self.dims]; steps]
    }

    /// Steps that follow from the coordinates along each eigenvector alone: `next` takes the eigenvalue and the coordinates of w before (`now` and
    /// one step earlier) with those of b, and the number of the step from 0 on.
    fn spectral(&self, steps: usize, next: impl Fn(usize, f64, f64, [f64; 2]) -> f64) -> Vec<Vec<f64>> {
        let (mut before, mut now) = (vec![0.0; self.dims], vec![0.0; self.dims]);
        let mut iterates = Vec::with_capacity(steps);
        for step in 0..steps {
            let each = self.eigen.values.iter().zip(&self.along).zip(now.iter().zip(&before));
            let after = each.map(|((&l, &b), (&w, &earlier))| next(step, l, b, [w, earlier])).collect();
            before = std::mem::replace(&mut now, after);
            iterates.push(self.eigen.back(&now));
        }
        iterates
    }
}

/// The prediction of weights at x.
pub(crate) fn predict(w: &[f64], x: &[f32]) -> f64 {
    w.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum()
}

/// a + factor b, in place.
fn add(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

/// S x
fn times(gram: &[f64], x: &[f64]) -> Vec<f64> {
    gram.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

#[cfg(test)]
mod tests;
