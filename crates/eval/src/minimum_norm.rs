//! The shortest solution of a least-squares problem.

use crate::qr_update::QrUpdate;

/// Singular values below this part of the largest count as 0.
///
/// The data is f32: rows that repeat or depend on each other exactly leave about 1e-16, rows that are merely close at
/// least about 1e-8. Anything between tells the two apart.
const RANK_TOLERANCE: f64 = 1e-12;
/// Two rows whose cosine is at most this are orthogonal.
const ORTHOGONAL: f64 = 1e-15;
/// Most rounds over all pairs of rows; rarely are ten needed.
const ROUNDS: usize = 60;

/// The shortest w (dims) among those that minimise |Rw - z|.
///
/// Rows of (R, z) are rotated in pairs until those of R are orthogonal (one-sided Jacobi; Golub and Van Loan, *Matrix
/// Computations*, section 8.6.3). Their lengths are then the singular values, and w is the sum of z / |row|^2 times the
/// row, over the rows that aren't 0.
pub(crate) fn minimum_norm(seen: &QrUpdate) -> Vec<f64> {
    let mut rows: Vec<(Vec<f64>, f64)> = seen.rows().into_iter().map(|(row, z)| (row.to_vec(), z)).collect();
    let largest = rows.iter().map(|(row, _)| square(row)).fold(0.0, f64::max);
    // Rotations keep the sum of squares, so the largest singular value is at least that of the longest row.
    let negligible = largest * RANK_TOLERANCE * RANK_TOLERANCE;
    for _ in 0..ROUNDS {
        if !orthogonalise(&mut rows, negligible) {
            break;
        }
    }
    let longest = rows.iter().map(|(row, _)| square(row)).fold(0.0, f64::max);
    let mut w = vec![0.0; seen.dims()];
    for (row, z) in &rows {
        let length = square(row);
        if length > longest * RANK_TOLERANCE * RANK_TOLERANCE {
            w.iter_mut().zip(row).for_each(|(w, r)| *w += r * z / length);
        }
    }
    w
}

/// Rotates each pair of rows that isn't orthogonal yet; whether there was one.
fn orthogonalise(rows: &mut [(Vec<f64>, f64)], negligible: f64) -> bool {
    let mut rotated = false;
    for second in 1..rows.len() {
        let (before, after) = rows.split_at_mut(second);
        let (b, b_z) = &mut after[0];
        for (a, a_z) in before {
            let (aa, bb) = (square(a), square(b));
            let ab: f64 = a.iter().zip(&*b).map(|(a, b)| a * b).sum();
            if aa.min(bb) <= negligible || ab.abs() <= ORTHOGONAL * (aa * bb).sqrt() {
                continue;
            }
            rotated = true;
            // The smaller of the two angles that make the rows orthogonal.
            let half = (bb - aa) / (2.0 * ab);
            let tan = half.signum() / (half.abs() + half.hypot(1.0));
            let cos = 1.0 / tan.hypot(1.0);
            let sin = cos * tan;
            for (a, b) in a.iter_mut().zip(b.iter_mut()).chain(std::iter::once((a_z, &mut *b_z))) {
                (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
            }
        }
    }
    rotated
}

fn square(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum()
}

#[cfg(test)]
mod tests {
    use looped_core::Rng;

    use super::*;

    /// The normal equations hold, and w lies in the span of the rows, so that no other solution is shorter.
    #[test]
    fn it_solves_the_normal_equations_within_the_span_of_the_points() {
        let mut rng = Rng::stream(3, "minimum norm", 0);
        for dims in [1, 2, 5, 20] {
            for points in 0..=2 * dims + 1 {
                let xs: Vec<Vec<f32>> = (0..points).map(|_| rng.normals(dims)).collect();
                let ys = rng.normals(points);
                let mut seen = QrUpdate::new(dims);
                xs.iter().zip(&ys).for_each(|(x, &y)| seen.add(x, y));
                let w = minimum_norm(&seen);
                let residual = |x: &[f32], y: f32| f64::from(y) - dot(x, &w);
                for j in 0..dims {
                    let gradient: f64 =
                        xs.iter().zip(&ys).map(|(x, &y)| f64::from(x[j]) * residual(x, y)).sum();
                    assert!(gradient.abs() < 1e-8, "{points} points of {dims}: gradient {gradient}");
                }
                let mut span = QrUpdate::new(dims);
                xs.iter().for_each(|x| span.add(x, dot(x, &w) as f32));
                let again = minimum_norm(&span);
                let apart = w.iter().zip(&again).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(
                    apart < 1e-3 * (1.0 + square(&w).sqrt()),
                    "{points} points of {dims}: {apart} outside the span"
                );
            }
        }
    }

    #[test]
    fn rows_that_depend_on_each_other_count_once() {
        let mut seen = QrUpdate::new(3);
        for (x, y) in [([1.0, 2.0, 0.0], 5.0), ([2.0, 4.0, 0.0], 10.0), ([0.0, 0.0, 0.0], 0.0)] {
            seen.add(&x, y);
        }
        let w = minimum_norm(&seen);
        let expected = [1.0, 2.0, 0.0];
        assert!(w.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-12), "{w:?}");
    }

    fn dot(x: &[f32], w: &[f64]) -> f64 {
        x.iter().zip(w).map(|(&x, w)| f64::from(x) * w).sum()
    }
}
