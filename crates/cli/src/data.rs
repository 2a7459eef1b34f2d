//! Prompts and predictions in safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use looped_config::Experiment;
use looped_core::{ModelConfig, Prompts};
use looped_study::moved_data;
use looped_train::{encode, replace_file};

use crate::failure::{Failure, Outcome};

/// Refuses what needs the data of a run's task where they are gone.
pub(crate) fn refuse_moved_data(run: &Path, experiment: &Experiment) -> Outcome {
    moved_data(run, experiment).map_or(Ok(()), |problem| Err(Failure::usage(problem)))
}

/// Reads `xs` (B, n, d) and `ys` (B, n).
pub(crate) fn read_prompts(path: &Path) -> Outcome<Prompts> {
    looped_tasks::read_prompts(path)
        .map_err(|why| Failure::usage(format!("--data {}: {why}", path.display())))
}

/// Refuses prompts that don't fit a model.
pub(crate) fn fit(prompts: &Prompts, model: &ModelConfig, path: &Path) -> Outcome {
    model.fit(prompts).map_err(|why| Failure::usage(format!("--data {}: {why}", path.display())))
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
