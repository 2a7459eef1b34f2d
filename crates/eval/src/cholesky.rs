//! Small symmetric systems.

/// Solves Ax = b for a symmetric positive definite A (n, n; row-major, the lower triangle is read) by a Cholesky
/// factorisation in place; x comes back in `b` (n). `None` if A isn't positive definite.
pub(crate) fn solve(a: &mut [f64], b: &mut [f64]) -> Option<()> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - known;
            a[i * n + j] = if i > j {
                rest / a[j * n + j]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
        let known: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - known) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - known) / a[i * n + i];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves_what_it_can_and_refuses_the_rest() {
        let matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.5, 0.6, 1.5, 3.0];
        let x = [1.0, -2.0, 0.5];
        let mut b: Vec<f64> =
            matrix.chunks_exact(3).map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect();
        solve(&mut matrix.clone(), &mut b).expect("the matrix is positive definite");
        assert!(b.iter().zip(x).all(|(b, x)| (b - x).abs() < 1e-14), "{b:?}");
        assert!(solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]).is_none());
    }
}
