//! `looped resume`: on from the newest good checkpoint.

use std::path::Path;
use std::sync::Arc;

use looped_train::{RunDir, Trainer, device};

use crate::args::ResumeArgs;
use crate::commands::run::{finish, new_trainer, train_to_the_end};
use crate::failure::{Failure, Outcome};

pub(crate) fn resume(args: &ResumeArgs) -> Outcome {
    let run = RunDir::open(&args.run)?;
    let trainer = restored(&run, &args.device.device)?;
    run.checkpoints().settle(trainer.experiment().training.save_every_steps)?;
    if !trainer.is_done() {
        return train_to_the_end(trainer, &run);
    }
    if run.evaluation().exists() && run.report().exists() {
        eprintln!("all {} steps of this run are done, and evaluated", trainer.steps_done());
        println!("{}", run.path().display());
        return Ok(());
    }
    finish(&trainer, &run)
}

/// The trainer of a run, at its newest good checkpoint, only to be looked at.
///
/// # Errors
/// Also if there is no checkpoint yet: an untrained model's numbers would pass for the run's.
pub(crate) fn open_trained(path: &Path, device: &str) -> Outcome<Trainer> {
    let run = RunDir::open(path)?;
    if !run.checkpoints().exist() {
        let shown = path.display();
        return Err(Failure::usage(format!(
            "{shown} has no checkpoint: it was stopped before its first; go on with `looped resume {shown}`"
        )));
    }
    restored(&run, device)
}

fn restored(run: &RunDir, device_name: &str) -> Outcome<Trainer> {
    let loaded = looped_config::load(run.config(), &[]).map_err(Failure::usage)?;
    let (experiment, device) = (Arc::new(loaded.experiment), device(device_name)?);
    let checkpoints = run.checkpoints();
    if !checkpoints.exist() {
        // Stopped before its first checkpoint: the run starts again, to the same bits.
        return new_trainer(experiment, &device);
    }
    let mut trainer = Trainer::new(experiment, &device)?;
    let (checkpoint, place, bad) = checkpoints.newest_good()?;
    for error in &bad {
        eprintln!("warning: {error}");
    }
    if !bad.is_empty() {
        eprintln!("warning: going on from {} (step {})", place.display(), checkpoint.state.step);
    }
    trainer.restore(&checkpoint)?;
    Ok(trainer)
}
