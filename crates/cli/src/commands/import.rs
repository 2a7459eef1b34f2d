//! `looped import`: a run directory at step 0 from published weights.

use std::sync::Arc;

use candle_core::Device;
use looped_train::{Provenance, RunDir, Session, Trainer, resolve};
use serde_json::json;

use crate::args::ImportArgs;
use crate::build::build;
use crate::commands::run::load;
use crate::failure::{Failure, Outcome};
use crate::output::{answer, shown};

pub(crate) fn import(args: &ImportArgs) -> Outcome {
    let mut experiment = load(&args.experiment)?;
    let engine = resolve(&mut experiment, &Device::Cpu)?;
    let trainer = Trainer::new(Arc::new(experiment), &Device::Cpu)?;
    trainer.load_file(&args.weights)?;
    let config = trainer.experiment().to_toml().map_err(Failure::failed)?;
    let every = trainer.experiment().training.save_every_steps;
    let run = RunDir::create_with(&args.out, &config, |checkpoints| {
        checkpoints.save(&trainer.checkpoint()?, every, false)
    })?;
    Provenance::begin(run.path(), trainer.experiment(), Session::now(&trainer, build(), engine.why))?;
    answer(args.output.json, &json!({ "run": shown(run.path()) }), || run.path().display().to_string())
}
