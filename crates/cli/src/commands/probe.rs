//! `looped probe`: what a run's states hold after each loop.

use std::sync::Arc;

use looped_config::EngineName;
use looped_probe::memory_of_probing;
use looped_study::{plan_of, run_report::probe_table};
use looped_train::{Model, RunDir, opened_and_predicting, refuse_what_does_not_fit};

use crate::args::ProbeArgs;
use crate::commands::eval::{asked, changed, print, save};
use crate::commands::resume::open_trained;
use crate::data::refuse_moved_data;
use crate::failure::{Failure, Outcome};
use crate::progress::Meter;

pub(crate) fn probe(args: &ProbeArgs) -> Outcome {
    let trainer = open_trained(&args.run.path, &args.device.device)?;
    if trainer.experiment().task.alphabet().is_some() {
        return Err(Failure::failed(
            "probe looks for what points hold, and this run's task has sequences of tokens",
        ));
    }
    refuse_moved_data(&args.run.path, trainer.experiment())?;
    let plan = changed(plan_of(trainer.experiment()), args.model.loops, args.prompts, args.seed);
    let (model, experiment) = (trainer.model(), trainer.experiment());
    let device = model.parameters().device();
    refuse_what_does_not_fit(
        "probing needs",
        opened_and_predicting(experiment, asked(&plan))? + memory_of_probing(&experiment.model, &plan),
        model.target(),
        "--prompts",
    )?;
    // Drawn afresh, even where the run began with published weights.
    let untrained =
        Model::new(Arc::clone(&experiment.model), experiment.seed, EngineName::CANDLE, device, 1)?;
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
