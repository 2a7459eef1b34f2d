//! What runs are scored on, in words: they can be compared where these agree.

use std::collections::BTreeMap;

use looped_config::Experiment;
use looped_core::{Task, score_scale};

use crate::comparison::difference::settings;

/// What an experiment's run will be scored on.
pub(crate) fn scored_on(experiment: &Experiment) -> String {
    let (task, dims) = (experiment.task.as_ref(), experiment.training.curriculum.dims.end);
    words(task, dims, task.objective().score_name(), score_scale(task, dims))
}

/// The task that models trained on `task` are scored on, with its settings, and the sizes and scale of the scores.
pub(super) fn words(task: &dyn Task, dims: usize, score: &str, normaliser: f64) -> String {
    let task = task.scored_on().unwrap_or(task);
    let table = toml::to_string(&BTreeMap::from([("task", task)])).ok();
    let details = table.and_then(|table| settings(&table).ok()).unwrap_or_default();
    let details = details.iter().filter(|(key, _)| key != "task.type");
    let details: String = details.map(|(key, value)| format!(", {key} = {value}")).collect();
    format!("{}, {dims} dims, {score} / {normaliser}{details}", task.typetag_name())
}
