//! Arrays of numpy as numbers of ours, and back.

use looped::{ModelConfig, Noise, Prompts};
use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::{Bound, PyResult, Python};

use crate::error::refused;

/// Numbers as an array of a shape; nothing is copied.
pub(crate) fn array<'py>(
    py: Python<'py>,
    values: Vec<f32>,
    shape: Vec<usize>,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    values.into_pyarray(py).reshape(shape)
}

/// Prompts of a model: xs (prompts, points, n_dims) and ys (prompts, points), in C order.
pub(crate) fn prompts(
    xs: &PyReadonlyArrayDyn<'_, f32>,
    ys: &PyReadonlyArrayDyn<'_, f32>,
    model: &ModelConfig,
    seed: u64,
) -> PyResult<Prompts> {
    let &[prompts, points, n_dims] = xs.shape() else {
        return Err(refused(format!(
            "xs has the shape {:?}; expected (prompts, points, n_dims)",
            xs.shape()
        )));
    };
    if ys.shape() != [prompts, points] {
        return Err(refused(format!(
            "ys has the shape {:?}; expected ({prompts}, {points}), as xs has it",
            ys.shape()
        )));
    }
    let (xs, ys) = (xs.as_slice()?.to_vec(), ys.as_slice()?.to_vec());
    let prompts = Prompts::pairs(xs, ys, [prompts, points, n_dims]);
    model.fit(&prompts).map_err(refused)?;
    // As `looped predict` has it.
    Ok(prompts.with_noise(Noise::new(seed, "prediction first state", 0)))
}
