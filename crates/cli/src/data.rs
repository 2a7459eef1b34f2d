//! Prompts and predictions in safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use looped_core::{ModelConfig, Prompts};
use looped_train::{decode, encode, write_atomically};

use crate::failure::{Failure, Outcome};

/// Reads `xs` (B, n, d) and `ys` (B, n).
pub(crate) fn read_prompts(path: &Path) -> Outcome<Prompts> {
    let bad = |message: String| Failure::usage(format!("--data {}: {message}", path.display()));
    let contents = std::fs::read(path).map_err(|error| bad(format!("cannot read: {error}")))?;
    let tensors = decode(&contents, path).map_err(Failure::usage)?;
    let get = |name: &str| {
        tensors
            .get(name)
            .ok_or_else(|| bad(format!("has no tensor `{name}`; it needs xs (B, n, d) and ys (B, n)")))
    };
    let (xs, ys) = (get("xs")?, get("ys")?);
    let &[prompts, points, n_dims] = xs.dims() else {
        return Err(bad(format!("xs has shape {:?}, expected (B, n, d)", xs.dims())));
    };
    if ys.dims() != [prompts, points] {
        return Err(bad(format!("ys has shape {:?}, xs asks for [{prompts}, {points}]", ys.dims())));
    }
    if xs.elem_count() == 0 {
        return Err(bad(format!("is empty: xs has shape {:?}", xs.dims())));
    }
    let values =
        |tensor: &Tensor| tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(Failure::failed);
    let prompts = Prompts { xs: values(xs)?, ys: values(ys)?, prompts, points, n_dims };
    for (name, values) in [("xs", &prompts.xs), ("ys", &prompts.ys)] {
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(bad(format!(
                "{name} holds {} at flat index {index}; every value must be finite",
                values[index]
            )));
        }
    }
    Ok(prompts)
}

/// Refuses prompts that don't fit a model.
pub(crate) fn fit(prompts: &Prompts, model: &ModelConfig, path: &Path) -> Outcome {
    let bad = |message: String| Err(Failure::usage(format!("--data {}: {message}", path.display())));
    if prompts.n_dims != model.n_dims {
        return bad(format!("x has {} coordinates, the model has n_dims = {}", prompts.n_dims, model.n_dims));
    }
    if prompts.points > model.n_positions {
        return bad(format!(
            "prompts have {} points, the model has n_positions = {}",
            prompts.points, model.n_positions
        ));
    }
    Ok(())
}

/// Writes tensors, each given as name, shape and values.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Vec<usize>, Vec<f32>)>) -> Outcome {
    let mut named = BTreeMap::new();
    for (name, shape, values) in tensors {
        named.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).map_err(Failure::failed)?);
    }
    Ok(write_atomically(path, &encode(&named)?)?)
}
