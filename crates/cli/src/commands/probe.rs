//! `looped probe`: what a run's states hold after each loop.

use std::sync::Arc;

use looped_study::{plan_of, run_report::probe_table};
use looped_train::{Model, RunDir};

use crate::args::ProbeArgs;
use crate::commands::eval::{changed, print, save};
use crate::commands::resume::open_trained;
use crate::failure::{Failure, Outcome};
use crate::progress::Meter;

pub(crate) fn probe(args: &ProbeArgs) -> Outcome {
    let trainer = open_trained(&args.run.path, &args.device.device)?;
    let plan = changed(plan_of(trainer.experiment()), args.model.loops, args.prompts, args.seed);
    let (model, experiment) = (trainer.model(), trainer.experiment());
    let device = model.parameters().device();
    // Drawn afresh, even where the run began with published weights.
    let untrained = Model::new(Arc::clone(&experiment.model), experiment.seed, device)?;
    let (task, watch) = (experiment.task.as_ref(), Meter::new("probing", "loops")?);
    let found =
        looped_probe::probe(model, &untrained, device, task, &plan, &watch).map_err(|error| match error {
            // What the numbers on the command line, or the experiment's, don't allow.
            looped_core::Error::Data(_) => Failure::usage(error),
            error => error.into(),
        })?;
    drop(watch);
    if args.save {
        let run = RunDir::open(&args.run.path)?;
        save(&found, &run.probing(), &trainer, &run)?;
    }
    print(&found, args.json, || probe_table(&found))
}
