//! A run's model, taken from its directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use crate::run_dir::CONFIG;
use crate::{Checkpoints, Result, TrainError, Trainer};

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
    /// Reads only, and needs no lock: a run in training may be looked at. To go on with one, hold its
    /// [`RunDir`](crate::RunDir) meanwhile.
    ///
    /// # Errors
    /// If there is no run in it, its config can't be used, the model can't be built on the device, or no checkpoint is
    /// good.
    pub fn newest(run: &Path, device: &Device) -> Result<Self> {
        let config = run.join(CONFIG);
        if !config.is_file() {
            let message = format!("{} is not a run directory: it has no {CONFIG}", run.display());
            return Err(TrainError::Refused(message));
        }
        let checkpoints = Checkpoints::new(run.join("checkpoints"));
        if !checkpoints.exist() {
            return Err(TrainError::Refused(format!("{} has no checkpoint yet", run.display())));
        }
        let experiment = looped_config::load(config, &[])?.experiment;
        let mut trainer = Trainer::new(Arc::new(experiment), device)?;
        let (checkpoint, from, damaged) = checkpoints.newest_good()?;
        trainer.restore(&checkpoint)?;
        Ok(Self { trainer, from, damaged })
    }
}
