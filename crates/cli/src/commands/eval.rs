//! `looped eval`: a run's scores on fresh prompts.

use looped_core::Baseline;
use looped_eval::EvalPlan;
use looped_train::{RunDir, write_atomically};
use serde::Serialize;

use crate::args::EvalArgs;
use crate::chosen_baselines::chosen;
use crate::commands::resume::open_trained;
use crate::failure::{Failure, Outcome};
use crate::finish::{plan_of, score};
use crate::run_report;
use crate::suites::out_of_distribution;

pub(crate) fn eval(args: &EvalArgs) -> Outcome {
    let trainer = open_trained(&args.run, &args.device.device)?;
    let default = plan_of(&trainer);
    let plan = EvalPlan {
        loops: args.loops.map_or(default.loops, |n| n as usize),
        prompts: args.prompts.map_or(default.prompts, |n| n as usize),
        seed: args.seed.unwrap_or(default.seed),
        ..default
    };
    let baselines = chosen(&args.baselines, copied(&trainer.experiment().evaluation.baselines)?)?;
    if args.suite.is_none() {
        let evaluation = score(&trainer, &plan, &baselines)?;
        return print(&evaluation, args.json, || {
            [evaluation.table(), evaluation.settling_table()].join("\n")
        });
    }
    let found = out_of_distribution(&trainer, &plan, &baselines)?;
    if args.save {
        let run = RunDir::open(&args.run)?;
        let json = serde_json::to_string_pretty(&found).map_err(Failure::failed)?;
        write_atomically(&run.shifted_evaluation(), json.as_bytes())?;
        // A run that isn't done has no report yet; the one it ends with will hold this.
        if run.evaluation().exists() {
            run_report::write(trainer.experiment(), &run)?;
        }
    }
    print(&found, args.json, || found.table())
}

/// Baselines are their own configs, and so can be read again.
fn copied(baselines: &[Box<dyn Baseline>]) -> Outcome<Vec<Box<dyn Baseline>>> {
    serde_json::to_value(baselines).and_then(serde_json::from_value).map_err(Failure::failed)
}

fn print(found: &impl Serialize, json: bool, table: impl Fn() -> String) -> Outcome {
    if json {
        println!("{}", serde_json::to_string_pretty(found).map_err(Failure::failed)?);
    } else {
        println!("{}", table());
    }
    Ok(())
}
