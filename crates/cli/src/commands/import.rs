//! `looped import`: a run directory at step 0 from published weights.

use candle_core::Device;
use looped_train::Trainer;

use crate::args::ImportArgs;
use crate::commands::run::{create, load, load_weights};
use crate::failure::Outcome;

pub(crate) fn import(args: &ImportArgs) -> Outcome {
    let experiment = load(&args.experiment)?;
    let trainer = Trainer::new(experiment, &Device::Cpu)?;
    load_weights(&trainer, &args.weights)?;
    let run = create(&args.out, trainer.experiment())?;
    let training = &trainer.experiment().training;
    run.checkpoints().save(&trainer.checkpoint(), training.save_every_steps, false)?;
    println!("{}", run.path().display());
    Ok(())
}
