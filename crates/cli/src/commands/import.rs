//! `looped import`: a run directory at step 0 from published weights.

use candle_core::Device;
use looped_train::{RunDir, Trainer};

use crate::args::ImportArgs;
use crate::commands::run::{load, load_weights};
use crate::failure::{Failure, Outcome};

pub(crate) fn import(args: &ImportArgs) -> Outcome {
    let experiment = load(&args.experiment)?;
    let trainer = Trainer::new(experiment, &Device::Cpu)?;
    load_weights(&trainer, &args.weights)?;
    let config = trainer.experiment().to_toml().map_err(Failure::failed)?;
    let every = trainer.experiment().training.save_every_steps;
    let run = RunDir::create_with(&args.out, &config, |checkpoints| {
        checkpoints.save(&trainer.checkpoint(), every, false)
    })?;
    println!("{}", run.path().display());
    Ok(())
}
