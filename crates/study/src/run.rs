//! A whole run: trained, evaluated as its experiment says, with its report.

use std::path::Path;
use std::sync::Arc;

use looped_config::Experiment;
use looped_core::Device;
use looped_eval::Evaluation;
use looped_train::{Observer, Opened, Outcome, RunDir, Trainer, train};

use crate::{Result, finish};

/// How a run ended.
#[derive(Debug)]
pub enum RunEnd {
    /// Trained and evaluated.
    Finished(Box<Evaluation>),
    /// The observer wanted to stop; [`resume`] takes it from there.
    Stopped,
}

/// Trains an experiment in a new directory, and evaluates it.
///
/// # Errors
/// If `folder` isn't free, a step fails, or a file can't be written.
pub fn run(
    experiment: Arc<Experiment>,
    folder: &Path,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<RunEnd> {
    let run = RunDir::create(folder, &experiment.to_toml()?)?;
    to_the_end(Trainer::new(experiment, device)?, &run, observer)
}

/// Resumes the run in a directory from its newest good checkpoint, and evaluates it.
///
/// # Errors
/// If there is no run in `folder`, another process works on it, no checkpoint is good, or a step fails.
pub fn resume(folder: &Path, device: &Device, observer: &mut dyn Observer) -> Result<RunEnd> {
    let run = RunDir::open(folder)?;
    let trainer = if run.checkpoints().exist()? {
        Opened::newest(folder, device)?.trainer
    } else {
        // Stopped before its first checkpoint: it begins again, to the same bits.
        Trainer::new(Arc::new(looped_config::load_run(run.config(), &[])?.experiment), device)?
    };
    to_the_end(trainer, &run, observer)
}

fn to_the_end(mut trainer: Trainer, run: &RunDir, observer: &mut dyn Observer) -> Result<RunEnd> {
    match train(&mut trainer, run, observer)? {
        Outcome::Finished => Ok(RunEnd::Finished(Box::new(finish(&trainer, run, &())?))),
        Outcome::Stopped => Ok(RunEnd::Stopped),
    }
}
