//! Variant and seed as two factors of a logarithm.

use super::Part;

/// The model value = variant + seed + residual, by ordinary least squares, over some cells of variants and seeds.
///
/// All residuals are taken to have one variance, which is what makes it known better than from the seeds of one pair.
#[derive(Clone, Debug)]
pub struct TwoWay {
    cells: Vec<(usize, usize)>,
    variants: usize,
    /// One for each variant, then one for each seed but the first.
    parameters: usize,
    /// The inverse of X^T X, (parameters, parameters).
    inverse: Vec<f64>,
}

/// The model fitted to values.
#[derive(Clone, Debug)]
pub struct Fitted<'a> {
    model: &'a TwoWay,
    effects: Vec<f64>,
    variance: f64,
}

impl TwoWay {
    /// The model of these cells, each a (variant, seed); `None` if they don't tie all variants together, or leave no
    /// residual.
    #[must_use]
    pub fn new(cells: &[(usize, usize)]) -> Option<Self> {
        let variants = cells.iter().map(|cell| cell.0 + 1).max()?;
        let seeds = cells.iter().map(|cell| cell.1 + 1).max()?;
        let parameters = variants + seeds - 1;
        if cells.len() <= parameters {
            return None;
        }
        let mut normal = vec![0.0; parameters * parameters];
        for &cell in cells {
            let columns = columns(cell, variants);
            for &i in columns.iter().flatten() {
                columns.iter().flatten().for_each(|&j| normal[i * parameters + j] += 1.0);
            }
        }
        let inverse = inverse(normal, parameters)?;
        Some(Self { cells: cells.to_vec(), variants, parameters, inverse })
    }

    /// The degrees of freedom of the residuals.
    #[must_use]
    pub fn dof(&self) -> usize {
        self.cells.len() - self.parameters
    }

    /// Fits a value for each cell.
    ///
    /// # Panics
    /// If there are more or fewer values than cells.
    #[must_use]
    pub fn fit(&self, values: &[f64]) -> Fitted<'_> {
        assert_eq!(values.len(), self.cells.len(), "TwoWay::fit: a value for each cell");
        let mut moments = vec![0.0; self.parameters];
        for (&cell, value) in self.cells.iter().zip(values) {
            columns(cell, self.variants).iter().flatten().for_each(|&i| moments[i] += value);
        }
        let row = |row: &[f64]| row.iter().zip(&moments).map(|(a, b)| a * b).sum();
        let effects: Vec<f64> = self.inverse.chunks_exact(self.parameters).map(row).collect();
        let residual = |(&cell, value): (&(usize, usize), &f64)| {
            value - columns(cell, self.variants).iter().flatten().map(|&i| effects[i]).sum::<f64>()
        };
        let squares: f64 = self.cells.iter().zip(values).map(|pair| residual(pair).powi(2)).sum();
        Fitted { model: self, effects, variance: squares / self.dof() as f64 }
    }
}

impl Fitted<'_> {
    /// How far `variant` is above `against`.
    #[must_use]
    pub fn difference(&self, variant: usize, against: usize) -> Part {
        let TwoWay { parameters, inverse, .. } = self.model;
        let at = |i: usize, j: usize| inverse[i * parameters + j];
        let weight = at(variant, variant) + at(against, against) - 2.0 * at(variant, against);
        Part {
            centre: self.effects[variant] - self.effects[against],
            error: (self.variance * weight).max(0.0).sqrt(),
            dof: self.model.dof() as f64,
        }
    }
}

/// The parameters that a cell's value is the sum of.
fn columns((variant, seed): (usize, usize), variants: usize) -> [Option<usize>; 2] {
    [Some(variant), seed.checked_sub(1).map(|seed| variants + seed)]
}

/// The inverse of a symmetric positive definite matrix (Gauss and Jordan's); `None` if it has none.
fn inverse(mut matrix: Vec<f64>, size: usize) -> Option<Vec<f64>> {
    let mut inverse = vec![0.0; size * size];
    inverse.iter_mut().step_by(size + 1).for_each(|diagonal| *diagonal = 1.0);
    for pivot in 0..size {
        let scale = matrix[pivot * size + pivot];
        // The entries are counts: what is left of a dependent column is rounding.
        if scale < 1e-9 {
            return None;
        }
        for matrix in [&mut matrix, &mut inverse] {
            matrix[pivot * size..(pivot + 1) * size].iter_mut().for_each(|value| *value /= scale);
        }
        for row in (0..size).filter(|&row| row != pivot) {
            let factor = matrix[row * size + pivot];
            for matrix in [&mut matrix, &mut inverse] {
                for column in 0..size {
                    matrix[row * size + column] -= factor * matrix[pivot * size + column];
                }
            }
        }
    }
    Some(inverse)
}
