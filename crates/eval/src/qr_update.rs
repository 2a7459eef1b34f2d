//! Least-squares problems that grow by a row at a time.

/// The triangular factor R of a matrix X = QR, and z = Q^T y, brought up to date with each new row of (X, y).
///
/// min |Xw - y| and min |Rw - z| have the same solutions, but the second never grows beyond `dims` rows. A new row is
/// rotated into R element by element (Givens; Golub and Van Loan, *Matrix Computations*, section 6.5.3), which is
/// backward stable: unlike X^T X it squares no condition number.
pub(crate) struct QrUpdate {
    dims: usize,
    /// (dims, dims), row-major; rows not reached yet are 0.
    r: Vec<f64>,
    /// (dims).
    z: Vec<f64>,
    /// The row being rotated in.
    row: Vec<f64>,
}

impl QrUpdate {
    /// No rows yet.
    pub(crate) fn new(dims: usize) -> Self {
        Self { dims, r: vec![0.0; dims * dims], z: vec![0.0; dims], row: vec![0.0; dims] }
    }

    /// As though the rows `size` times the identity had been added, with y = 0: adds |size w|^2 to what is minimised.
    pub(crate) fn with_penalty(dims: usize, size: f64) -> Self {
        let mut update = Self::new(dims);
        update.r.iter_mut().step_by(dims + 1).for_each(|diagonal| *diagonal = size);
        update
    }

    /// Adds the row (x, y).
    pub(crate) fn add(&mut self, x: &[f32], y: f32) {
        self.row.iter_mut().zip(x).for_each(|(to, &from)| *to = f64::from(from));
        let mut y = f64::from(y);
        for j in 0..self.dims {
            if self.row[j] == 0.0 {
                continue;
            }
            let rest = j * self.dims + j..(j + 1) * self.dims;
            let (upper, lower) = (&mut self.r[rest], &mut self.row[j..]);
            // The values come from f32, so their squares can't overflow.
            let length = (upper[0] * upper[0] + lower[0] * lower[0]).sqrt();
            let (cos, sin) = (upper[0] / length, lower[0] / length);
            for (a, b) in upper.iter_mut().zip(lower) {
                (*a, *b) = (cos * *a + sin * *b, cos * *b - sin * *a);
            }
            (self.z[j], y) = (cos * self.z[j] + sin * y, cos * y - sin * self.z[j]);
        }
    }

    /// How wide the rows are.
    pub(crate) fn dims(&self) -> usize {
        self.dims
    }

    /// The rows of R that have been reached, each with its z: at most min(rows added, dims) of them.
    pub(crate) fn rows(&self) -> Vec<(&[f64], f64)> {
        let rows = self.r.chunks_exact(self.dims).zip(&self.z);
        rows.filter(|(row, _)| row.iter().any(|&v| v != 0.0)).map(|(row, &z)| (row, z)).collect()
    }

    /// The w with Rw = z, by back substitution; R's diagonal must have no 0 (see [`QrUpdate::with_penalty`]).
    pub(crate) fn solve(&self) -> Vec<f64> {
        let mut w = self.z.clone();
        for j in (0..self.dims).rev() {
            let row = &self.r[j * self.dims..(j + 1) * self.dims];
            let known: f64 = row[j + 1..].iter().zip(&w[j + 1..]).map(|(r, w)| r * w).sum();
            w[j] = (w[j] - known) / row[j];
        }
        w
    }
}
