//! A run's model, taken from its directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use looped_config::{EngineName, Experiment};

use crate::changes::refuse_edited;
use crate::run_dir::CONFIG;
use crate::shell::resume_by;
use crate::{Checkpoint, Checkpoints, EngineChoice, Provenance, Result, Target, TrainError, Trainer};

/// How often the checkpoints of a run in training are read before they pass for damaged: it may just be replacing one.
const TRIES: usize = 3;

/// A run as its directory holds it.
pub struct Opened {
    /// The experiment, and the model and optimiser as the checkpoint left them.
    pub trainer: Trainer,
    /// The checkpoint.
    pub from: PathBuf,
    /// What is wrong with checkpoints that can't be used.
    pub damaged: Vec<TrainError>,
}

impl Opened {
    /// The run in the directory `run` at its newest good checkpoint.
    ///
    /// Reads only, and needs no lock: a run in training may be looked at, and one that belongs to somebody else. To
    /// resume one, hold its [`RunDir`](crate::RunDir) meanwhile.
    ///
    /// # Errors
    /// If there is no run in it, its config can't be used or was edited after the run began, the model can't be built on
    /// the device, or no checkpoint is good.
    pub fn newest(run: &Path, device: impl Into<Target>) -> Result<Self> {
        let device = device.into();
        let config = run.join(CONFIG);
        if !config.is_file() {
            let message = format!("{} is not a run directory: it has no {CONFIG}", run.display());
            return Err(TrainError::Refused(message));
        }
        let checkpoints = Checkpoints::new(run.join("checkpoints"));
        if !checkpoints.exist()? {
            return Err(TrainError::Refused(format!(
                "{} has no checkpoint: it was stopped before its first, or has only begun; resume it by `{}`",
                run.display(),
                resume_by(run)
            )));
        }
        let experiment = looped_config::load_run(config, &[])?.experiment;
        // A damaged run.json is no reason not to look at the run.
        let begun = Provenance::read(run).ok().flatten().and_then(|provenance| provenance.experiment());
        if let Some(begun) = begun {
            refuse_edited(run, &begun, &experiment)?;
        }
        let (checkpoint, from, damaged) = newest_good(&checkpoints)?;
        let trainer = Trainer::resumed(Arc::new(fitting(experiment, &device)), device, &checkpoint)?;
        Ok(Self { trainer, from, damaged })
    }
}

/// The experiment with an engine that runs on `device`: a model trained by the CPU's engine can be looked at on a GPU.
fn fitting(mut experiment: Experiment, device: &Target) -> Experiment {
    if gives_way(&experiment, device) {
        experiment.training.engine = EngineName::Auto;
    }
    experiment
}

/// Whether the engine of an experiment can't compute it on a device, where another may: one of kernels that lacks one there.
#[must_use]
pub fn gives_way(experiment: &Experiment, device: &Target) -> bool {
    let EngineName::Named(name) = &experiment.training.engine else { return false };
    name != EngineName::CANDLE && EngineChoice::of(experiment, device).is_err()
}

fn newest_good(checkpoints: &Checkpoints) -> Result<(Checkpoint, PathBuf, Vec<TrainError>)> {
    let mut found = checkpoints.newest_good();
    for _ in 1..TRIES {
        if found.as_ref().is_ok_and(|(.., damaged)| damaged.is_empty()) {
            break;
        }
        found = checkpoints.newest_good();
    }
    found
}
