//! What the estimators made of trees share: points in smartcore's types, and what of x the trees see.

use looped_core::{Error, Prompt, Result};
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Predicts every y by `fit_and_predict`, given the points before it, (points, dims) and (points), and its x, (1, dims);
/// where `signs` is set, every x is replaced by its signs.
pub(super) fn each_prefix(
    prompt: Prompt<'_>,
    signs: bool,
    fit_and_predict: impl Fn(&DenseMatrix<f64>, &Vec<f64>, &DenseMatrix<f64>) -> Result<f64>,
) -> Result<Vec<f32>> {
    let dims = prompt.dims;
    let seen = |&v: &f32| if signs && v != 0.0 { f64::from(v.signum()) } else { f64::from(v) };
    let rows = |values: &[f32]| {
        let values: Vec<f64> = values.iter().map(seen).collect();
        DenseMatrix::new(values.len() / dims, dims, values, false).map_err(failed)
    };
    let later = (1..prompt.ys.len()).map(|i| {
        let (xs, x) = (rows(&prompt.xs[..i * dims])?, rows(&prompt.xs[i * dims..(i + 1) * dims])?);
        let ys = prompt.ys[..i].iter().map(|&y| f64::from(y)).collect();
        Ok(fit_and_predict(&xs, &ys, &x)? as f32)
    });
    std::iter::once(Ok(0.0)).chain(later).take(prompt.ys.len()).collect()
}

/// What a baseline's name ends with where its trees see signs.
pub(super) const fn suffix(signs: bool) -> &'static str {
    if signs { "_signs" } else { "" }
}

pub(super) fn failed(error: Failed) -> Error {
    Error::Data(error.to_string())
}
