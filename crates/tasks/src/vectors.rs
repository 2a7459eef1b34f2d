//! Vectors of random numbers, and their products.

use looped_core::Rng;

/// w.x, x being cut to the length of w.
pub(crate) fn dot(w: &[f64], x: &[f32]) -> f64 {
    w.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum()
}

/// `n` standard normal values, unrounded.
pub(crate) fn normals(n: usize, rng: &mut Rng) -> Vec<f64> {
    (0..n).map(|_| rng.normal()).collect()
}
