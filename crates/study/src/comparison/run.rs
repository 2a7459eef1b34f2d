//! One finished run, read from its directory without touching it.

use std::path::{Path, PathBuf};

use looped_eval::Evaluation;
use looped_train::{Cost, Metrics};

use crate::comparison::difference::{Settings, settings};
use crate::comparison::history::{LogPoint, log_points};
use crate::comparison::made::Made;
use crate::comparison::scored::{Means, Scored};
use crate::comparison::task::words;
use crate::floor::Floor;

/// What a run's directory says.
pub(crate) struct FinishedRun {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) seed: u64,
    /// The config as text.
    pub(crate) toml: String,
    /// The config key by key, without name and seed.
    pub(crate) settings: Settings,
    pub(crate) scored: Scored,
    /// What it was scored on; runs can be compared where these words agree.
    pub(crate) task: String,
    /// The model's mean scores, once it is known what they are compared with.
    pub(crate) means: Means,
    /// The least possible validation loss, where it is known.
    pub(crate) floor: Option<Floor>,
    pub(crate) trained_loops: usize,
    /// The same in the mean, where they are drawn.
    pub(crate) mean_loops: usize,
    pub(crate) made: Made,
    pub(crate) cost: Cost,
    /// The logged steps.
    pub(crate) log_points: Vec<LogPoint>,
}

impl FinishedRun {
    /// Reads a run and its evaluation, of a name or the one it ended with; the error says what it lacks, and what to do.
    pub(crate) fn read(path: &Path, evaluation: Option<&str>) -> Result<Self, String> {
        let shown = path.display();
        let config = path.join("config.toml");
        if path.join("sweep.toml").is_file() {
            let runs = path.join("runs");
            return Err(format!("{shown} is the folder of a sweep; compare its runs, {}/*", runs.display()));
        }
        if !config.is_file() {
            return Err(format!("{shown} is not a run directory: it has no config.toml"));
        }
        let scored = Scored::read(path, evaluation)?;
        let mut experiment = looped_config::load_run(&config, &[]).map_err(|e| e.to_string())?.experiment;
        let Evaluation { dims, score, normaliser, .. } = &scored.evaluation;
        let records = Metrics::read(&path.join("metrics.jsonl")).map_err(|e| e.to_string())?;
        let toml = experiment.to_toml().map_err(|e| format!("{}: {e}", config.display()))?;
        let cost = Cost::of(&experiment).map_err(|e| format!("{shown}: {e}"))?;
        Ok(Self {
            path: path.to_owned(),
            seed: experiment.seed,
            settings: settings(&toml).map_err(|e| format!("{}: {e}", config.display()))?,
            toml,
            means: Means::default(),
            floor: Floor::of(&experiment),
            task: words(experiment.task.as_ref(), *dims, score, *normaliser),
            scored,
            trained_loops: experiment.training.usual_loops(),
            mean_loops: experiment.training.mean_loops(),
            made: Made::of(path, experiment.training.train_steps),
            cost,
            log_points: log_points(&records, &mut experiment).map_err(|e| format!("{shown}: {e}"))?,
            name: experiment.name,
        })
    }

    /// Seconds that its training took; NaN where its log is not there.
    pub(crate) fn seconds(&self) -> f64 {
        self.log_points.last().map_or(f64::NAN, |point| point.seconds)
    }

    /// CPU seconds that its training took, of all threads; NaN where it didn't log them.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.log_points.last().map_or(f64::NAN, |point| point.cpu_seconds)
    }
}
