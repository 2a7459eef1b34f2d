//! Prompts and predictions in safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use looped_core::{ModelConfig, Prompts};
use looped_train::{decode, encode, replace_file};

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

/// Refuses to write where something would be lost that no prediction replaces: over the prompts, over what is no file,
/// into a run's checkpoints.
pub(crate) fn refuse_output(out: &Path, data: &Path) -> Outcome {
    let bad = |why: &str| Err(Failure::usage(format!("--out {}: {why}", out.display())));
    if out.file_name().is_none() {
        return bad("is no file's name");
    }
    if out.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return bad("is no regular file, but a folder, link, device or pipe");
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder that isn't there is told when the file is written.
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    if data.canonicalize().is_ok_and(|data| Some(data) == out.canonicalize().ok()) {
        return bad("is the file that --data names; the prompts would be lost");
    }
    let mut above = folder.ancestors();
    if above.any(|folder| folder.ends_with("checkpoints") && folder.with_file_name("config.toml").is_file()) {
        return bad("is among a run's checkpoints");
    }
    Ok(())
}

/// Writes tensors, each given as name, shape and values.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Vec<usize>, Vec<f32>)>) -> Outcome {
    let mut named = BTreeMap::new();
    for (name, shape, values) in tensors {
        named.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).map_err(Failure::failed)?);
    }
    Ok(replace_file(path, &encode(&named)?)?)
}
