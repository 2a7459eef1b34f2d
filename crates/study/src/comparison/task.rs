//! What runs are trained and scored on, in words: they can be compared where these agree.

use looped_config::Experiment;
use looped_core::score_scale;

use crate::comparison::difference::{Settings, settings};

/// What an experiment's run will be scored on.
pub(crate) fn scored_on(experiment: &Experiment) -> String {
    let (task, dims) = (experiment.task.as_ref(), experiment.training.curriculum.dims.end);
    let objective = task.objective();
    let normaliser = score_scale(task, dims);
    let settings = experiment.to_toml().ok().and_then(|toml| settings(&toml).ok()).unwrap_or_default();
    words(task.typetag_name(), dims, objective.score_name(), normaliser, &settings)
}

/// A task, the sizes and scale of its scores, and its settings.
pub(super) fn words(task: &str, dims: usize, score: &str, normaliser: f64, settings: &Settings) -> String {
    let details = settings.iter().filter(|(key, _)| key.starts_with("task.") && key != "task.type");
    let details: String = details.map(|(key, value)| format!(", {key} = {value}")).collect();
    format!("{task}, {dims} dims, {score} / {normaliser}{details}")
}
