//! Least squares, of minimum norm.

use faer::Mat;
use looped_core::{Baseline, Error, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use super::{dot, one_by_one};
use crate::triangle::Triangle;

/// Singular values below this part of the largest count as 0.
///
/// The data is f32: rows that repeat or depend on each other exactly leave about 1e-16, rows that are merely close at
/// least about 1e-8. Anything between tells the two apart.
const RANK_TOLERANCE: f64 = 1e-12;

/// Ordinary least squares; with fewer points than dimensions, the solution of minimum norm.
///
/// For w ~ N(0, I) and no noise the expected error with k < d examples is that of the part of w outside the span of
/// the seen x: E (w.x)^2 / d = (d - k) / d. Agrees with `numpy.linalg.lstsq`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeastSquares {}

#[typetag::serde(name = "least_squares")]
impl Baseline for LeastSquares {
    fn name(&self) -> String {
        "least_squares".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let seen = Triangle::new(prompt.dims);
        one_by_one(prompt, seen, |seen, x| Ok(dot(&minimum_norm(seen)?, x)), |seen, x, y| seen.add(x, y))
    }
}

/// The weights of least squares over all points of a prompt; of minimum norm where the points leave a choice.
///
/// # Errors
/// If the singular values can't be found.
pub fn least_squares_weights(prompt: Prompt<'_>) -> Result<Vec<f64>> {
    let mut seen = Triangle::new(prompt.dims);
    prompt.xs.chunks_exact(prompt.dims).zip(prompt.ys).for_each(|(x, &y)| seen.add(x, y));
    let mut w = minimum_norm(&seen)?;
    w.resize(prompt.dims, 0.0);
    Ok(w)
}

/// The shortest w among those that minimise |Rw - z|: V S^+ U^T z; empty, which stands for 0, if every x was 0.
fn minimum_norm(seen: &Triangle) -> Result<Vec<f64>> {
    let rows = seen.rows();
    let Some(dims) = rows.first().map(|(row, _)| row.len()) else { return Ok(Vec::new()) };
    let svd = Mat::from_fn(rows.len(), dims, |i, j| rows[i].0[j]).thin_svd().map_err(|error| {
        Error::Data(format!("the singular values of the points can't be found: {error:?}"))
    })?;
    let (u, v, singular_values) = (svd.U(), svd.V(), svd.S().column_vector());
    let mut w = vec![0.0; dims];
    for (k, &value) in singular_values.iter().enumerate() {
        if value <= RANK_TOLERANCE * singular_values[0] {
            break;
        }
        let along: f64 = rows.iter().enumerate().map(|(i, (_, z))| u[(i, k)] * z).sum();
        w.iter_mut().enumerate().for_each(|(j, w)| *w += v[(j, k)] * along / value);
    }
    Ok(w)
}

looped_core::register!(Baseline, "least_squares", LeastSquares);
