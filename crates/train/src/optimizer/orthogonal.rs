//! Newton-Schulz steps: a matrix made nearly orthogonal.

use looped_ops::{Kernels, PackedMatrix, Scratch, Start};

/// The quintic iteration whose slope at 0 is steepest: singular values come to lie around 1, between 0.7 and 1.2.
const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// Added to the Frobenius norm that a matrix is divided by.
const NORM_EPS: f32 = 1e-7;

/// A matrix that is nearly orthogonal, with the singular vectors of `of`: X <- aX + (bA + cA^2)X with A = XX^T, from X = of / |of|.
///
/// # Shapes
/// `of` and what comes of it (rows, columns), row-major.
pub(super) fn orthogonal(of: &[f32], [rows, columns]: [usize; 2], steps: usize) -> Vec<f32> {
    // XX^T is the smaller of the two products where X is wide.
    if rows > columns {
        let wide = orthogonal(&transposed(of, columns), [columns, rows], steps);
        return transposed(&wide, rows);
    }
    let [a, b, c] = COEFFICIENTS;
    let norm = of.iter().map(|x| x * x).sum::<f32>().sqrt() + NORM_EPS;
    let mut x: Vec<f32> = of.iter().map(|x| x / norm).collect();
    let (mut square, mut fourth) = (vec![0.0; rows * rows], vec![0.0; rows * rows]);
    let (mut product, mut scratch) = (vec![0.0; x.len()], Scratch::new());
    let kernels = Kernels::best();
    for _ in 0..steps {
        let x_transposed = PackedMatrix::linear_forward(kernels, &x, rows, columns);
        kernels.matmul(&x, &x_transposed, Start::Zero, &mut square, &mut scratch);
        let packed = PackedMatrix::linear_backward(kernels, &square, rows, rows);
        kernels.matmul(&square, &packed, Start::Zero, &mut fourth, &mut scratch);
        square.iter_mut().zip(&fourth).for_each(|(square, fourth)| *square = *square * b + fourth * c);
        let packed = PackedMatrix::linear_backward(kernels, &x, rows, columns);
        kernels.matmul(&square, &packed, Start::Zero, &mut product, &mut scratch);
        x.iter_mut().zip(&product).for_each(|(x, product)| *x = *x * a + product);
    }
    x
}

/// Of a row-major matrix with so many columns.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A B, of matrices of (rows, inner) and (inner, columns).
    fn times(a: &[f64], b: &[f64], [rows, inner, columns]: [usize; 3]) -> Vec<f64> {
        let at = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            (0..inner).map(|k| a[row * inner + k] * b[k * columns + column]).sum()
        };
        (0..rows * columns).map(at).collect()
    }

    /// The steps as they are written, in f64: of X of (rows, columns), with rows <= columns.
    fn expected(of: &[f64], [rows, columns]: [usize; 2], steps: usize) -> Vec<f64> {
        let [a, b, c] = COEFFICIENTS.map(f64::from);
        let norm = of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut x: Vec<f64> = of.iter().map(|x| x / norm).collect();
        for _ in 0..steps {
            let across: Vec<f64> = (0..columns * rows).map(|i| x[i % rows * columns + i / rows]).collect();
            let square = times(&x, &across, [rows, columns, rows]);
            let fourth = times(&square, &square, [rows; 3]);
            let sum: Vec<f64> =
                square.iter().zip(fourth).map(|(square, fourth)| b * square + c * fourth).collect();
            let product = times(&sum, &x, [rows, rows, columns]);
            x.iter_mut().zip(product).for_each(|(x, product)| *x = a * *x + product);
        }
        x
    }

    #[test]
    fn the_steps_are_those_of_the_formula_for_wide_and_for_tall_matrices() {
        for [rows, columns] in [[1, 1], [3, 3], [7, 45], [32, 96]] {
            let of: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.7).sin() + 0.1).collect();
            let exact: Vec<f64> = of.iter().map(|x| f64::from(*x)).collect();
            let expected = expected(&exact, [rows, columns], 5);
            let wide = orthogonal(&of, [rows, columns], 5);
            let tall = transposed(&orthogonal(&transposed(&of, columns), [columns, rows], 5), rows);
            assert!(wide == tall || rows == columns);
            let apart =
                wide.iter().zip(&expected).map(|(x, y)| (f64::from(*x) - y).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-5, "{rows} x {columns}: {apart}");
        }
    }

    #[test]
    fn nothing_becomes_of_zeros() {
        assert!(orthogonal(&[0.0; 12], [3, 4], 5).iter().all(|x| *x == 0.0));
    }
}
