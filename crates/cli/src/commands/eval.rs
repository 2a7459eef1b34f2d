//! `looped eval`: a run's scores on fresh prompts.

use std::path::Path;

use looped_core::Baseline;
use looped_eval::EvalPlan;
use looped_study::{plan_of, run_report, save_evaluation, score};
use looped_train::{Asked, RunDir, Trainer, memory_of_scoring, refuse_what_does_not_fit, write_atomically};
use serde::Serialize;

use crate::args::EvalArgs;
use crate::chosen_baselines::chosen;
use crate::commands::resume::open_trained;
use crate::data::refuse_moved_data;
use crate::failure::{Failure, Outcome};
use crate::progress::Meter;
use crate::suites::out_of_distribution;

pub(crate) fn eval(args: &EvalArgs) -> Outcome {
    if args.suite.is_none() && args.save.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::usage("--save: needs a name, as in `--save long`, unless it goes with --suite"));
    }
    let trainer = open_trained(&args.run.path, &args.device.device)?;
    refuse_moved_data(&args.run.path, trainer.experiment())?;
    let plan = changed(plan_of(trainer.experiment()), args.model.loops, args.prompts, args.seed);
    let baselines = chosen(&args.baselines, copied(&trainer.experiment().evaluation.baselines)?)?;
    refuse_what_does_not_fit(
        "this evaluation needs",
        memory_of_scoring(trainer.experiment(), asked(&plan), &baselines)?,
        trainer.model().target(),
        "--prompts or --loops",
    )?;
    let watch = Meter::new("evaluating", "prompts")?;
    if args.suite.is_none() {
        let (evaluation, scores) = score(&trainer, &plan, &baselines, &watch)?;
        drop(watch);
        evaluation.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
        if let Some(name) = &args.save {
            save_evaluation(&evaluation, &scores, &RunDir::open(&args.run.path)?, name)?;
        }
        return print(&evaluation, args.json, || {
            [evaluation.table(), evaluation.convergence_table()].join("\n")
        });
    }
    let found = out_of_distribution(&trainer, &plan, &baselines, &watch)?;
    drop(watch);
    found.failures().iter().for_each(|failure| eprintln!("warning: {failure}"));
    if args.save.is_some() {
        let run = RunDir::open(&args.run.path)?;
        save(&found, &run.shifted_evaluation(), &trainer, &run)?;
    }
    print(&found, args.json, || found.table())
}

/// What the memory for a plan depends on.
pub(crate) fn asked(plan: &EvalPlan) -> Asked {
    Asked { prompts: plan.prompts, points: plan.points, loops: plan.loops }
}

/// A plan with what the command line says otherwise.
pub(crate) fn changed(
    plan: EvalPlan,
    loops: Option<u32>,
    prompts: Option<u32>,
    seed: Option<u64>,
) -> EvalPlan {
    EvalPlan {
        loops: loops.map_or(plan.loops, |n| n as usize),
        prompts: prompts.map_or(plan.prompts, |n| n as usize),
        seed: seed.unwrap_or(plan.seed),
        ..plan
    }
}

/// Leaves results in a run's directory and in its report.
pub(crate) fn save(found: &impl Serialize, file: &Path, trainer: &Trainer, run: &RunDir) -> Outcome {
    let json = serde_json::to_string_pretty(found).map_err(Failure::failed)?;
    write_atomically(file, json.as_bytes())?;
    // A run that isn't done has no report yet; the one it ends with will hold this.
    if run.evaluation().exists() {
        run_report::write(trainer.experiment(), run)?;
    }
    Ok(())
}

/// Baselines are their own configs, and so can be read again.
fn copied(baselines: &[Box<dyn Baseline>]) -> Outcome<Vec<Box<dyn Baseline>>> {
    serde_json::to_value(baselines).and_then(serde_json::from_value).map_err(Failure::failed)
}

/// Prints results as JSON or as a table.
pub(crate) fn print(found: &impl Serialize, json: bool, table: impl Fn() -> String) -> Outcome {
    if json {
        println!("{}", serde_json::to_string_pretty(found).map_err(Failure::failed)?);
    } else {
        println!("{}", table());
    }
    Ok(())
}
