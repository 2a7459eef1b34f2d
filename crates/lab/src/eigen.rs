//! Eigenvalues of small symmetric matrices.

/// Rounds over all pairs; a matrix of 50 rows takes about ten.
const ROUNDS: usize = 60;

/// A symmetric matrix A = V diag(values) V^T.
#[derive(Clone, Debug)]
pub(crate) struct Eigen {
    /// The eigenvalues, in no order.
    pub(crate) values: Vec<f64>,
    /// (n, n): row i is the eigenvector of `values[i]`, of length 1.
    pub(crate) vectors: Vec<f64>,
}

impl Eigen {
    /// The decomposition of `a` (n, n; row-major, symmetric), by Jacobi's rotations (Golub and Van Loan, *Matrix Computations*, section 8.5).
    pub(crate) fn of(mut a: Vec<f64>, n: usize) -> Self {
        let mut vectors = vec![0.0; n * n];
        (0..n).for_each(|i| vectors[i * n + i] = 1.0);
        let size: f64 = a.iter().map(|v| v * v).sum();
        for _ in 0..ROUNDS {
            let off: f64 =
                (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
            if off <= 1e-32 * size || !off.is_finite() {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    rotate(&mut a, &mut vectors, n, (p, q));
                }
            }
        }
        Self { values: (0..n).map(|i| a[i * n + i]).collect(), vectors }
    }

    /// The coordinates of `x` along the eigenvectors: V^T x.
    pub(crate) fn along(&self, x: &[f64]) -> Vec<f64> {
        self.vectors.chunks_exact(x.len()).map(|v| dot(v, x)).collect()
    }

    /// The vector of these coordinates: V c.
    pub(crate) fn back(&self, coordinates: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; coordinates.len()];
        for (v, c) in self.vectors.chunks_exact(coordinates.len()).zip(coordinates) {
            x.iter_mut().zip(v).for_each(|(x, v)| *x += c * v);
        }
        x
    }
}

/// Makes the entry (p, q) 0.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, (p, q): (usize, usize)) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let half = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let tan = half.signum() / (half.abs() + half.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = cos * tan;
    let turn = |x: &mut f64, y: &mut f64| (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    for k in 0..n {
        let (mut x, mut y) = (a[k * n + p], a[k * n + q]);
        turn(&mut x, &mut y);
        (a[k * n + p], a[k * n + q]) = (x, y);
    }
    for rows in [a, vectors] {
        for k in 0..n {
            let (mut x, mut y) = (rows[p * n + k], rows[q * n + k]);
            turn(&mut x, &mut y);
            (rows[p * n + k], rows[q * n + k]) = (x, y);
        }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The cosine of two vectors; 1 where both are 0, and 0 where one is.
pub(crate) fn cosine(a: &[f64], b: &[f64]) -> f64 {
    match (dot(a, a).sqrt(), dot(b, b).sqrt()) {
        (0.0, 0.0) => 1.0,
        (0.0, _) | (_, 0.0) => 0.0,
        (of_a, of_b) => dot(a, b) / of_a / of_b,
    }
}

#[cfg(test)]
mod tests {
    use looped_core::Rng;

    use super::*;

    #[test]
    fn a_matrix_is_put_together_again_from_its_eigenvalues_and_vectors() {
        let mut rng = Rng::stream(1, "eigen", 0);
        for n in [1, 2, 5, 20] {
            let half: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
            let a: Vec<f64> = (0..n * n).map(|i| half[i] + half[i % n * n + i / n]).collect();
            let eigen = Eigen::of(a.clone(), n);
            for column in 0..n {
                let unit: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == column))).collect();
                let scaled: Vec<f64> =
                    eigen.along(&unit).iter().zip(&eigen.values).map(|(c, l)| c * l).collect();
                let back = eigen.back(&scaled);
                for row in 0..n {
                    assert!((back[row] - a[row * n + column]).abs() < 1e-12, "{n}: {row}, {column}");
                }
            }
        }
    }

    #[test]
    fn cosines_of_nothing() {
        assert_eq!(cosine(&[0.0; 2], &[0.0; 2]), 1.0);
        assert_eq!(cosine(&[0.0; 2], &[1.0, 2.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[2.0, 0.0]) - 0.5f64.sqrt()).abs() < 1e-15);
    }
}
