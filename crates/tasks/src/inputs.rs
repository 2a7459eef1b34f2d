//! Where functions are evaluated: the points x of a prompt.

use looped_core::Rng;

use crate::Distribution;
use crate::vectors::normals;

/// The points of a prompt, before they are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) distribution: &'a Distribution,
    pub(crate) points: usize,
    /// Coordinates that are drawn.
    pub(crate) dims: usize,
    /// Coordinates of x; those beyond `dims` are 0.
    pub(crate) width: usize,
}

impl Inputs<'_> {
    /// Refuses points that can't be drawn.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.distribution.most_points(self.dims) {
            Some(most) if self.points > most => Err(format!(
                "{} asks for {} points of {} coordinates; allowed: at most {most} points",
                self.distribution.name(),
                self.points,
                self.dims
            )),
            _ => Ok(()),
        }
    }

    /// Appends the points of `prompt`, row by row.
    ///
    /// The normal values and the shift (a quadrant, a basis, ...) come from streams of their own, so that every
    /// distribution shifts the same points.
    pub(crate) fn draw(&self, prompt: u64, xs: &mut Vec<f32>) {
        let mut rows = normals(self.points * self.dims, &mut Rng::stream(prompt, "inputs", 0));
        self.shift(&mut rows, &mut Rng::stream(prompt, "shift", 0));
        for row in rows.chunks_exact(self.dims) {
            xs.extend(row.iter().map(|&x| x as f32));
            xs.extend(std::iter::repeat_n(0.0, self.width - self.dims));
        }
    }

    /// Turns standard normal rows into those of the distribution.
    fn shift(&self, rows: &mut [f64], rng: &mut Rng) {
        let dims = self.dims;
        let Some(examples) = rows.len().checked_sub(dims) else { return };
        match self.distribution {
            Distribution::Standard {}
            | Distribution::ScaledOutputs { .. }
            | Distribution::LabelNoise { .. } => {}
            Distribution::ScaledInputs { factor } => rows.iter_mut().for_each(|x| *x *= factor),
            Distribution::RandomQuadrants {} => fold(&mut rows[..examples], &signs(dims, rng)),
            Distribution::OppositeQuadrants {} => {
                let signs = signs(dims, rng);
                fold(rows, &signs);
                rows[examples..].iter_mut().for_each(|x| *x = -*x);
            }
            Distribution::OrthogonalQuery {} => {
                let (examples, query) = rows.split_at_mut(examples);
                let length = norm(query);
                remove(query, &orthonormal(examples.chunks_exact(dims).map(<[f64]>::to_vec)));
                let scale = length / norm(query);
                query.iter_mut().for_each(|x| *x *= scale);
            }
            Distribution::RepeatedQuery {} => {
                if examples > 0 {
                    let start = dims * rng.below(examples / dims);
                    rows.copy_within(start..start + dims, examples);
                }
            }
            Distribution::HalfSubspace {} => stretch(rows, &vec![1.0; (dims / 2).max(1)], dims, rng),
            Distribution::SkewedCovariance { condition } => {
                // Of A; those of the covariance are their squares.
                let eigenvalue = |i: usize| match condition {
                    None => 1.0 / (i + 1) as f64,
                    Some(condition) => condition.powf(-0.5 * i as f64 / (dims - 1).max(1) as f64),
                };
                let eigenvalues: Vec<f64> = (0..dims).map(eigenvalue).collect();
                stretch(rows, &eigenvalues, dims, rng);
            }
        }
    }
}

/// A random sign per coordinate.
fn signs(dims: usize, rng: &mut Rng) -> Vec<f64> {
    (0..dims).map(|_| if rng.below(2) == 0 { -1.0 } else { 1.0 }).collect()
}

/// Reflects rows into the quadrant of `signs`.
fn fold(rows: &mut [f64], signs: &[f64]) {
    for row in rows.chunks_exact_mut(signs.len()) {
        row.iter_mut().zip(signs).for_each(|(x, sign)| *x = x.abs() * sign);
    }
}

/// Multiplies rows by a symmetric matrix with a random basis and the given eigenvalues (the rest 0), scaled so that
/// the squared length of standard normal rows keeps its mean.
fn stretch(rows: &mut [f64], eigenvalues: &[f64], dims: usize, rng: &mut Rng) {
    let basis = orthonormal(eigenvalues.iter().map(|_| normals(dims, rng)));
    let scale = (dims as f64 / eigenvalues.iter().map(|e| e * e).sum::<f64>()).sqrt();
    for row in rows.chunks_exact_mut(dims) {
        let along: Vec<f64> = basis.iter().map(|direction| product(direction, row)).collect();
        row.fill(0.0);
        for ((direction, along), eigenvalue) in basis.iter().zip(along).zip(eigenvalues) {
            add(row, scale * eigenvalue * along, direction);
        }
    }
}

/// An orthonormal basis of what `rows` span (Gram-Schmidt): uniformly random if they are standard normal.
pub(crate) fn orthonormal(rows: impl Iterator<Item = Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut row in rows {
        remove(&mut row, &basis);
        let length = norm(&row);
        row.iter_mut().for_each(|x| *x /= length);
        basis.push(row);
    }
    basis
}

/// Takes from `row` what lies along an orthonormal basis.
pub(crate) fn remove(row: &mut [f64], basis: &[Vec<f64>]) {
    // Once leaves rounding errors, which matter where little of the row is left; twice is enough (Kahan).
    for _ in 0..2 {
        for direction in basis {
            add(row, -product(direction, row), direction);
        }
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    product(a, a).sqrt()
}

fn add(row: &mut [f64], factor: f64, direction: &[f64]) {
    row.iter_mut().zip(direction).for_each(|(x, d)| *x += factor * d);
}

#[cfg(test)]
mod tests {
    use crate::LinearRegression;
    use crate::checks::{draw, moments_are};

    /// Shifts have their tests beside [`Shifted`](crate::Shifted).
    #[test]
    fn x_is_standard_normal_and_independent_and_0_beyond_dims() {
        let prompts = draw(&LinearRegression {}, 5000, 2, 3, 5);
        let x =
            |i: usize, point: usize, coordinate: usize| f64::from(prompts.get(i).0[5 * point + coordinate]);
        for coordinate in 0..3 {
            moments_are((0..5000).map(|i| x(i, 1, coordinate)), 0.0, 1.0);
        }
        // Products of independent values: coordinates, points, prompts.
        moments_are((0..5000).map(|i| x(i, 0, 0) * x(i, 0, 1)), 0.0, 1.0);
        moments_are((0..5000).map(|i| x(i, 0, 0) * x(i, 1, 0)), 0.0, 1.0);
        moments_are((0..4999).map(|i| x(i, 0, 0) * x(i + 1, 0, 0)), 0.0, 1.0);
        assert!(prompts.xs.chunks(5).all(|x| x[3..] == [0.0, 0.0]));
    }
}
